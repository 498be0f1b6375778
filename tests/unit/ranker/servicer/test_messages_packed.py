import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ranker.servicer.messages import of_floats
from sightline.ranker.v1 import ranking_service_pb2 as pb


@given(st.lists(st.floats(width=32), max_size=300))
def test_a_column_is_read_as_it_was_given(values: list[float]) -> None:
    given_ = pb.RankRequest(fused=values).fused
    np.testing.assert_array_equal(of_floats(given_), np.array(values))
