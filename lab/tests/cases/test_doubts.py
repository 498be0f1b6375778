"""The counts of the bench of category mismatches."""

from collections.abc import Sequence

import numpy as np
import pytest

from embedder.domain.fitted import CATALOGUE, SHOPPER, CategoryHead, FittedSpace, Labelled
from lab.cases import doubts
from lab.cases.doubts import SEEN, STRANGE, STRANGERS, Judged
from retriever.domain.category_mismatch import (
    LIMITS,
    CategoryGuess,
    CategoryPath,
    Classification,
    Limits,
)

APPLE, PEAR, JUICE = ("Apple",), ("Pear",), ("Juice",)
KNOWN = frozenset({APPLE, PEAR})


def photo(chance: float, *, own: CategoryPath = APPLE, unknown: bool = False) -> Judged:
    """Return a photo that shows an apple with this probability, else a pear, of a product in
    `own`."""
    guesses = CategoryGuess(APPLE, chance), CategoryGuess(PEAR, 1 - chance)
    wrong = (PEAR,) if own == APPLE else (APPLE,)
    return Judged(own, wrong, Classification(guesses, 0.0), unknown, KNOWN, "scene", "product")


def labelled(categories: Sequence[CategoryPath], catalog: Sequence[int] = ()) -> Labelled:
    """Return photos with one view: of an apple [1, 0], of a pear [0, 1], of anything else [-1,
    -1]."""
    looks: dict[CategoryPath, tuple[int, int]] = {APPLE: (1, 0), PEAR: (0, 1)}
    return Labelled(
        features=np.array([[looks.get(each, (-1, -1))] for each in categories], np.float32),
        kinds=np.array(
            [CATALOGUE if n in catalog else SHOPPER for n in range(len(categories))], np.int8
        ),
        products=[str(n // 2) for n in range(len(categories))],
        groups=[f"scene {n}" for n in range(len(categories))],
        categories=categories,
    )


@pytest.fixture
def fitted() -> FittedSpace:
    """Return a head that separates apples from pears."""
    head = CategoryHead(
        (APPLE, PEAR), 20 * np.eye(2, dtype=np.float32), np.zeros(2, np.float32), 5.0
    )
    ones = np.ones((2, 2), np.float32)
    return FittedSpace(np.zeros_like(ones), ones, np.eye(2, dtype=np.float32), head)


def test_flags_are_of_the_own_category_and_of_wrong_ones() -> None:
    sure, mistaken, torn = photo(1), photo(0), photo(0.5)
    assert doubts.flags([sure, mistaken, torn], LIMITS).tolist() == [[0, 1], [1, 0], [0, 0]]


def test_limits_that_are_lower_flag_more() -> None:
    close = photo(0.3)
    low = Limits(own_at_most=0.4, other_at_least=0.6)
    assert doubts.flags([close], Limits(0.2, 0.6)).tolist() == [[0, 0]]
    assert doubts.flags([close], low).tolist() == [[1, 0]]


def test_precision_is_that_where_one_in_twenty_is_wrong() -> None:
    assert doubts.precision(np.array(0.05), np.array(0.95)) == pytest.approx(0.5)
    assert doubts.precision(np.array(0.0), np.array(0.1)) == 1


def test_what_is_never_flagged_has_no_precision() -> None:
    (found,) = doubts.worth([photo(0.5)] * 12, [str(n) for n in range(12)], [LIMITS], 0)
    assert found.precision is None
    assert (found.recall.value, found.false.value) == (0, 0)


def test_intervals_hold_the_figures_and_false_flags_are_of_a_thousand() -> None:
    photos = [photo(1)] * 9 + [photo(0)]
    (found,) = doubts.worth(photos, [str(n) for n in range(10)], [LIMITS], 0)
    assert found.false.value == pytest.approx(100)
    assert found.recall.value == pytest.approx(0.9)
    assert found.precision is not None
    assert found.precision.low < found.precision.value < found.precision.high


def test_a_head_judges_what_it_was_not_fitted_on_by_what_it_knows_of_it(
    fitted: FittedSpace,
) -> None:
    # Two photos a product; the first product's other photo was learned from, a catalog's one is
    # not asked.
    data = labelled([APPLE, APPLE, PEAR, PEAR, JUICE, JUICE], catalog=[5])
    found = doubts.crossed(data, [(np.array([0]), fitted)], 1, 0)
    assert [each.scene for each in found[SEEN]] == ["scene 1"]
    assert [each.scene for each in found[STRANGE]] == ["scene 2", "scene 3"]
    assert [each.scene for each in found[STRANGERS]] == ["scene 4"]
    assert found[STRANGERS][0].unknown
    assert set(found[SEEN][0].wrong) == {PEAR}
    assert doubts.flags(found[STRANGE], LIMITS).tolist() == [[0, 1], [0, 1]]


def test_one_photo_in_twenty_is_put_into_another_category() -> None:
    data = labelled([APPLE, PEAR, JUICE, APPLE] * 20, catalog=range(40))
    given, rows = doubts.misplaced(data, 0)
    changed = [n for n, own in enumerate(data.categories) if own != given.categories[n]]
    assert changed == rows.tolist()
    assert len(rows) == 2
    assert min(rows) >= 40


def test_a_photo_that_was_learned_in_a_wrong_category_is_tried_under_that(
    fitted: FittedSpace,
) -> None:
    data, given = labelled([APPLE, APPLE]), labelled([PEAR, JUICE])
    found = doubts.learned(fitted, data, given, np.array([0, 1]), 1)
    assert [each.wrong for each in found] == [(PEAR,), (JUICE,)]


def test_the_tables_tell_limits_that_were_tried_and_those_in_use() -> None:
    found = {SEEN: [photo(1)] * 4, STRANGERS: [photo(0.5, own=JUICE, unknown=True)] * 4}
    flagged, unknown = doubts.tables(found, 0)
    assert len(flagged.rows) == len(doubts.TRIED)
    assert sum("in use" in row[1] for row in flagged.rows) == 1
    assert [row[1] for row in unknown.rows] == ["0.000 (0.000-0.000)", "1.000 (1.000-1.000)"]


def test_without_photos_there_is_no_table() -> None:
    assert doubts.tables({}, 0) == ()
