"""Photos that were taken together stay together in folds."""

import numpy as np
import pytest

from embedder.domain.fitted import CATALOGUE, SHOPPER, Labelled
from embedder.fitting import occasions
from embedder.fitting.folds import dealt, numbered
from embedder.fitting.occasions import by_occasion

PRODUCTS, OCCASIONS, PHOTOS, FEATURES = 4, 3, 5, 64


def shop(*, kind: int = SHOPPER) -> tuple[Labelled, list[str]]:
    """Return photos of products on some occasions, and the occasion of each."""
    draw = np.random.default_rng(3)
    features, names, products = [], [], []
    for product in range(PRODUCTS):
        for occasion in range(OCCASIONS):
            place = draw.normal(size=FEATURES)
            for _ in range(PHOTOS):
                features.append(place + 0.4 * draw.normal(size=FEATURES))
                names.append(f"{product} {occasion}")
                products.append(str(product))
    count = len(names)
    return (
        Labelled(
            features=np.array(features, np.float32)[:, None],
            kinds=np.full(count, kind, np.int8),
            products=products,
            groups=[f"photo {n}" for n in range(count)],
            categories=[()] * count,
        ),
        names,
    )


def split(names: list[str], groups: list[str]) -> list[int]:
    """Return the number of each photo's group, to compare groups whatever their names."""
    assert len(names) == len(groups)
    return numbered(groups).tolist()


def test_photos_of_one_occasion_are_one_group_and_others_are_not() -> None:
    data, names = shop()
    assert split(names, list(by_occasion(data).groups)) == numbered(names).tolist()


def test_no_occasion_is_on_both_sides_of_a_fold() -> None:
    data, names = shop()
    groups = numbered(list(by_occasion(data).groups))
    folds = dealt(groups, numbered(data.products), OCCASIONS, 0)
    for name in set(names):
        assert (
            len({fold for fold, each in zip(folds.tolist(), names, strict=True) if each == name})
            == 1
        )
    for product in range(PRODUCTS):  # and each fold has photos of each product
        mine = [
            fold for fold, each in zip(folds, data.products, strict=True) if each == str(product)
        ]
        assert len(set(mine)) == OCCASIONS


def test_photos_of_one_picture_stay_together_across_products_and_occasions() -> None:
    data, _ = shop()
    groups = list(data.groups)
    groups[0] = groups[-1] = "picture"
    found = by_occasion(
        Labelled(data.features, data.kinds, data.products, groups, data.categories)
    ).groups
    assert found[0] == found[1] == found[-1] == found[-2]
    assert found[0] != found[PHOTOS]


def test_the_catalog_s_own_photos_stay_as_they_are() -> None:
    data, _ = shop(kind=CATALOGUE)
    assert by_occasion(data).groups == data.groups


def test_a_product_with_very_many_photos_is_compared_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(occasions, "MOST", PHOTOS)
    data, names = shop()
    found = split(names, list(by_occasion(data).groups))
    of_a_product = OCCASIONS * PHOTOS
    assert len(set(found[:PHOTOS])) == 1
    assert len(set(found[PHOTOS:of_a_product])) == of_a_product - PHOTOS
