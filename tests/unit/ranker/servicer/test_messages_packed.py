import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ranker.servicer.messages import doubles, of_floats
from sightline.ranker.v1 import ranking_service_pb2 as pb


@given(st.lists(st.floats(), max_size=300))
def test_a_column_of_bytes_is_the_column_of_its_numbers(values: list[float]) -> None:
    made = pb.PartColumn(name="taste")
    made.MergeFromString(doubles(made.VALUES_FIELD_NUMBER, np.array(values, np.float64)))
    expected = pb.PartColumn(name="taste", values=values)
    assert made.SerializeToString(deterministic=True) == expected.SerializeToString(
        deterministic=True
    )


def test_a_long_column_of_a_high_field_number_keeps_its_place() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    made = pb.RankResponse(model_version="m")
    made.MergeFromString(doubles(made.PROPENSITIES_FIELD_NUMBER, values))
    made.MergeFromString(doubles(made.RAW_SCORES_FIELD_NUMBER, values[:3]))
    assert list(made.propensities) == values.tolist()
    assert list(made.raw_scores) == values[:3].tolist()
    assert made.model_version == "m"


@given(st.lists(st.floats(width=32), max_size=300))
def test_a_column_is_read_as_it_was_given(values: list[float]) -> None:
    given_ = pb.RankRequest(fused=values).fused
    np.testing.assert_array_equal(of_floats(given_), np.array(values))
