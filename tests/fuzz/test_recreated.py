"""An answer that shows a former incarnation of a name is found, and no other."""

import random
from collections.abc import Sequence
from typing import Any, cast

import pytest
from google.protobuf.message import Message

from sightline.vision.v1.webhook_service_pb2 import (
    ListWebhooksRequest,
    ListWebhooksResponse,
    Webhook,
)
from tests.fuzz import recreated
from tests.fuzz.model import Answer, Call, Finding
from tests.fuzz.recreated import Lives


class Names:
    """A service with one name. `forgets`: whether it drops what was deleted."""

    name = "one"

    def __init__(self, *, forgets: bool) -> None:
        self.forgets, self.given = forgets, list[str]()
        self.findings: list[Finding] = []

    def planned(self, nonce: str) -> str:
        return nonce

    async def begin(self, nonce: str) -> None:
        self.given.append(nonce)

    async def end(self) -> None:
        if self.forgets:
            self.given.clear()

    def reads(self) -> Sequence[tuple[str, Message]]:
        return [("ListWebhooks", ListWebhooksRequest())]

    async def send(self, _: Call) -> Answer:
        made = ListWebhooksResponse(webhooks=[Webhook(uri=f"x/{each}") for each in self.given])
        return Answer("OK", "", b"", (made.SerializeToString(),))

    def find(self, finding: Finding) -> None:
        self.findings.append(finding)


@pytest.mark.parametrize("forgets", [True, False])
async def test_what_a_former_incarnation_had_is_found(
    monkeypatch: pytest.MonkeyPatch, *, forgets: bool
) -> None:
    monkeypatch.setattr(recreated, "LIFE_SECONDS", (0.0,))
    names = Names(forgets=forgets)
    lives = Lives(names, cast(Any, names), random.Random(1))
    for _ in range(3):
        await lives.one_life()
    assert lives.count == 3
    assert lives.seen["ListWebhooks"] == 3
    assert bool(names.findings) is not forgets
    assert lives.wrong == len(names.findings)


async def test_while_a_name_is_made_again_its_former_content_may_be_shown() -> None:
    names = Names(forgets=False)
    lives = Lives(names, cast(Any, names), random.Random(1))

    async def begin(nonce: str) -> None:
        for read in names.reads():
            await lives.read(read)
        names.given[:] = [nonce]

    names.begin = begin  # type: ignore[method-assign]
    await lives.one_life()
    await lives.one_life()
    assert not names.findings
