"""The hand-over of answer records to the ranker."""

import asyncio
from collections.abc import Sequence

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from gateway.state import answers
from gateway.state.answers import COUNTS, AnswerQueue
from servicekit.errors import InvalidArgument, ServiceError
from servicekit.tasks import batch_queue
from sightline_core.answer import AnswerOrder, AnswerRecord
from sightline_core.versions import Versions
from tests.waiting import until

VERSIONS = Versions(model_version="m1", scene="default")


def record(answer_id: str, products: int = 1) -> AnswerRecord:
    order = AnswerOrder(["p"] * products, [1.0] * products, total=products)
    return AnswerRecord(answer_id, b"d", None, VERSIONS, 1, (), 1, 2, order)


class Sink:
    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.calls: list[tuple[str, list[str]]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def record(self, catalog_id: str, records: Sequence[AnswerRecord]) -> None:
        await self.go_on.wait()
        self.calls.append((catalog_id, [item.answer_id for item in records]))
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error

    @property
    def ids(self) -> list[str]:
        return [item for _, ids in self.calls for item in ids]


def dropped(cause: str) -> float:
    return COUNTS.dropped.labels(cause)._value.get()


async def test_records_reach_the_ranker_in_one_call_a_catalog():
    sink = Sink()
    queue = AnswerQueue(sink.record, 1000)
    kept = COUNTS.kept._value.get()
    for answer_id, catalog_id in (("a1", "default"), ("b1", "other"), ("a2", "default")):
        assert queue.offer(catalog_id, record(answer_id))
    await queue.close(5)

    assert sink.calls == [("default", ["a1", "a2"]), ("other", ["b1"])]
    assert COUNTS.kept._value.get() - kept == 3


async def test_records_that_come_one_after_another_go_in_one_call(monkeypatch):
    monkeypatch.setattr(answers, "GATHER_SECONDS", 1e6)  # ended by `close`, not by time
    sink = Sink()
    queue = AnswerQueue(sink.record, 1000)
    for answer_id in ("a1", "a2", "a3"):
        queue.offer("default", record(answer_id))
        for _ in range(20):  # turns of the loop, without time
            await asyncio.sleep(0)
    await queue.close(5)
    assert sink.calls == [("default", ["a1", "a2", "a3"])]


async def test_a_record_waits_for_no_other_catalog_once_it_has_waited_for_its_own():
    now, sink = [0.0], Sink()
    queue = AnswerQueue(sink.record, 1000, clock=lambda: now[0])
    for catalog_id in ("default", "other", "third"):
        queue.offer(catalog_id, record(catalog_id))
    now[0] = answers.GATHER_SECONDS
    for _ in range(20):  # turns of the loop, without time
        await asyncio.sleep(0)
    assert sink.ids == ["default", "other", "third"]
    await queue.close(1)


async def test_an_offer_waits_for_nothing_and_is_found_until_it_is_handed_over():
    sink = Sink()
    sink.go_on.clear()
    queue = AnswerQueue(sink.record, 1000)
    queue.offer("default", record("a1"))
    await asyncio.sleep(0.02)

    found = queue.find("default", "a1")
    assert found is not None
    assert queue.find("other", "a1") is None
    sink.go_on.set()
    await until(lambda: queue.find("default", "a1") is None)
    await queue.close(1)


async def test_what_has_no_room_is_dropped_and_counted_and_room_comes_back():
    sink = Sink()
    queue = AnswerQueue(sink.record, 10)
    before = dropped("queue_full")

    assert queue.offer("default", record("a1", products=7))
    assert not queue.offer("default", record("a2", products=7))
    assert dropped("queue_full") - before == 1
    await until(lambda: sink.ids == ["a1"])
    await until(lambda: queue.offer("default", record("a3", products=7)))
    await queue.close(1)
    assert sink.ids == ["a1", "a3"]


async def test_a_queue_of_no_size_keeps_nothing():
    assert not AnswerQueue(Sink(), 0).offer("default", record("a1"))


async def test_while_the_ranker_is_gone_records_are_offered_again(monkeypatch):
    monkeypatch.setattr(batch_queue, "FIRST_PAUSE", 0.01)
    sink = Sink(PeerUnavailable(Peer.RANKER), PeerUnavailable(Peer.RANKER))
    queue = AnswerQueue(sink.record, 1000)
    queue.offer("default", record("a1"))
    await queue.close(5)

    assert sink.ids == ["a1", "a1", "a1"]


async def test_after_the_patience_a_record_is_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(batch_queue, "FIRST_PAUSE", 0.01)
    now = [0.0]
    sink = Sink(PeerUnavailable(Peer.RANKER))
    queue = AnswerQueue(sink.record, 1000, clock=lambda: now[0])
    before = dropped("ranker_unavailable")
    queue.offer("default", record("old"))
    now[0] = batch_queue.PATIENCE_SECONDS + 1
    queue.offer("default", record("new"))
    await queue.close(5)

    assert sink.calls == [("default", ["old", "new"]), ("default", ["new"])]
    assert dropped("ranker_unavailable") - before == 1


async def test_refused_records_and_our_own_mistakes_do_not_stop_the_hand_over():
    refusal: ServiceError = InvalidArgument("no", reason="REQUEST_INVALID")
    for problem in (refusal, ValueError("a bug")):
        sink = Sink(problem)
        queue = AnswerQueue(sink.record, 1000)
        before = dropped("refused")
        queue.offer("default", record("bad"))
        await until(lambda sink=sink: sink.ids == ["bad"])
        queue.offer("default", record("good"))
        await queue.close(5)

        assert sink.ids == ["bad", "good"]
        assert dropped("refused") - before == 1


async def test_at_the_end_what_can_not_be_handed_over_in_time_is_dropped_and_counted():
    sink = Sink()
    sink.go_on.clear()
    queue = AnswerQueue(sink.record, 1000)
    before = dropped("shutdown")
    queue.offer("default", record("a1"))
    await queue.close(0.05)

    assert dropped("shutdown") - before == 1
    assert not queue.offer("default", record("a2"))


async def test_large_records_go_in_calls_of_their_own():
    sink = Sink()
    queue = AnswerQueue(sink.record, 10**6)
    for answer_id in ("a1", "a2", "a3"):
        queue.offer("default", record(answer_id, products=answers.MOST_PRODUCTS // 2))
    for number in range(100 + 1):
        queue.offer("default", record(f"small{number}", products=0))
    await queue.close(5)

    sizes = [len(ids) for _, ids in sink.calls]
    assert sum(sizes) == 100 + 4
    assert max(sizes) <= 100
    assert sink.calls[0][1] == ["a1"]
