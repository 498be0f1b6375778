"""The meter of shoppers whose histories a caller reads."""

import pytest

from gateway.state import caller_names, history_reads
from gateway.state.history_reads import READ, HistoryReads


def counted(caller: str) -> float:
    return READ.labels(caller)._value.get()


def test_a_shopper_counts_once_an_hour_for_each_caller() -> None:
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


def test_callers_with_a_jwt_count_as_one() -> None:
    reads, before = HistoryReads(), counted("jwt")
    for number in range(3):
        reads.note(f"jwt:user-{number}", "default", "u1")
    assert counted("jwt") - before == 3


def test_memory_and_series_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_reads, "MOST_KEPT", 2)
    monkeypatch.setattr(caller_names, "MOST_CALLERS", 1)
    reads, own, others = HistoryReads(), counted("meter-first"), counted(caller_names.OTHERS)
    for shopper in ("u1", "u2", "u3", "u3"):
        reads.note("meter-first", "default", shopper)
    assert counted("meter-first") - own == 4, "what does not fit is counted at each read"
    reads.note("meter-second", "default", "u9")
    assert counted(caller_names.OTHERS) - others == 1
