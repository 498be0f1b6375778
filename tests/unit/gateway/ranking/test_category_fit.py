"""What a photo's category adds to similarities."""

import math

import pytest

from gateway.model.columns import ProductColumns
from gateway.ranking.category_fit import LEAST, category_fits
from sightline.common.v1 import candidate_pb2
from sightline.common.v1.photo_pb2 import CategoryGuess, Classification

PATHS = ("Fruit > Apple", "Fruit > Pear", "Dairy", "")


def products(*paths: str) -> ProductColumns:
    ids = [f"p{place}" for place in range(len(paths))]
    source = candidate_pb2.CandidateColumns(product_ids=ids, category_paths=paths)
    return ProductColumns(product_ids=ids, blocks=[(source, range(len(paths)))])


def shown(unknown: float = 0.0, **chances: float) -> Classification:
    guesses = [
        CategoryGuess(category_path=name.split("_"), probability=chance)
        for name, chance in chances.items()
    ]
    return Classification(guesses=guesses, unknown_probability=unknown)


def test_a_product_gets_the_log_probability_of_its_category_times_the_weight():
    seen = shown(Fruit_Apple=0.8, Fruit_Pear=0.15, Dairy=0.01)

    fits = category_fits([(seen, 0.5)], products(*PATHS[:3]))

    wanted = [0.5 * math.log(chance) for chance in (0.8, 0.15, 0.01)]
    assert fits == pytest.approx(wanted)


def test_a_category_that_was_not_named_counts_as_the_last_of_those_named():
    fits = category_fits([(shown(Fruit_Apple=0.8, Fruit_Pear=0.15), 1.0)], products(*PATHS))

    assert fits == pytest.approx([math.log(0.8), math.log(0.15), math.log(0.15), math.log(0.15)])


def test_a_category_that_the_head_does_not_know_counts_as_none_of_these():
    fits = category_fits([(shown(0.3, Fruit_Apple=0.6, Fruit_Pear=0.01), 1.0)], products(*PATHS))

    assert fits[2] == pytest.approx(math.log(0.3))
    assert fits[3] == pytest.approx(math.log(0.3))


def test_several_photos_add_up():
    one, other = shown(Fruit_Apple=1.0), shown(Fruit_Pear=1.0)

    fits = category_fits([(one, 0.1), (other, 0.3)], products(*PATHS[:2]))

    assert fits == pytest.approx([0.0, 0.0])  # neither is certain of a second category
    assert all(math.isfinite(fit) for fit in fits)


@pytest.mark.parametrize("chance", [0.0, 1.5])
def test_fits_are_finite_and_never_above_0(chance: float):
    fits = category_fits([(shown(Fruit_Apple=chance), 1.0)], products(*PATHS))

    assert all(math.log(LEAST) <= fit <= 0 for fit in fits)


def test_a_photo_without_guesses_changes_no_order():
    assert len(set(category_fits([(Classification(), 1.0)], products(*PATHS)))) == 1
