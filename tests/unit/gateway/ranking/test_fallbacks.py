"""Descriptions of degraded answers."""

import pytest

from gateway.model.causes import Peer
from gateway.model.peer_failures import BY_REASON, StageFailure, cause_of
from gateway.ranking.fallbacks import degradations, reasons_for
from gateway.ranking.wording import own_reason
from gateway.wiring import CLIENTS
from servicekit.errors import BY_CODE, Code
from sightline_core.branch import BITS, Branch
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.parts import NUMBERS
from sightline_core.reasons import Reason

REASON = Reason(code="MATCHES_TASTE", text="yes")


@pytest.mark.parametrize("peer", list(CLIENTS))
@pytest.mark.parametrize("code", list(BY_CODE))
def test_every_code_of_every_peer_is_either_a_failure_or_the_callers(peer, code):
    error = BY_CODE[code]("x", reason="SOMETHING_ELSE")
    callers = {Code.NOT_FOUND, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED}
    if peer is not Peer.RANKER:
        callers |= {Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE}

    if error.code in callers:
        with pytest.raises(type(error)) as caught:
            cause_of(peer, error)
        assert caught.value is error
    elif error.code is Code.DEADLINE_EXCEEDED:
        assert cause_of(peer, error) is DegradationCause.STAGE_DEADLINE
    else:
        assert cause_of(peer, error) is DegradationCause[f"{peer.name}_UNAVAILABLE"]


@pytest.mark.parametrize("reason", list(BY_REASON))
def test_a_known_reason_decides_whatever_its_code(reason):
    for code in (Code.UNAVAILABLE, Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT):
        error = BY_CODE[code]("x", reason=reason)
        assert cause_of(Peer.RETRIEVER, error) is BY_REASON[reason]


def test_failures_stand_once_each_in_the_order_of_the_stages():
    failures = [
        StageFailure("rank", DegradationCause.RANKER_UNAVAILABLE),
        StageFailure("visual", DegradationCause.INDEX_UNAVAILABLE),
        StageFailure("visual", DegradationCause.INDEX_UNAVAILABLE),
    ]
    reported = [
        Degradation(stage="rank", cause=DegradationCause.MODEL_NOT_READY, substitute="similarity")
    ] * 2

    found = degradations(failures, reported, (Branch.POPULAR, Branch.NEW))

    assert [(item.stage, item.cause) for item in found] == [
        ("visual", DegradationCause.INDEX_UNAVAILABLE),
        ("rank", DegradationCause.RANKER_UNAVAILABLE),
        ("rank", DegradationCause.MODEL_NOT_READY),
    ]
    assert found[0].substitute == (
        "popular products that pass the filter and the newest products that pass the filter"
    )


@pytest.mark.parametrize("cause", list(DegradationCause))
def test_every_failure_says_what_stands_in(cause):
    for stage in (*Branch, "rank", "hydrate", "record", "something"):
        (found,) = degradations([StageFailure(stage, cause)], (), ())
        assert found.substitute


def test_the_rankers_reasons_go_before_our_own():
    assert reasons_for(BITS[Branch.VISUAL], (REASON,)) == (REASON,)
    assert [item.code for item in reasons_for(BITS[Branch.VISUAL], ())] == ["LOOKS_LIKE_QUERY"]


def test_only_the_gateway_knows_that_a_product_is_new():
    reasons = reasons_for(BITS[Branch.NEW], (REASON,))

    assert [item.code for item in reasons] == ["MATCHES_TASTE", "NEW"]


def test_every_branch_has_a_reason_of_its_own():
    assert len({item.code for item in reasons_for(sum(BITS.values()), ())}) == len(Branch)


@pytest.mark.parametrize("part", NUMBERS)
def test_a_reason_by_a_number_is_a_sentence_without_the_number(part: str) -> None:
    """A margin would reveal the product's cost."""
    given = Reason(part.upper(), part.upper(), (("cosine", "0.400"),))
    (found,) = reasons_for(0, (given,), "en")
    assert found == own_reason(NUMBERS[part], "en")
    assert found.text != found.code
    assert "MARGIN" not in {found.code, found.text}
