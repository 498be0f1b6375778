import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.servicer.candidates import candidates_of, weights_of
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import candidate_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_rules.ids import IdInvalidError, check_id


def request(*ids: str, **fields: object) -> pb.RankRequest:
    return pb.RankRequest(candidates=candidate_pb2.CandidateColumns(product_ids=ids), **fields)


def branch(*values: float, name: str = "visual") -> pb.BranchSignal:
    return pb.BranchSignal(branch=name, similarities=values)


def refused(given_: pb.RankRequest) -> list[str]:
    """Return the fields for which the request is rejected."""
    with pytest.raises(RequestInvalid) as caught:
        candidates_of(given_)
    return [one.field for one in caught.value.violations]


def test_columns_come_out_as_they_were_given() -> None:
    found = candidates_of(request("a", "b", branches=[branch(0.5, math.nan)], fused=[0.25, 0.125]))
    assert found.ids == ("a", "b")
    np.testing.assert_array_equal(found.similarities["visual"], [0.5, math.nan])
    np.testing.assert_array_equal(found.fused, [0.25, 0.125])
    assert found.created_micros is None
    np.testing.assert_array_equal(candidates_of(request("a")).fused, [0.0])


def test_creation_times_are_read_where_new_products_get_places() -> None:
    asked = request("a", diversity=pb.Diversity(exploration_places=[2]))
    asked.candidates.create_time_micros.append(7)
    found = candidates_of(asked).created_micros
    assert found is not None
    assert list(found) == [7]


texts = st.text(max_size=4) | st.sampled_from(["p", "x" * 128, "x" * 129, "é" * 64, "é" * 65])


@given(st.lists(texts, min_size=1, max_size=5, unique=True))
def test_ids_are_refused_as_one_by_one_they_would_be(ids: list[str]) -> None:
    bad = []
    for place, item in enumerate(ids):
        try:
            check_id(item)
        except IdInvalidError:
            bad.append(f"candidates.product_ids[{place}]")
    if bad:
        assert refused(request(*ids)) == bad
    else:
        assert candidates_of(request(*ids)).ids == tuple(ids)


def test_all_that_is_wrong_is_reported_at_once() -> None:
    given_ = request(
        "a",
        "a",
        branches=[branch(0.5), branch(math.inf, 0.0, name="text"), branch(0, 0, name="taste")],
        fused=[-1.0, 0.0],
    )
    given_.candidates.category_paths.extend(["Wine", " > ".join("abcdefghi")])
    assert refused(given_) == [
        "candidates.product_ids",
        "candidates.category_paths[1]",
        "branches[0].similarities",
        "branches[1].similarities",
        "branches[2].branch",
        "fused",
    ]


@pytest.mark.parametrize("weight", [-1.0, 1000.1, math.nan])
def test_a_weight_out_of_its_range_is_refused_by_its_place(weight: float) -> None:
    weights = [pb.PartWeight(part="taste", weight=1.0), pb.PartWeight(part="x", weight=weight)]
    with pytest.raises(RequestInvalid) as caught:
        weights_of(weights)
    assert caught.value.violations[0].field == "weights[1].weight"
    assert weights_of(weights[:1]) == {"taste": 1.0}
