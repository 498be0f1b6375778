"""Weights learned from few pairs of affinities count less than those from many."""

import pytest

from ranker.domain.log import log_of
from ranker.domain.signals import Interests, interests
from ranker.learning.training.fitting import HALF_SURE, sureness
from tests.fakes.ranker import did


def liked(shoppers: int, products: int) -> Interests:
    """Return interests in which all shoppers like all products."""
    return interests(
        log_of(did(f"s{a}", f"p{i}", at=i) for a in range(shoppers) for i in range(products))
    )


def test_nobody_who_likes_two_products_says_nothing_of_pairs() -> None:
    assert sureness(liked(40, 1)) == 0


@pytest.mark.parametrize(("shoppers", "products"), [(1, 2), (10, 5), (100, 5)])
def test_sureness_is_the_share_of_pairs_a_product_beside_the_prior(
    shoppers: int, products: int
) -> None:
    pairs = shoppers * (products - 1) / 2
    assert sureness(liked(shoppers, products)) == pytest.approx(pairs / (pairs + HALF_SURE))


def test_a_shop_ten_times_as_large_with_as_many_pairs_a_product_is_as_sure() -> None:
    small = [did(f"s{a}", f"p{i}", at=i) for a in range(20) for i in range(4)]
    more = [did(f"{one.actor}/{n}", f"{one.product_id}/{n}") for one in small for n in range(10)]
    assert sureness(interests(log_of(more))) == pytest.approx(sureness(interests(log_of(small))))
