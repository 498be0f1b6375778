"""Addends of similarities by a photo's category."""

import math

import pytest

from gateway.retrieval.category_fit import LEAST, category_fits
from sightline.common.v1 import candidate_pb2
from sightline.common.v1.photo_pb2 import CategoryGuess, Classification
from sightline_core.columns import ProductColumns

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
    seen = shown(Fruit_Apple=0.8, Fruit_Pear=0.15, Dairy=0.04)

    fits = category_fits([(seen, 0.5)], products(*PATHS[:3]))

    assert fits == pytest.approx([0.5 * math.log(chance) for chance in (0.8, 0.15, 0.04)])


def test_products_of_categories_that_the_head_does_not_know_keep_their_cosines():
    fits = category_fits([(shown(Fruit_Apple=0.8, Fruit_Pear=0.15), 1.0)], products(*PATHS))

    assert fits[2:] == [0.0, 0.0]


@pytest.mark.parametrize("chance", [0.0, 0.001, 1.5])
def test_fits_are_finite_and_never_above_0(chance: float):
    (fit,) = category_fits([(shown(Fruit_Apple=chance), 1.0)], products(PATHS[0]))

    assert math.log(LEAST) <= fit <= 0


def test_several_photos_add_up():
    one, other = shown(Fruit_Apple=0.9, Dairy=0.1), shown(Fruit_Pear=1.0)

    fits = category_fits([(one, 0.1), (other, 0.3)], products(*PATHS[:3]))

    assert fits == pytest.approx([0.1 * math.log(0.9), 0.0, 0.1 * math.log(0.1)])
