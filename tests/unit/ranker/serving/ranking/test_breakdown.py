"""Every part is the sum of its contributions, and each contribution has the right name."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain.arrays import Neighbours
from ranker.domain.events import History
from ranker.domain.features import Product, feature_names
from ranker.domain.model import Looks, Model
from ranker.serving.ranking import breakdown, fold_in, parts
from ranker.serving.ranking.breakdown import MOST_CONTRIBUTIONS, Evidence, split
from ranker.serving.ranking.rank import rank
from tests.fakes.ranker import candidates, model, product

WEIGHTS = dict.fromkeys(("visual", *parts.OWN_PARTS), 0.7)
PRODUCTS = [
    product("a", "Wine > Red", brand="X", tags=("Beef", "Game")),
    product("b", "Wine > Red", brand="Y"),
    product("c", "Wine > White", brand="X", attributes=(("country", "Italy"),)),
    product("d", "Beer"),
]


def trained(seed: int = 0, dimension: int = 3) -> Model:
    """Return a model of these products with every part, whose vectors are the sums of their
    features'."""
    draw = np.random.default_rng(seed)
    named = [feature_names(one, ("country",)) for one in PRODUCTS]
    names = [*sorted({name for row in named for name in row}), "style=00", "style=01"]
    features = {name: draw.normal(size=dimension) for name in names}
    biases = dict(zip(names, draw.normal(size=len(names)).astype(np.float32), strict=True))
    styles = draw.normal(size=(len(PRODUCTS), 2)).astype(np.float32)
    counts = [
        dict.fromkeys(row, 1.0) | {"style=00": style[0], "style=01": style[1]}
        for row, style in zip(named, styles, strict=True)
    ]
    made = model(
        {
            one.product_id: sum(count * features[name] for name, count in row.items())
            for one, row in zip(PRODUCTS, counts, strict=True)
        },
        actors={"ann": draw.normal(size=dimension)},
        features=features,
        biases={
            one.product_id: sum(count * biases[name] for name, count in row.items())
            for one, row in zip(PRODUCTS, counts, strict=True)
        },
        score_scale=2.5,
    )
    table = np.abs(draw.normal(size=(4, 4)))
    dense = Neighbours(
        np.arange(0, 17, 4), np.tile(np.arange(4, dtype=np.int32), 4), table.ravel().astype("f4")
    )
    kept = [(made.feature_rows[name], count) for row in counts for name, count in row.items()]
    return replace(
        made,
        item_features=Neighbours(
            np.cumsum([0, *map(len, counts)]),
            np.array([row for row, _ in kept], np.int32),
            np.array([count for _, count in kept], np.float32),
        ),
        feature_biases=np.array(list(biases.values()), np.float32),
        neighbours={"item_item": dense, "bought_together": dense},
        styles=styles,
        blend={"taste": 1.0, "session": 2.0, "item_item": 0.5, "bought_together": 0.25},
    )


def evidence(made: Model, actor=None, products=(), bought=(), of=PRODUCTS) -> Evidence:
    given_ = candidates(of, {"visual": [0.1] * len(of)})
    shopper = fold_in.of(made, actor, products, bought)
    ranking = rank(given_, WEIGHTS, shopper, made, None, history=History())
    return Evidence(given_, ranking, shopper, made, parts.factors(made, WEIGHTS))


def named(found: Evidence, part: str, item: str) -> dict[str, float]:
    """Return the contributions to one product's part."""
    place = [found.candidates.ids[row] for row in found.ranking.rows].index(item)
    return dict(split(found)[part][place])


@given(
    seed=st.integers(0, 50),
    actor=st.sampled_from(["ann", None]),
    products=st.lists(st.sampled_from("abcd"), unique=True),
    bought=st.integers(0, 4),
    changed=st.booleans(),
)
def test_contributions_sum_to_their_part_whatever_is_known(seed, actor, products, bought, changed):
    of: list[Product] = PRODUCTS
    if changed:  # since the training: another brand, a product that is new
        of = [replace(PRODUCTS[0], brand="Z"), *PRODUCTS[1:], product("e", "Wine > Red")]
    found = evidence(trained(seed), actor, products, products[:bought], of)
    for part, columns in split(found).items():
        for contributions, value in zip(columns, found.ranking.parts[part], strict=True):
            size = sum(abs(one) for _, one in contributions)
            assert sum(one for _, one in contributions) == pytest.approx(value, abs=1e-6 * size)
            sizes = [abs(one) for _, one in contributions]
            assert sizes == sorted(sizes, reverse=True)


def test_taste_comes_from_the_products_features_and_its_look():
    found = named(evidence(trained(), "ann"), "taste", "c")
    assert set(found) - {"other"} == {
        "id=c",
        "category=Wine",
        "category=Wine > White",
        "brand=X",
        "price_band=EUR:6",
        "attribute.country=Italy",
        "style",
    }
    # What has no name is single precision alone.
    assert abs(found.get("other", 0)) < 1e-5 * sum(map(abs, found.values()))


def test_what_a_photo_says_of_a_product_without_likes_is_named():
    made = trained()
    names = tuple("line=b" if name == "id=b" else name for name in made.feature_names)
    vectors, says = made.item_vectors.copy(), np.array([1.0, -2.0, 0.5], np.float32)
    vectors[made.item_rows["b"]] += says
    looks = Looks(*(np.zeros((1, 3), np.float32),) * 2, np.zeros(3, np.float32), 2.0)
    made = replace(
        made,
        looks=looks,
        item_vectors=vectors,
        feature_names=names,
        feature_rows={name: row for row, name in enumerate(names)},
    )
    found = evidence(made, "ann")
    said = says @ made.actor_vectors[0] * found.factors["taste"]
    assert named(found, "taste", "b")["style"] == pytest.approx(said, rel=1e-4)
    # Of one that was liked in training, the style is what an older model learned as features.
    older = sum(weight for name, weight in named(found, "taste", "a").items())
    assert older == pytest.approx(found.ranking.parts["taste"][list(found.ranking.rows).index(0)])


def test_a_product_that_changed_is_explained_by_what_its_vector_was_made_of():
    of = [replace(PRODUCTS[1], brand="Q"), PRODUCTS[0]]
    found = named(evidence(trained(), "ann", of=of), "taste", "b")
    assert "brand=Y" in found
    assert abs(found.get("other", 0)) < 1e-5 * sum(map(abs, found.values()))


def test_where_a_model_does_not_keep_that_what_the_product_lost_is_other():
    older = replace(trained(), item_features=None)
    of = [replace(PRODUCTS[1], brand="Q"), PRODUCTS[0]]
    before = named(evidence(older, "ann"), "taste", "b")
    after = named(evidence(older, "ann", of=of), "taste", "b")
    assert after["other"] - before["other"] == pytest.approx(before["brand=Y"], rel=1e-4)


def test_session_comes_from_the_last_products_alone():
    made = trained()
    newcomer = named(evidence(made, "newcomer", ["b", "d"]), "session", "a")
    assert {"product=b", "product=d"} <= set(newcomer) <= {"product=b", "product=d", "other"}
    assert abs(newcomer.get("other", 0.0)) < 1e-5 * sum(map(abs, newcomer.values()))
    known = named(evidence(made, "ann", ["b", "d"]), "session", "a")
    assert {"product=b", "product=d"} <= set(known) <= {"product=b", "product=d", "other"}


def test_neighbours_parts_come_from_the_products_whose_neighbours_they_are():
    found = evidence(trained(), "ann", ["b", "d"], ["d"])
    assert set(named(found, "item_item", "a")) == {"product=b", "product=d"}
    assert set(named(found, "bought_together", "a")) == {"product=d"}


def test_the_smallest_of_many_features_go_together():
    tags = tuple(f"t{number:02}" for number in range(40))
    many = product("m", tags=tags)
    features = {f"tag={tag}": [1.0 + number] for number, tag in enumerate(tags)}
    made = model({"m": [sum(1.0 + n for n in range(40))]}, actors={"ann": [1.0]}, features=features)
    ((contributions,),) = split(evidence(made, "ann", of=[many])).values()
    assert len(contributions) == MOST_CONTRIBUTIONS + 1
    assert contributions[0][0] == breakdown.OTHER
    assert contributions[1][0] == "tag=t39"


def test_without_a_model_nothing_is_split():
    given_ = candidates(PRODUCTS, {"visual": [0.1] * 4})
    nobody = fold_in.FoldIn()
    ranking = rank(given_, WEIGHTS, nobody, None, None, history=History())
    assert split(Evidence(given_, ranking, nobody, None)) == {}
