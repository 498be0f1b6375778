"""The bench of photos that do not fit their product, on made vectors."""

import numpy as np

from lab.cases.misfits import LEADS, shares
from retriever.domain.misfits import MIN_LEAD


def test_exchanged_photos_are_found_where_products_look_alike_in_themselves() -> None:
    rng = np.random.default_rng(1)
    products = np.repeat(np.arange(30), 8)
    looks = rng.standard_normal((30, 32))
    vectors = looks[products] + 0.1 * rng.standard_normal((len(products), 32))
    found = shares(vectors.astype(np.float32), products, 5)[LEADS.index(MIN_LEAD)]
    assert found.recall.value > 0.9
    assert found.precision.value > 0.9


def test_where_photos_say_nothing_reports_are_wrong() -> None:
    rng = np.random.default_rng(2)
    products = np.repeat(np.arange(30), 8)
    vectors = rng.standard_normal((len(products), 32)).astype(np.float32)
    found = shares(vectors, products, 5)[LEADS.index(MIN_LEAD)]
    assert found.precision.value < 0.3
