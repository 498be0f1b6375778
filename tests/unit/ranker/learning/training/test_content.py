"""Prediction of item-to-item weights from features: closed form, choice, use and explanation."""

from dataclasses import replace

import numpy as np
import pytest

from ranker.domain.arrays import Doubles
from ranker.domain.events import History
from ranker.domain.features import Product, feature_names
from ranker.domain.log import log_of
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.learning.training import content
from ranker.learning.training.ablation import AblationVerdict
from ranker.learning.training.content import EASE_PENALTY
from ranker.learning.training.fitting import Fitted, fitted
from ranker.learning.training.photo_vectors import LEAST_PRODUCTS
from ranker.learning.training.training_data import Given
from ranker.learning.training.training_steps import TrainingOrder, train
from ranker.learning.training.unlearn import without_erased
from ranker.serving.ranking import breakdown, fold_in, generate, parts
from ranker.serving.ranking.breakdown import Evidence
from ranker.serving.ranking.explain import explain
from ranker.serving.ranking.rank import ScoredCandidates, rank
from tests.fakes.ranker import NOW, candidates, did, product, record

DRAW = np.random.default_rng(3)
LIKED, NEW, SHOPPERS = 80, 8, 60
WEIGHTS = dict.fromkeys(parts.OWN_PARTS, 1.0)


def film(number: int, *, telling: bool = True) -> Product:
    """Return a film whose genre follows from its number, if it is telling."""
    draw = np.random.default_rng(number)
    kind = number % 2 if telling else int(draw.integers(2))
    tags = ("war" if kind else "love", str(draw.choice(["long", "short"])))
    return product(f"p{number:03}", brand=f"studio {draw.integers(3)}", tags=tags)


PRODUCTS = [film(n) for n in range(LIKED + NEW)]
EVENTS = [
    did(f"s{shopper:02}", f"p{n:03}", at=shopper * 100 + place)
    for shopper in range(SHOPPERS)
    for place, n in enumerate(DRAW.permutation(LIKED)[:40].tolist())
    if n % 2 == shopper % 2 or n % 7 == 0
]
RECIPE = Recipe(dimension=4, epochs=2, attribute_keys=())


def made(products: list[Product] = PRODUCTS) -> Fitted:
    return fitted(Given(log_of(EVENTS), products), RECIPE)


def likes() -> Doubles:
    """Return ones where a shopper likes a product, (shoppers, liked products)."""
    found = np.zeros((SHOPPERS, LIKED))
    for one in EVENTS:
        found[int(one.actor[1:]), int(one.product_id[1:])] = 1
    return found


def ease(likes: Doubles) -> Doubles:
    """Regress each product on all others, one by one."""
    weights = np.zeros((LIKED, LIKED))
    for item in range(LIKED):
        others = np.delete(np.arange(LIKED), item)
        left = likes[:, others]
        gram = left.T @ left + EASE_PENALTY * np.eye(len(others))
        weights[others, item] = np.linalg.solve(gram, left.T @ likes[:, item])
    return weights


def described(model: Model) -> Doubles:
    """Return ones for the features and pairs of each product, one by one."""
    known = model.content
    assert known is not None
    rows = []
    for one in PRODUCTS:
        names = feature_names(one, ())
        single = [float(name in names) for name in known.names]
        rows.append([*single, *(single[a] * single[b] for a, b in known.pairs.tolist())])
    return np.array(rows)


def test_scores_of_new_products_are_those_of_a_regression_of_ease_on_features() -> None:
    found = made()
    model, explained = found.model, found.described
    assert model.content is not None
    assert explained is not None
    features = described(model)
    features /= np.sqrt((features[:LIKED] ** 2).sum(axis=1).mean())
    centred = features - features[:LIKED].mean(axis=0)
    kept = centred[:LIKED]
    gram = kept.T @ kept + explained.penalty * np.eye(kept.shape[1])
    wanted = likes() @ ease(likes()) @ kept @ np.linalg.solve(gram, centred[LIKED:].T)
    assert model.actor_contents is not None
    assert model.content.rows.tolist() == list(range(LIKED, LIKED + NEW))
    order = [model.actor_rows[f"s{one:02}"] for one in range(SHOPPERS)]
    shoppers, new = model.actor_contents[order], model.content.row_vectors
    scores = shoppers[:, :-1] @ new[:, :-1].T
    size = np.abs(wanted).max() / np.abs(scores).max()
    np.testing.assert_allclose(size * scores, wanted, atol=1e-5 * np.abs(wanted).max())
    counts, weights = likes().sum(axis=0), ease(likes())
    rare = weights[:, counts <= np.quantile(counts, content.RARE)].mean(axis=1)
    level = content.LEVEL * likes() @ (rare - weights.mean(axis=1))
    np.testing.assert_allclose(size * shoppers[:, -1], level, atol=1e-5 * np.abs(level).max())
    assert (level < 0).all()
    assert (new[:, -1] == 1).all()


def test_only_the_most_popular_products_speak_but_all_are_learned_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content, "SOURCES", 30)
    found = made().model.content
    assert found is not None
    counts = likes().sum(axis=0)
    assert len(found.sources) == 30
    assert counts[found.sources].min() >= np.delete(counts, found.sources).max()
    assert found.names[:3] == ("brand=studio 0", "brand=studio 1", "brand=studio 2")


def test_features_that_say_nothing_stay_out() -> None:
    mixed = [film(n, telling=False) for n in range(LIKED + NEW)]
    found = made(mixed)
    assert found.described is not None
    assert not found.described.helps
    assert found.model.content is None
    assert made(PRODUCTS[: LEAST_PRODUCTS - 1]).described is None


def test_a_training_says_what_features_add() -> None:
    given = Given(log_of(EVENTS), PRODUCTS)
    trained = train(given, TrainingOrder(RECIPE, ablation=False), None, lambda *_: None, NOW)
    (said,) = [one for one in trained.additions if one.part == parts.CONTENT]
    assert (said.verdict, said.shopper_count) == (AblationVerdict.ADDS, LIKED)
    off = replace(RECIPE, blend=replace(RECIPE.blend, weights={"taste": 1.0}))
    assert fitted(given, off).model.content is None


def test_equal_events_in_any_order_give_equal_bits() -> None:
    first = made().model
    mixed = Given(log_of(EVENTS[::-1]), PRODUCTS[::-1])
    second = fitted(mixed, RECIPE).model
    assert first.content is not None
    assert second.content is not None
    for name in ("vectors", "usual", "source_vectors", "row_vectors"):
        assert getattr(first.content, name).tobytes() == getattr(second.content, name).tobytes()


def test_an_erased_shopper_is_not_in_it() -> None:
    kept = [one for one in EVENTS if one.actor != "s07"]
    with_it, without = made().model, fitted(Given(log_of(kept), PRODUCTS), RECIPE).model
    last = replace(record("v1"), last_event_micros=10**18)
    after = without_erased(with_it, last, log_of(kept), RECIPE)
    assert after.content is not None
    assert without.content is not None
    assert after.content.source_vectors.tobytes() == without.content.source_vectors.tobytes()
    assert after.actor_contents is not None
    assert not after.actor_contents[with_it.actor_rows["s07"]].any()


# In serving


MODEL = made().model
LATE = [
    product("late-war", brand="studio 1", tags=("war", "long")),
    product("late-odd", price=None),
]
SHOWN = candidates([*PRODUCTS, *LATE])


def ranked(actor: str, *last: str) -> ScoredCandidates:
    shopper = fold_in.of(MODEL, actor, last)
    return rank(SHOWN, WEIGHTS, shopper, MODEL, None, history=History())


@pytest.mark.parametrize(("actor", "last"), [("s01", ()), ("s00", ()), ("x", ("p003", "p005"))])
def test_a_product_that_came_after_the_training_counts_like_one_of_its_kind(
    actor: str, last: tuple[str, ...]
) -> None:
    found = ranked(actor, *last)
    value = dict(zip(found.rows.tolist(), found.parts[parts.CONTENT].tolist(), strict=True))
    whole = sum(found.parts.values())
    np.testing.assert_allclose(found.raw_scores, whole, atol=1e-9)
    assert all(value[row] == 0 for row in range(LIKED))
    usual = value[len(PRODUCTS) + 1]
    assert usual < 0, "no feature of it is known"
    likes_war = actor != "s00"
    assert (value[len(PRODUCTS)] > usual) is likes_war
    alike = [n for n in range(LIKED, LIKED + NEW) if n % 2]
    assert all((value[row] > usual) is likes_war for row in alike)


def test_nothing_is_said_where_all_candidates_were_liked() -> None:
    known = candidates(PRODUCTS[:LIKED])
    found = rank(known, WEIGHTS, fold_in.of(MODEL, "s01", ()), MODEL, None, history=History())
    assert parts.CONTENT not in found.parts
    assert parts.TASTE in found.parts


@pytest.mark.parametrize("top_k", [3, LIKED + NEW])
def test_new_products_are_nominated_by_the_score_they_are_ranked_by(top_k: int) -> None:
    shopper = fold_in.of(MODEL, "s01", ("p003",))
    found = generate.by_behaviour(shopper, MODEL, top_k, set())
    shown = candidates(PRODUCTS)
    scores = rank(shown, WEIGHTS, shopper, MODEL, None, history=History())
    expected = dict(zip(scores.rows.tolist(), scores.raw_scores.tolist(), strict=True))
    for item, score in zip(found.product_ids, found.scores, strict=True):
        assert score == pytest.approx(expected[int(item[1:])], abs=1e-5)
    near = generate.by_neighbours(shopper, MODEL, LIKED + NEW, set())
    assert {f"p{n:03}" for n in range(LIKED, LIKED + NEW)} <= set(near.product_ids)


def test_features_and_pairs_sum_to_the_part_and_the_strongest_is_the_reason() -> None:
    shopper = fold_in.of(MODEL, "s01", ())
    found = ranked("s01")
    factors = parts.factors(MODEL, WEIGHTS)
    evidence = Evidence(SHOWN, found, shopper, MODEL, factors)
    split = breakdown.split(evidence)[parts.CONTENT]
    for made_of, value in zip(split, found.parts[parts.CONTENT].tolist(), strict=True):
        size = sum(abs(gain) for _, gain in made_of)
        assert sum(gain for _, gain in made_of) == pytest.approx(value, abs=1e-6 * size + 1e-12)
    place = found.rows.tolist().index(len(PRODUCTS))
    assert {"tag=war", "tag=long & tag=war"} <= {name for name, _ in split[place]}
    above = found.parts[parts.CONTENT] + 1  # parts below 0 give no reason
    only = found._replace(parts={parts.CONTENT: above})
    (reason,) = explain(Evidence(SHOWN, only, shopper, MODEL, factors), "en")[place]
    assert (reason.code, reason.text) == ("MATCHES_TASTE", "Fits your taste: war")


def test_models_without_it_are_served_as_before() -> None:
    old = replace(MODEL, content=None, actor_contents=None)
    shopper = fold_in.of(old, "s01", ("p003",))
    found = rank(SHOWN, WEIGHTS, shopper, old, None, history=History())
    assert parts.CONTENT not in found.parts
    assert len(generate.by_behaviour(shopper, old, 10, set()).product_ids) == 10
