import dataclasses

import pytest

from ranker.domain.errors import ModelUnproven
from ranker.domain.model import ModelVerdict
from ranker.learning.promotion import require_proof
from tests.fakes.ranker import record


def evaluated(version: str, verdict: ModelVerdict | None, against: str = "") -> object:
    return dataclasses.replace(
        record(version),
        verdict=verdict,
        verdict_summary="the smallest difference that the data show is 0.1",
        compared_with=against,
    )


def test_a_first_model_that_passed_may_serve() -> None:
    require_proof(evaluated("v1", ModelVerdict.PASSED), None)


def test_what_passed_against_the_model_that_serves_may_take_its_place() -> None:
    require_proof(evaluated("v2", ModelVerdict.PASSED, "v1"), record("v1"))


def test_what_serves_already_needs_no_proof() -> None:
    require_proof(record("v1"), record("v1"))


@pytest.mark.parametrize(
    ("verdict", "against", "says"),
    [
        (None, "", "was not evaluated"),
        (ModelVerdict.INCONCLUSIVE, "v1", "INCONCLUSIVE.*smallest difference"),
        (ModelVerdict.FAILED, "v1", "FAILED"),
        (ModelVerdict.PASSED, "v0", "passed against v0, and v1 serves now"),
        (ModelVerdict.PASSED, "", "popularity alone"),
    ],
)
def test_everything_else_is_refused_with_what_is_missing(
    verdict: ModelVerdict | None, against: str, says: str
) -> None:
    with pytest.raises(ModelUnproven, match=says) as refused:
        require_proof(evaluated("v2", verdict, against), record("v1"))
    assert "force" in str(refused.value)


def test_a_proof_against_a_model_that_no_longer_serves_is_old() -> None:
    with pytest.raises(ModelUnproven, match="no model serves now"):
        require_proof(evaluated("v2", ModelVerdict.PASSED, "v1"), None)
