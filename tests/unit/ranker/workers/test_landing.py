"""The path from the log into the record, with a log and a record that fail on request."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY

from ranker.domain.errors import LogUnavailable
from ranker.domain.events import StoredEvent, Written
from ranker.domain.logged import LogSignatures, OfLaterRelease, packed
from ranker.workers.landing import Landing
from servicekit.keys.keyring import KeyRing
from servicekit.sql.database import StoreBusy
from tests.fakes.kit_logs import json_logs
from tests.fakes.ranker import HOUR, NOW, stored

UNCHECKED = LogSignatures("events").check


@dataclass
class Message:
    content: bytes
    signature: bytes | None = None

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def value(self) -> bytes:
        return self.content

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        other: list[tuple[str, bytes | None]] = [("trace", b"x"), ("empty", None)]
        return None if self.signature is None else [*other, ("signature", self.signature)]


@dataclass
class FakeLog:
    batches: list[list[Message]]
    done: list[str]
    failures: list[Exception] = field(default_factory=list)

    def next(self, most: int, seconds: float) -> list[Message]:
        return self.batches.pop(0) if self.batches else []

    def commit(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.done.append("offsets")

    def close(self) -> None:
        self.done.append("left")


class Stage:
    """Content of log and record, and the order of operations."""

    def __init__(
        self, *batches: list[Message], check: Callable[[bytes, str], None] = UNCHECKED
    ) -> None:
        self.done: list[str] = []
        self.failures: list[Exception] = []
        self.log = FakeLog(list(batches), self.done)
        self.now = NOW
        self.landing = Landing(self.log, self.append, lambda: self.now, check)

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        if self.failures:
            raise self.failures.pop(0)
        self.done.append(" ".join(one.event.event_id for one in events))
        return (Written.NEW,) * len(events)


def messages(*event_ids: str) -> list[Message]:
    return [Message(packed(stored(one))) for one in event_ids]


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"sightline_ranker_sink_{name}", labels) or 0.0


async def test_offsets_are_committed_after_the_record_has_the_events() -> None:
    stage = Stage(messages("e1", "e2"), messages("e3"))
    before = value("events_total", outcome="NEW")
    for _ in range(3):
        await stage.landing.look()
    assert stage.done == ["e1 e2", "offsets", "e3", "offsets"]
    assert value("events_total", outcome="NEW") == before + 3


async def test_a_batch_is_held_while_the_record_is_away_and_its_wait_shows() -> None:
    stage = Stage(messages("e1"), messages("e2"))
    stage.failures = [StoreBusy(), StoreBusy()]
    for hours in (1, 2):
        stage.now = NOW + hours * HOUR
        with pytest.raises(StoreBusy):
            await stage.landing.look()
        assert value("lag_seconds") == hours * 3600
    stage.now = NOW
    for _ in range(3):
        await stage.landing.look()
    assert stage.done == ["e1", "offsets", "e2", "offsets"]
    assert value("lag_seconds") == 0


async def test_what_no_ranker_wrote_is_counted_and_passed_over() -> None:
    not_ours = [Message(b"hello"), *messages("e1"), Message(packed(stored("e2", product_id="")))]
    stage, before = Stage(not_ours, [Message(b"")]), value("events_total", outcome="ILLEGIBLE")
    await stage.landing.look()
    await stage.landing.look()
    assert stage.done == ["e1", "offsets", "offsets"]
    assert value("events_total", outcome="ILLEGIBLE") == before + 3


RING, OTHERS = KeyRing([b"r" * 32]), KeyRing([b"o" * 32])


def signed(message: Message, ring: KeyRing = RING, topic: str = "events") -> Message:
    signature = LogSignatures(topic, lambda: ring).sign(message.content)
    return Message(message.content, signature.encode())


def forgeries() -> list[Message]:
    """Return entries of a producer that may write into the topic but has no key of the rankers."""
    unsigned, others, moved, changed = messages("f1", "f2", "f3", "f4")
    empty, garbled = messages("f5", "f6")
    genuine = signed(changed).signature
    (content,) = messages("f7")
    return [
        unsigned,
        signed(others, OTHERS),
        signed(moved, topic="other"),
        Message(content.content, genuine),
        Message(empty.content, b""),
        Message(garbled.content, b"\xff"),
        Message(b"", b""),
    ]


@pytest.mark.parametrize("unsigned", [False, True])
async def test_an_entry_that_no_ranker_signed_is_no_event_and_is_counted_and_logged(
    unsigned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Check also that unsigned entries are accepted during an upgrade, and forged ones never."""
    check = LogSignatures("events", lambda: RING, unsigned).check
    batch = [*forgeries(), *map(signed, messages("e1"))]
    stage, before = Stage(batch, check=check), value("events_total", outcome="FORGED")
    with json_logs():
        await stage.landing.look()
    assert stage.done == ["f1 f5 e1" if unsigned else "e1", "offsets"]
    forged = 4 if unsigned else 7
    assert value("events_total", outcome="FORGED") == before + forged
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [each for each in lines if each["event"] == "events rejected"]
    assert (line["level"], line["count"], line["offset"]) == ("error", forged, 7)


async def test_entries_of_a_former_key_are_taken_while_the_ring_has_it() -> None:
    new = KeyRing([b"n" * 32, b"r" * 32])
    batch = [*map(signed, messages("e1")), *(signed(one, new) for one in messages("e2"))]
    stage = Stage(batch, check=LogSignatures("events", lambda: new).check)
    await stage.landing.look()
    assert stage.done == ["e1 e2", "offsets"]


async def test_an_event_of_a_later_release_is_waited_with_and_not_passed_over() -> None:
    stage = Stage([*messages("e1"), Message(b'{"format":2}')])
    for _ in range(2):
        with pytest.raises(OfLaterRelease):
            await stage.landing.look()
    assert stage.done == []


async def test_offsets_that_could_not_be_committed_keep_nothing_up() -> None:
    stage = Stage(messages("e1"), messages("e2"))
    stage.log.failures = [LogUnavailable()]
    with pytest.raises(LogUnavailable):
        await stage.landing.look()
    await stage.landing.look()
    assert stage.done == ["e1", "e2", "offsets"]


async def test_it_leaves_the_group_when_it_stops() -> None:
    stage, stop = Stage(), asyncio.Event()
    stop.set()
    await stage.landing.run(stop)
    assert stage.done == ["left"]
