"""A visitor is merged by callers with the proof of the id, or with the role to read all data."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.errors import VisitorProofInvalid
from gateway.servicer import visitors
from gateway.servicer.visitors import (
    GOOD_MICROS,
    NEW_MICROS,
    Standing,
    check_proof,
    created,
    standing,
)
from servicekit.admission import access
from servicekit.admission.access import Caller, Role
from servicekit.admission.quotas import QuotaExhausted, Quotas, QuotaSettings
from servicekit.clock import now_micros
from servicekit.keys.keyring import KeyRing, open_keys
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import user_event_service_pb2 as pb

RING = KeyRing([b"k" * 32])
SHOP = Caller("shop", frozenset({Role.READ, Role.EVENTS}))
DESK = Caller("desk", frozenset({Role.EVENTS, Role.PRIVACY}))
VISITOR = created("default", RING)


@pytest.fixture(autouse=True)
def caller() -> Iterator[None]:
    token = access.caller.set(SHOP)
    yield
    access.caller.reset(token)


def merging(visitor: str, proof: str = "", catalog: str = "default") -> pb.MergeShopperRequest:
    request = pb.MergeShopperRequest(catalog_id=catalog, visitor_proof=proof)
    getattr(request, "from").visitor_id = visitor
    return request


def refused(request: pb.MergeShopperRequest, keys: KeyRing = RING) -> bool:
    try:
        check_proof(request, keys)
    except VisitorProofInvalid:
        return True
    return False


def test_the_proof_that_came_with_an_id_is_taken() -> None:
    assert not refused(merging(VISITOR.visitor_id, VISITOR.visitor_proof))
    assert len(VISITOR.visitor_id) == 32
    assert len(VISITOR.visitor_proof) <= 64


def test_a_merge_with_a_proof_is_told_apart_from_one_on_trust() -> None:
    assert check_proof(merging(VISITOR.visitor_id, VISITOR.visitor_proof), RING)
    access.caller.set(DESK)
    assert not check_proof(merging("cookie-7"), RING)
    unsigned = created("default", open_keys())
    request = merging(unsigned.visitor_id, unsigned.visitor_proof)
    assert not check_proof(request, open_keys()), "without a key a proof proves nothing"


def test_a_proof_says_until_when_it_is_taken() -> None:
    before = now_micros()
    made = created("default", RING).expire_time.ToMicroseconds()
    assert before + GOOD_MICROS <= made <= now_micros() + GOOD_MICROS


def test_no_proof_of_another_visitor_catalog_time_or_key_is_taken() -> None:
    about = ("visitor", "default", VISITOR.visitor_id)
    expired = RING.seal(about, b"", now_micros())
    for request in (
        merging(VISITOR.visitor_id),
        merging("cookie-7", VISITOR.visitor_proof),
        merging(VISITOR.visitor_id, VISITOR.visitor_proof, "other"),
        merging(VISITOR.visitor_id, expired),
        merging(VISITOR.visitor_id, created("default", KeyRing()).visitor_proof),
        merging(VISITOR.visitor_id, RING.seal(("page",), b"", now_micros() + 10**9)),
    ):
        assert refused(request)


@given(st.integers(0, len(VISITOR.visitor_proof) - 1), st.integers(0, 6))
def test_no_proof_with_a_bit_flipped_is_taken(place: int, bit: int) -> None:
    proof = VISITOR.visitor_proof
    other = proof[:place] + chr(ord(proof[place]) ^ 1 << bit) + proof[place + 1 :]
    access.caller.set(SHOP)
    assert refused(merging(VISITOR.visitor_id, other))


def test_who_may_read_anyones_data_needs_none_but_gives_no_wrong_one() -> None:
    access.caller.set(DESK)
    assert not refused(merging("cookie-7"))
    assert refused(merging("cookie-7", VISITOR.visitor_proof))


def test_none_is_needed_while_anybody_could_make_one() -> None:
    assert not refused(merging("cookie-7"), open_keys())
    assert refused(merging("cookie-7", "made-up"), open_keys())


PAGE = Caller("page", frozenset({Role.EVENTS}))


def event(visitor: str = VISITOR.visitor_id, proof: str = "") -> event_pb2.Event:
    return event_pb2.Event(shopper={"visitor_id": visitor}, visitor_proof=proof)


def test_visitors_of_a_page_are_proven_by_their_proof_and_new_for_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    access.caller.set(PAGE)
    given = event(proof=VISITOR.visitor_proof)
    assert standing(given, "default", RING) is Standing.NEW_VISITOR, "anybody can create twenty"
    later = now_micros() + NEW_MICROS
    monkeypatch.setattr(visitors, "now_micros", lambda: later)
    assert standing(given, "default", RING) is Standing.PROVEN
    for other in (
        event(),
        event("invented", VISITOR.visitor_proof),
        event_pb2.Event(shopper={"user_id": "ann"}),
    ):
        assert standing(other, "default", RING) is Standing.UNPROVEN
    assert standing(given, "other", RING) is Standing.UNPROVEN
    monkeypatch.setattr(visitors, "now_micros", lambda: later + GOOD_MICROS)
    assert standing(given, "default", RING) is Standing.UNPROVEN


@pytest.mark.parametrize(
    "caller", [SHOP, DESK, Caller("ann", PAGE.roles, None, "ann")], ids=["shop", "desk", "ann"]
)
def test_a_servers_shoppers_need_no_proof(caller: Caller) -> None:
    access.caller.set(caller)
    assert standing(event("any"), "default", RING) is Standing.PROVEN


def test_a_page_creates_a_bounded_number_of_visitors_and_a_server_any() -> None:
    limited = Quotas(QuotaSettings(quota_visitors=2, quota_burst_seconds=1), clock=lambda: 0.0)

    def create(caller: Caller, catalog: str = "default") -> None:
        access.caller.set(caller)
        limited.enter(caller.name, catalog, writes=True)
        created(catalog, RING)

    for _ in range(2):
        create(PAGE)
    with pytest.raises(QuotaExhausted) as refused:
        create(PAGE)
    assert refused.value.retry_after is not None
    assert refused.value.metadata == {"quota": "visitors"}
    create(PAGE, "another")
    for _ in range(3):
        create(SHOP)
