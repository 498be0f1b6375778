"""Rejected calls: one entry a minute of a caller, method and catalog."""

from servicekit.audit.refusals import MINUTE, Refusals
from sightline.common.v1.audit_service_pb2 import AuditEntry


def call(number: int, caller: str = "shop", catalog: str = "default") -> AuditEntry:
    return AuditEntry(entry_id=f"e{number}", caller=caller, method="m", catalog_id=catalog)


def due(refusals: Refusals, now: float) -> list[tuple[str, int]]:
    return [(each.entry_id, each.left_out) for each in refusals.due(now)]


def test_the_first_call_has_an_entry_and_the_others_share_one_a_minute_later() -> None:
    refusals = Refusals()
    assert [refusals.first(call(n), n) for n in range(4)] == [True, False, False, False]
    assert refusals.next() == MINUTE
    assert due(refusals, MINUTE - 1) == []
    assert due(refusals, MINUTE) == [("e3", 2)]


def test_no_minute_has_two_entries() -> None:
    refusals, entries = Refusals(), []
    for second in range(600):
        entries += [(second, each) for each in due(refusals, second)]
        for _ in range(10):
            entries += [(second, None)] * bool(refusals.first(call(second), second))
    seconds = [second for second, _ in entries]
    assert seconds == list(range(0, 600, int(MINUTE)))
    assert sum(each[1] + 1 for _, each in entries if each) == 10 * (seconds[-1]) - 1


def test_callers_methods_and_catalogs_have_entries_of_their_own() -> None:
    refusals = Refusals()
    assert refusals.first(call(1), 0)
    assert refusals.first(call(2, caller="other"), 0)
    assert refusals.first(call(3, catalog="other"), 0)
    assert refusals.first(AuditEntry(caller="shop", method="n", catalog_id="default"), 0)


def test_a_caller_that_stops_is_forgotten_after_a_minute() -> None:
    refusals = Refusals()
    refusals.first(call(1), 0)
    assert due(refusals, MINUTE) == []
    assert refusals.next() is None
    assert refusals.first(call(2), MINUTE + 1)


def test_one_caller_takes_half_of_the_places_at_most() -> None:
    refusals = Refusals(most=4)
    assert [refusals.first(call(n, catalog=f"c{n}"), 0) for n in range(3)] == [True, True, None]
    assert refusals.first(call(1, caller="other"), 0)
    assert refusals.first(call(1, caller="third"), 0)
    assert refusals.first(call(1, caller="fourth"), 0) is None
    due(refusals, MINUTE)
    assert refusals.first(call(9, catalog="c9"), MINUTE)


def test_what_was_left_out_is_told_at_the_end() -> None:
    refusals = Refusals()
    for number in range(5):
        refusals.first(call(number), 0)
    assert [(each.entry_id, each.left_out) for each in refusals.rest()] == [("e4", 3)]
    assert refusals.next() is None
