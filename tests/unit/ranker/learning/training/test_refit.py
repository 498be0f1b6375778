import dataclasses

import numpy as np
import pytest

from ranker.adapters import model_store as artifact
from ranker.adapters import packing
from ranker.domain.errors import BaseUnusable
from ranker.domain.events import EventType
from ranker.domain.features import PhotoVectors
from ranker.domain.log import EventColumns, log_of
from ranker.domain.recipe import Recipe
from ranker.learning.training.fitting import Fitted, fitted
from ranker.learning.training.refit import State, refitted, state_arrays, state_of
from ranker.learning.training.training_data import Given
from tests.fakes.ranker import did, product
from tests.fakes.trainings import drawn_vectors

RECIPE = Recipe(dimension=8, epochs=24, shared_scale=1.0)
PRODUCTS = [product(f"{kind}{n}", kind) for kind in ("red", "white") for n in range(8)]


def bought(kind: str, people: range, at: int) -> list:  # type: ignore[type-arg]
    """Return purchases of three products each of one kind by these people."""
    return [
        did(f"{kind}-{person}", f"{kind}{(person + step) % 8}", EventType.PURCHASE, at=at + step)
        for person in people
        for step in range(3)
    ]


OLD = [*bought("red", range(20), 0), *bought("white", range(20), 0)]
NEW = [*bought("red", range(20, 26), 100), *bought("white", range(20, 26), 100)]
BEFORE, AFTER = log_of(OLD), log_of([*OLD, *NEW])


def state(found: Fitted, log: EventColumns, recipe: Recipe = RECIPE) -> State:
    """Return the state after a round trip through its arrays."""
    arrays = artifact.load_arrays(artifact.dump_arrays(state_arrays(found)))
    return state_of(arrays, found.model, recipe, int(log.time[-1]))


@pytest.fixture(scope="module")
def base() -> State:
    return state(fitted(Given(BEFORE, PRODUCTS), RECIPE), BEFORE)


def apart(found: Fitted) -> float:
    """Share of the new shoppers' pairs of (a red, a white) product that are in the right order."""
    model, right = found.model, []
    for kind, other in (("red", "white"), ("white", "red")):
        for person in range(20, 26):
            vector = model.actor_vectors[model.actor_rows[f"{kind}-{person}"]]
            scores = model.item_vectors @ vector + model.item_biases
            own = scores[[model.item_rows[f"{kind}{n}"] for n in range(8)]]
            others = scores[[model.item_rows[f"{other}{n}"] for n in range(8)]]
            right.append((own[:, None] > others).mean())
    return float(np.mean(right))


def test_it_comes_near_a_full_training_on_new_shoppers_in_a_quarter_of_the_epochs(
    base: State,
) -> None:
    reported: list[tuple[int, int]] = []
    found = refitted(Given(AFTER, PRODUCTS), base, lambda *step: reported.append(step))
    assert reported[-1] == (6, 6)
    full = apart(fitted(Given(AFTER, PRODUCTS), RECIPE))
    few = apart(fitted(Given(AFTER, PRODUCTS), dataclasses.replace(RECIPE, epochs=1)))
    assert apart(found) > full - 0.03
    assert apart(found) > few


def test_what_was_known_is_not_forgotten(base: State) -> None:
    found = refitted(Given(AFTER, PRODUCTS), base).model
    before = base.learned.shoppers.vectors[base.shopper_names.index("red-3")]
    now = found.actor_vectors[found.actor_rows["red-3"]]
    cosine = before @ now / np.linalg.norm(before) / np.linalg.norm(now)
    assert cosine > 0.9


def test_the_same_base_and_events_give_the_same_model(base: State) -> None:
    one, other = (
        refitted(Given(log_of(events), PRODUCTS), base).model
        for events in ([*OLD, *NEW], [*NEW[::-1], *OLD[::-1]])
    )
    assert packing.arrays_of(one).keys() == packing.arrays_of(other).keys()
    for name, array in packing.arrays_of(one).items():
        np.testing.assert_array_equal(array, packing.arrays_of(other)[name])


def test_without_anything_new_all_stays_as_it_was(base: State) -> None:
    found = refitted(Given(BEFORE, PRODUCTS), base).model
    np.testing.assert_array_equal(found.feature_vectors, base.learned.items.vectors)


def test_new_products_and_features_come_in_and_old_ones_go(base: State) -> None:
    products = [*PRODUCTS[1:], product("rosé0", "rosé")]
    events = [*OLD, *NEW, *[did(f"red-{n}", "rosé0", EventType.PURCHASE, at=200) for n in range(9)]]
    found = refitted(Given(log_of(events), products), base).model
    assert "id=rosé0" in found.feature_rows
    assert "red0" not in found.item_rows
    assert "id=red0" not in found.feature_rows


def test_the_style_goes_on_with_the_same_axes() -> None:
    vectors = drawn_vectors(PRODUCTS)
    given = Given(BEFORE, PRODUCTS, vectors)
    base = state(fitted(given, RECIPE), BEFORE)
    more = PhotoVectors(vectors.product_ids, vectors.vectors * 1.5, "v1")
    found = refitted(Given(AFTER, PRODUCTS, more), base)
    assert base.style is not None
    np.testing.assert_array_equal(found.model.style_axes, base.style.axes)


def test_axes_of_another_space_are_learned_anew_with_their_vectors() -> None:
    vectors = drawn_vectors(PRODUCTS)
    base = state(fitted(Given(BEFORE, PRODUCTS, vectors), RECIPE), BEFORE)
    other = PhotoVectors(vectors.product_ids, vectors.vectors[:, ::-1].copy(), "v2")
    found = refitted(Given(BEFORE, PRODUCTS, other), base)
    assert found.model.style_space == "v2"
    assert base.style is not None
    assert found.model.style_axes is not None
    assert not np.allclose(found.model.style_axes, base.style.axes)


@pytest.mark.parametrize("damage", ["gone", "shape", "type", "names", "nan"])
def test_a_state_that_does_not_fit_together_is_refused(damage: str) -> None:
    found = fitted(Given(BEFORE, PRODUCTS), dataclasses.replace(RECIPE, epochs=1))
    arrays = state_arrays(found)
    if damage == "gone":
        del arrays["items_biases"]
    elif damage == "shape":
        arrays["items_vectors"] = arrays["items_vectors"][:-1]
    elif damage == "type":
        arrays["items_vectors"] = arrays["items_vectors"].astype(np.float64)
    elif damage == "nan":
        arrays["items_vectors"] = arrays["items_vectors"] * np.float32(np.nan)
    else:
        arrays["shopper_names_offsets"] = arrays["shopper_names_offsets"][:-1]
    with pytest.raises(BaseUnusable):
        state_of(arrays, found.model, RECIPE, 0)
