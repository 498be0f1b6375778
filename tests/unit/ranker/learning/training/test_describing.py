import numpy as np
import pytest

from ranker.domain.features import Product
from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.signals import Interests, Signals, interests
from ranker.learning.training.describing import described, product_features
from tests.fakes.ranker import did, model, product

AXES = {"Red": (1.0, 0.0), "White": (0.0, 1.0)}
PRODUCTS = [
    product(f"{category[0].lower()}{n}", category, brand=f"B{n % 3}", tags=("fruity",))
    for category in AXES
    for n in range(8)
]


def shop() -> Model:
    rng = np.random.default_rng(0)
    return model(
        {
            one.product_id: np.array(AXES[one.category]) + 0.05 * rng.standard_normal(2)
            for one in PRODUCTS
        }
    )


def crowd(reds: int = 20, whites: int = 10) -> Interests:
    """Return shoppers who each like three products of one category."""
    return interests(
        log_of(
            did(f"{letter}-fan{n}", f"{letter}{(n + k) % 8}", at=k)
            for letter, count in (("r", reds), ("w", whites))
            for n in range(count)
            for k in range(3)
        )
    )


def test_groups_are_found_by_what_people_like_and_say_what_sets_them_apart() -> None:
    found = described(shop(), PRODUCTS, crowd(), seed=0)
    segments, features = found.segments, found.product_features
    assert segments is not None
    assert features is not None
    np.testing.assert_allclose(segments.shares, [2 / 3, 1 / 3])
    strongest = [features.names[row.argmax()] for row in segments.strengths]
    assert strongest == ["category=Red", "category=White"]
    np.testing.assert_allclose(np.linalg.norm(segments.centroids, axis=1), 1, rtol=1e-5)
    assert segments.silhouette > 0.5


def test_the_same_events_in_any_order_of_products_tell_the_same() -> None:
    one = described(shop(), PRODUCTS, crowd(), seed=0)
    two = described(shop(), PRODUCTS[::-1], crowd(), seed=0)
    assert one.product_features is not None
    assert two.product_features is not None
    assert one.product_features.names == two.product_features.names
    np.testing.assert_array_equal(one.product_features.features, two.product_features.features)
    assert one.segments is not None
    assert two.segments is not None
    np.testing.assert_array_equal(one.segments.centroids, two.segments.centroids)


def test_few_people_and_robots_are_no_crowd() -> None:
    assert described(shop(), PRODUCTS, crowd(10, 9), seed=0).segments is None
    log = log_of(did(f"a{n}", f"r{k}", at=k) for n in range(40) for k in range(8))
    flagged = interests(log, Signals(robot_products_a_day=3))
    assert flagged.robots.all()
    assert described(shop(), PRODUCTS, flagged, seed=0).segments is None


def test_each_product_is_described_by_its_features_without_its_id() -> None:
    wine = Product("x", "Wine > Red", "Casa", None, ("oak",), (("country", "Italy"), ("sku", "1")))
    found = product_features([wine], ("country",), None, np.ones(1), seed=0)
    assert found.names == (
        "attribute.country=Italy",
        "brand=Casa",
        "category=Wine",
        "category=Wine > Red",
        "tag=oak",
    )
    assert found.features.tolist() == [0, 1, 2, 3, 4]
    assert found.starts.tolist() == [0, 5]


def test_usual_shares_are_those_of_interest_and_not_of_the_catalog() -> None:
    interest = np.array([3.0 if one.category == "Red" else 1.0 for one in PRODUCTS])
    found = product_features(PRODUCTS, (), None, interest, seed=0)
    shares = dict(zip(found.names, found.shares.tolist(), strict=True))
    assert shares["category=Red"] == pytest.approx(0.75)
    assert shares["tag=fruity"] == pytest.approx(1)
    nobody = product_features(PRODUCTS, (), None, np.zeros(len(PRODUCTS)), seed=0)
    assert not nobody.shares.any()


def test_products_that_look_alike_share_the_name_of_the_most_typical_one() -> None:
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [9, 0], [0, 9], [9, 9]], np.float32)
    styles = corners[np.arange(16) % 4] + 0.1 * rng.standard_normal((16, 2)).astype(np.float32)
    styles[0] = np.nan  # has no photo
    found = product_features(PRODUCTS, (), styles, np.ones(16), seed=0)
    looks: list[str] = []
    for row in range(16):
        names = [found.names[one] for one in found.features[found.starts[row] :][:9]]
        count = found.starts[row + 1] - found.starts[row]
        looks.append(next((one for one in names[:count] if one.startswith("look=")), ""))
    assert looks[0] == ""
    assert [len({*looks[first::4]} - {""}) for first in range(4)] == [1, 1, 1, 1]
    assert len({*looks} - {""}) == 4
    for name in {*looks} - {""}:
        typical = [one.product_id for one in PRODUCTS].index(name.removeprefix("look="))
        assert looks[typical] == name
