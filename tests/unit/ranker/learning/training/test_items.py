"""Neighbours compared with a computation by hand, product by product."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from ranker.domain.arrays import Neighbours
from ranker.domain.events import EventType, Interaction
from ranker.domain.log import log_of
from ranker.domain.recipe import ItemItem, Recipe
from ranker.domain.signals import Interests, interests
from ranker.learning.training import items
from ranker.learning.training.items import item_item, kind_for
from ranker.serving.ranking.fold_in import WINDOWS

IDS = tuple(f"p{n}" for n in range(8))
KINDS = (ItemItem.TRANSITION, ItemItem.EASE, ItemItem.KNN, ItemItem.COSINE)
EVERYTHING = Recipe(transition_penalty=2.0, ease_penalty=2.0, neighbours=100)

Matrix = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def found() -> Interests:
    """Return forty shoppers who view 1 to 7 of 7 products; p3 belongs to another catalog."""
    draw = np.random.default_rng(1)
    return interests(
        log_of(
            Interaction(f"u{who:02}", f"p{what}", EventType.VIEW, None, 60 * when, f"{who}/{when}")
            for who in range(40)
            for when, what in enumerate(draw.permutation(7)[: draw.integers(1, 8)])
        )
    )


def dense(neighbours: Neighbours | None) -> Matrix:
    assert neighbours is not None
    made = np.zeros((len(neighbours.starts) - 1,) * 2)
    for row in range(len(made)):
        piece = slice(neighbours.starts[row], neighbours.starts[row + 1])
        made[row, neighbours.items[piece]] = neighbours.weights[piece]
    return made


def histories(found: Interests, ids: tuple[str, ...]) -> list[list[tuple[int, float]]]:
    """Return by shopper the rows of products with their weights, oldest first."""
    made = []
    for actor in range(len(found.actors)):
        mine = np.flatnonzero(found.actor == actor)
        mine = mine[np.lexsort((found.item[mine], found.time[mine]))]
        named = [(found.items[found.item[one]], found.weight[one]) for one in mine]
        made.append([(ids.index(item), weight) for item, weight in named if item in ids])
    return made


def regression(sources: Matrix, targets: Matrix, weights: Matrix, penalty: float) -> Matrix:
    """Fit a ridge regression of each product on all others, without the product itself."""
    count = sources.shape[1]
    made = np.zeros((count, count))
    for item in range(count):
        others = [one for one in range(count) if one != item]
        x, y = sources[:, others] * np.sqrt(weights)[:, None], targets[:, item] * np.sqrt(weights)
        made[others, item] = np.linalg.solve(x.T @ x + penalty * np.eye(count - 1), x.T @ y)
    return made


def before_and_after(found: Interests, ids: tuple[str, ...]) -> tuple[Matrix, Matrix, Matrix]:
    past, coming = WINDOWS.liked, items.NEXT
    sources, targets, weights = [], [], []
    for history in histories(found, ids):
        for place in range(1, len(history)):
            source, target = np.zeros(len(ids)), np.zeros(len(ids))
            for age, (item, _) in enumerate(reversed(history[:place])):
                source[item] = past.decay**age
            for step, (item, _) in enumerate(history[place : place + coming.items]):
                target[item] = coming.decay**step
            sources.append(source)
            targets.append(target / target.sum())
            weights.append(history[place][1])
    return np.array(sources), np.array(targets), np.array(weights)


def test_transitions_are_the_regression_of_what_comes_next_on_what_came_before(
    found: Interests,
) -> None:
    ids = tuple(one for one in IDS if one not in ("p3", "p7"))  # one unknown, one never liked
    made = dense(item_item(found, ids, EVERYTHING))
    np.testing.assert_allclose(
        made, regression(*before_and_after(found, ids), penalty=2.0), atol=1e-6
    )


def test_ease_is_the_regression_of_each_product_on_all_others(found: Interests) -> None:
    recipe = dataclasses.replace(EVERYTHING, item_item=ItemItem.EASE)
    likes = np.zeros((len(found.actors), len(IDS)))
    for row, history in enumerate(histories(found, IDS)):
        for item, weight in history:
            likes[row, item] = np.sqrt(weight)
    expected = regression(likes, likes, np.ones(len(likes)), penalty=2.0)
    np.testing.assert_allclose(dense(item_item(found, IDS, recipe)), expected, atol=1e-6)


@pytest.mark.parametrize("pairs", [items._PAIRS, 7])
def test_knn_is_the_shrunk_cosine_of_what_came_before_with_what_comes_next(
    found: Interests, monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    """Compute it in one block of products, and in many."""
    monkeypatch.setattr(items, "_PAIRS", pairs)
    sources, targets, weights = before_and_after(found, IDS)
    norms = [(weights @ side**2) for side in (sources, targets)]
    leaving, coming = (norm + items.SHRINKAGE * norm.sum() / weights.sum() for norm in norms)
    expected = (sources.T * weights) @ targets / np.sqrt(np.outer(leaving, coming))
    np.fill_diagonal(expected, 0)
    recipe = dataclasses.replace(EVERYTHING, item_item=ItemItem.KNN)
    np.testing.assert_allclose(dense(item_item(found, IDS, recipe)), expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_shoppers_change_nothing(
    found: Interests, monkeypatch: pytest.MonkeyPatch, kind: ItemItem
) -> None:
    recipe = dataclasses.replace(EVERYTHING, item_item=kind)
    whole = dense(item_item(found, IDS, recipe))
    monkeypatch.setattr(items, "_BLOCK", 10)
    np.testing.assert_allclose(dense(item_item(found, IDS, recipe)), whole, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_product_keeps_its_strongest_neighbours_by_size(found: Interests, kind: ItemItem) -> None:
    recipe = dataclasses.replace(EVERYTHING, item_item=kind)
    whole = dense(item_item(found, IDS, recipe))
    few = dense(item_item(found, IDS, dataclasses.replace(recipe, neighbours=2)))
    for row, kept in zip(whole, few, strict=True):
        best = sorted(np.flatnonzero(row), key=lambda item: (-abs(row[item]), item))[:2]
        assert sorted(best) == np.flatnonzero(kept).tolist()
        np.testing.assert_array_equal(kept[best], row[best])


def test_the_newest_likings_teach_where_there_are_too_many(
    found: Interests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "MOST_OF_ONE", 3)
    affinities = items.affinities_of(found, IDS)
    longest = [history[-3:] for history in histories(found, IDS)]
    assert affinities.items[affinities.item].tolist() == [
        item for one in longest for item, _ in one
    ]
    monkeypatch.setattr(items, "MOST_LIKINGS", 20)
    newest = np.sort(found.time)[-20]
    assert 20 <= len(items.affinities_of(found, IDS)) <= (found.time >= newest).sum()


def test_large_catalogs_get_cosines() -> None:
    assert kind_for(ItemItem.TRANSITION, items.DENSE_ITEMS) is ItemItem.TRANSITION
    assert kind_for(ItemItem.TRANSITION, items.DENSE_ITEMS + 1) is ItemItem.KNN
    assert kind_for(ItemItem.COSINE, items.DENSE_ITEMS + 1) is ItemItem.COSINE


def test_item_knn_is_the_cosine_of_the_columns_of_two_products(found: Interests) -> None:
    liked = np.zeros((len(found.actors), len(IDS)))
    for row, history in enumerate(histories(found, IDS)):
        liked[row, [item for item, _ in history]] = 1
    unit = liked / np.sqrt(np.maximum(liked.sum(axis=0), 1))
    expected = unit.T @ unit
    np.fill_diagonal(expected, 0)
    recipe = dataclasses.replace(EVERYTHING, item_item=ItemItem.COSINE)
    np.testing.assert_allclose(dense(item_item(found, IDS, recipe)), expected, atol=1e-6)


def test_the_recipe_turns_it_off(found: Interests) -> None:
    assert item_item(found, IDS, dataclasses.replace(EVERYTHING, item_item=ItemItem.OFF)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("products", [(), ("p0",), ("p0", "p1")])
def test_little_to_learn_from_gives_empty_rows(kind: ItemItem, products: tuple[str, ...]) -> None:
    """Check no event; one; and two, each of another shopper."""
    events = [Interaction(one, one, EventType.VIEW, None, 0, one) for one in products]
    recipe = dataclasses.replace(EVERYTHING, item_item=kind)
    assert not dense(item_item(interests(log_of(events)), IDS, recipe)).any()
