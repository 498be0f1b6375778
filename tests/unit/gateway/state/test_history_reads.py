"""The meter of shoppers whose histories a caller reads."""

import pytest

from gateway.state import caller_names, history_reads
from gateway.state.history_reads import READ, HistoryReads


def counted(caller: str) -> float:
    return READ.labels(caller)._value.get()


async def test_a_shopper_counts_once_an_hour_for_each_caller() -> None:
    now = [0.0]
    reads, before = HistoryReads(lambda: now[0]), counted("meter-shop")
    for shopper in ("u1", "u1", "u2", "u1"):
        reads.note("meter-shop", "default", shopper)
    assert counted("meter-shop") - before == 2
    reads.note("meter-shop", "other", "u1")
    assert counted("meter-shop") - before == 3, "the same id in another catalog is another shopper"
    now[0] = history_reads.SECONDS
    reads.note("meter-shop", "default", "u1")
    assert counted("meter-shop") - before == 4


async def test_callers_with_a_jwt_count_as_one() -> None:
    reads, before = HistoryReads(), counted("jwt")
    for number in range(3):
        reads.note(f"jwt:user-{number}", "default", "u1")
    assert counted("jwt") - before == 3


async def test_memory_and_series_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_reads, "MOST_KEPT", 2)
    monkeypatch.setattr(caller_names, "MOST_CALLERS", 1)
    reads, own, others = HistoryReads(), counted("meter-first"), counted(caller_names.OTHERS)
    for shopper in ("u1", "u2", "u3", "u3", "u1"):
        reads.note("meter-first", "default", shopper)
    assert counted("meter-first") - own == 4, "the oldest makes room, and counts again"
    reads.note("meter-second", "default", "u9")
    assert counted(caller_names.OTHERS) - others == 1


async def test_what_is_kept_leads_to_nobody_and_goes_when_a_shopper_is_erased() -> None:
    reads, other = HistoryReads(), HistoryReads()
    for meter in (reads, other):
        meter.note("meter-shop", "default", "u1")
    kept = set(reads._seen._held)
    assert kept.isdisjoint(other._seen._held), "the key is random, so that no id can be tried"
    reads.forget()
    assert len(reads._seen) == 0
    before = counted("meter-shop")
    reads.note("meter-shop", "default", "u1")
    assert counted("meter-shop") - before == 1
    assert kept.isdisjoint(reads._seen._held)
