"""Answer records are stored after the answer: found meanwhile, in order, dropped at the limit."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from ranker.record.answers import COUNTS, AnswerLog, AnswerQueue, StoredAnswer
from ranker.record.tables import ANSWERS
from servicekit.sql.database import Database, StoreBusy
from servicekit.tasks import batch_queue
from tests.waiting import until

NOW = 1_000


class Later:
    """Content that is encoded when it is needed, in a thread whose name it keeps."""

    size = 4

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.thread = ""

    def encoded(self) -> bytes:
        self.thread = threading.current_thread().name
        if self.content is None:
            raise ValueError("it can't be encoded")
        return self.content


def answer(answer_id: str, content: bytes | Later = b"1234", expires: int = 9_000) -> StoredAnswer:
    return StoredAnswer("default", answer_id, "", "k", content, expires)


class Log:
    """Answer record that stores once it is released, and may fail first."""

    def __init__(self, *failures: Exception) -> None:
        self.open = asyncio.Event()
        self.failures = list(failures)
        self.batches: list[list[str]] = []

    async def write(
        self, answers: Sequence[StoredAnswer], now_micros: int, *, newest: bool = False
    ) -> frozenset[tuple[str, str]]:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([one.answer_id for one in answers])
        return frozenset((one.catalog_id, one.answer_id) for one in answers)

    async def read(self, catalog_id: str, answer_id: str, now_micros: int) -> bytes | None:
        return None

    async def exposures(self, catalog_id: str, day: int, names: Sequence[str]) -> Mapping[str, int]:
        return {}


def dropped(cause: str) -> float:
    return float(COUNTS.dropped.labels(cause)._value.get())


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranker.record.answers.GATHER_SECONDS", 0.01)
    monkeypatch.setattr(batch_queue, "FIRST_PAUSE", 0.01)


async def test_an_answer_is_found_before_and_after_it_is_stored(db: Database) -> None:
    queue = AnswerQueue(AnswerLog(db), lambda: NOW)
    assert queue.offer(answer("a"))
    assert await queue.read("default", "a") == b"1234"
    assert await queue.read("other", "a") is None
    await queue.close(5)
    assert await db.read(lambda c: c.execute(sa.select(ANSWERS.c.answer_id)).scalars().all()) == [
        "a"
    ]
    assert await queue.read("default", "a") == b"1234"


async def test_a_content_is_encoded_for_its_batch_and_for_who_reads_it_before(db: Database) -> None:
    queue = AnswerQueue(AnswerLog(db), lambda: NOW)
    later, read = Later(b"later"), Later(b"read")
    assert queue.offer(answer("a", later))
    assert queue.offer(answer("b", read))
    assert not later.thread, "no answer waits for it"
    assert await queue.read("default", "b") == b"read"
    await queue.close(5)
    assert await queue.read("default", "a") == b"later"
    assert later.thread not in ("", threading.current_thread().name)


async def test_a_content_that_can_not_be_encoded_takes_no_other_with_it(db: Database) -> None:
    queue, before = AnswerQueue(AnswerLog(db), lambda: NOW), dropped("refused")
    for name, content in (("a", b"1"), ("bad", None), ("b", b"2")):
        queue.offer(answer(name, Later(content)))
    await queue.close(5)
    assert [await queue.read("default", name) for name in ("a", "bad", "b")] == [b"1", None, b"2"]
    assert dropped("refused") == before + 1


async def test_contents_are_encoded_at_once_while_the_store_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ranker.record.answers.MOST_UNENCODED", 2)
    queue = AnswerQueue(Log(), lambda: NOW)
    contents = [Later(b"1") for _ in range(3)]
    for number, content in enumerate(contents):
        assert queue.offer(answer(f"{number}", content))
    here = threading.current_thread().name
    assert [each.thread for each in contents] == ["", "", here]
    await queue.close(0)


async def test_an_answer_that_was_formed_anew_replaces_the_former_one(db: Database) -> None:
    queue = AnswerQueue(AnswerLog(db), lambda: NOW)
    assert queue.offer(replace(answer("a", b"first"), controls=("boost",)))
    assert queue.offer(replace(answer("a", b"later"), controls=("pin",)))
    assert await queue.write([answer("a", b"written"), answer("b")]) == 1
    await queue.close(5)
    assert await queue.read("default", "a") == b"later"
    assert await queue.exposures("default", 0, ["boost", "pin"]) == {"pin": 1}
    again = AnswerQueue(AnswerLog(db), lambda: NOW)
    assert again.offer(replace(answer("a", b"latest"), controls=("pin",)))
    assert await again.write([answer("b", b"written")]) == 0
    await again.close(5)
    assert await again.read("default", "a") == b"latest"
    assert await again.exposures("default", 0, ["boost", "pin"]) == {"pin": 1}


async def test_an_answer_that_is_replaced_while_it_is_stored_is_stored_again() -> None:
    log, contents, waiting = Log(), list[object](), COUNTS.waiting._value
    write = log.write

    async def noted(answers: Sequence[StoredAnswer], *given: Any, **named: Any) -> Any:
        contents.append([each.content for each in answers])
        return await write(answers, *given, **named)

    log.write = noted  # type: ignore[method-assign]
    queue = AnswerQueue(log, lambda: NOW, most_bytes=6)
    queue.offer(answer("a", b"1234"))
    await until(lambda: contents)
    queue.offer(answer("a", b"56"))
    assert queue.offer(answer("b", b"7890")), "the former content counts no more"
    log.open.set()
    await queue.close(5)
    assert contents == [[b"1234"], [b"56", b"7890"]]
    assert waiting.get() == 0


async def test_answers_that_have_to_be_stored_are_stored_at_once(db: Database) -> None:
    log = Log()
    log.open.set()
    queue = AnswerQueue(log, lambda: NOW)
    queue.offer(answer("a"))
    assert await queue.write([answer("b"), answer("a"), answer("c"), answer("c")]) == 2
    assert [sorted(batch) for batch in log.batches] == [["b", "c"]]
    assert await queue.write([answer("d")]) == 1
    await queue.close(5)
    assert log.batches[1:] == [["d"], ["a"]]
    stored = AnswerQueue(AnswerLog(db), lambda: NOW)
    await stored.write([answer("a", b"first")])
    stored.offer(answer("b"))
    assert await stored.write([answer("a", b"later"), answer("c")]) == 1
    await stored.close(5)
    assert await stored.read("default", "a") == b"first"
    ids = sa.select(ANSWERS.c.answer_id)
    assert {*await db.read(lambda c: c.execute(ids).scalars().all())} == {*"abc"}


async def test_an_answer_that_can_not_be_stored_now_is_an_error_for_who_waits_for_it() -> None:
    log = Log(StoreBusy())
    log.open.set()
    queue = AnswerQueue(log, lambda: NOW)
    with pytest.raises(StoreBusy):
        await queue.write([answer("b")])
    assert await queue.write([answer("b")]) == 1
    await queue.close(5)


async def test_what_has_to_be_stored_waits_for_no_queue_that_is_closed() -> None:
    log = Log()
    queue = AnswerQueue(log, lambda: NOW)
    queue.offer(answer("a"))
    writing = asyncio.create_task(queue.write([answer("b")]))
    await queue.close(0)
    log.open.set()
    assert await writing == 1


async def test_a_full_queue_stores_what_has_to_be_stored_at_once() -> None:
    log = Log()
    log.open.set()
    queue, before = AnswerQueue(log, lambda: NOW, most_bytes=4), dropped("queue_full")
    queue.offer(answer("a"))
    assert await queue.write([answer("b")]) == 1
    assert log.batches == [["b"]]
    await queue.close(5)
    assert (log.batches, dropped("queue_full")) == ([["b"], ["a"]], before)


async def test_an_answer_that_expired_while_it_waited_is_gone() -> None:
    queue = AnswerQueue(Log(), lambda: NOW)
    queue.offer(answer("a", expires=NOW))
    assert await queue.read("default", "a") is None
    await queue.close(0)


async def test_answers_that_come_together_are_written_together() -> None:
    log = Log()
    log.open.set()
    queue = AnswerQueue(log, lambda: NOW)
    for n in range(150):
        queue.offer(answer(f"a{n}"))
    await queue.close(5)
    assert [len(batch) for batch in log.batches] == [100, 50]
    assert log.batches[0][0] == "a0"


async def test_what_finds_no_room_is_dropped() -> None:
    queue, before = AnswerQueue(Log(), lambda: NOW, most_bytes=8), dropped("queue_full")
    assert [queue.offer(answer(name)) for name in "abc"] == [True, True, False]
    assert dropped("queue_full") == before + 1
    await queue.close(0)
    assert not queue.offer(answer("d")), "it takes no more"


async def test_a_busy_store_is_asked_again_and_a_record_it_refuses_ends_nothing() -> None:
    log, before = Log(StoreBusy(), ValueError("odd")), dropped("refused")
    queue = AnswerQueue(log, lambda: NOW)
    queue.offer(answer("a"))
    log.open.set()
    await until(lambda: not log.failures)
    queue.offer(answer("b"))
    await queue.close(5)
    assert (log.batches, dropped("refused")) == ([["b"]], before + 1)


async def test_after_the_patience_it_is_dropped() -> None:
    log, before = Log(*[StoreBusy() for _ in range(3)]), dropped("store_unavailable")
    seconds = iter([0.0, 0.0, 20.0, 20.0, 20.0, 20.0])
    queue = AnswerQueue(log, lambda: NOW, clock=lambda: next(seconds))
    log.open.set()
    queue.offer(answer("a"))
    await queue.close(5)
    assert (log.batches, dropped("store_unavailable")) == ([], before + 1)


async def test_what_is_not_stored_in_time_is_dropped_at_the_end() -> None:
    before = dropped("shutdown")
    queue = AnswerQueue(Log(), lambda: NOW)
    queue.offer(answer("a"))
    await queue.close(0.05)
    assert dropped("shutdown") == before + 1
    assert await queue.read("default", "a") is None
