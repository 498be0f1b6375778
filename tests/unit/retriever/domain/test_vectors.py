"""Several vectors combined into one query."""

import numpy as np
import pytest

from retriever.domain.errors import VectorInvalid
from retriever.domain.vectors import Floats, blended


def row(*values: float) -> Floats:
    return np.array(values, np.float32)


X, Y = row(1, 0), row(0, 1)


def test_parts_count_by_weight_whatever_the_length_of_their_vectors() -> None:
    found = blended([(3.0, [10 * X]), (4.0, [Y])])
    assert found is not None
    assert found == pytest.approx([0.6, 0.8])


def test_a_negative_part_turns_the_query_away_from_it() -> None:
    found = blended([(1.0, [X]), (-0.5, [row(1, 1)])])
    assert found is not None
    assert float(found @ X) > 0
    assert float(found @ Y) < 0


def test_a_product_stands_for_the_middle_of_its_photos_however_many() -> None:
    one = blended([(1.0, [X]), (1.0, [Y])])
    many = blended([(1.0, [X]), (1.0, [Y, Y, 3 * Y])])
    assert one == pytest.approx(many)


def test_what_has_no_vector_counts_nothing() -> None:
    assert blended([(1.0, [X]), (5.0, [])]) == pytest.approx(X)


def test_where_nothing_says_what_is_wanted_there_is_no_query() -> None:
    assert blended([(1.0, []), (-1.0, [Y])]) is None


@pytest.mark.parametrize("parts", [[(2.0, [X]), (-2.0, [X])], [(1.0, [X, -X])]])
def test_parts_that_cancel_out_are_refused(parts: list[tuple[float, list[Floats]]]) -> None:
    with pytest.raises(VectorInvalid, match="cancel out"):
        blended(parts)
