"""Cancelled calls are sent at random moments, and what they leave behind is found."""

import random
import time
from collections.abc import Sequence
from typing import Any, cast

import grpc
import pytest

from tests.fuzz import cancelled, pictures
from tests.fuzz.cancelled import Canceller, grown, left_over, unanswered, under_way
from tests.fuzz.composing import Composer
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import Answer, Call
from tests.fuzz.surface import named
from tests.fuzz.test_hostile import answering

GET = named("GetProduct")
PAGE = """# HELP sightline_calls_in_flight Calls.
sightline_calls_in_flight{service="gateway"} 2.0
sightline_streams{service="gateway",of="callers"} 1.0
sightline_other 7.0
"""


class Answers:
    """A service that gives one code."""

    def __init__(self, code: str) -> None:
        self._code = code

    async def send(self, _: Call) -> Answer:
        return Answer(self._code, "", b"", ())


async def test_calls_are_cancelled_or_answered_before() -> None:
    async def refuses(_: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "")
        return b""

    async with answering(refuses) as address, grpc.aio.insecure_channel(address) as channel:
        call = Call(GET.path, b"", 1.0)
        canceller = Canceller([channel, channel], "", lambda: call, random.Random(1))
        await canceller.work(time.monotonic() + 0.3)
    assert canceller.ended.keys() <= {"CANCELLED", "NOT_FOUND"}
    assert canceller.ended.total() > 0


def test_gauges_that_do_not_come_back_are_found() -> None:
    before = under_way(PAGE)
    assert sorted(before.values()) == [1.0, 2.0]
    assert not left_over(before, before)
    assert len(left_over(before, under_way(PAGE.replace("2.0", "3.0")))) == 1
    assert not left_over(before, under_way(PAGE.replace("2.0", "0.0")))


def test_memory_that_grows_with_the_calls_is_found() -> None:
    assert grown({"gateway": 2**20}, {"gateway": 2**30})
    assert not grown({"gateway": 2**20}, {"gateway": 2**21})


@pytest.mark.parametrize(
    ("code", "wrong"), [("OK", 0), ("INVALID_ARGUMENT", 0), ("RESOURCE_EXHAUSTED", 1)]
)
async def test_a_service_without_a_place_left_is_found(
    monkeypatch: pytest.MonkeyPatch, code: str, wrong: int
) -> None:
    monkeypatch.setattr(cancelled, "TRIES", 1)
    composer = Composer(random.Random(1), pictures.seeds(1))
    asked: Sequence[str] = await unanswered(cast(Any, Answers(code)), [GET], composer, Ledger())
    assert len(asked) == wrong
