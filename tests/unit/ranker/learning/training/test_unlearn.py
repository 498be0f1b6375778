"""Models after erasures: the sums in them are those of a training without the erased."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from ranker.adapters.model_store import UNLEARNED
from ranker.domain.arrays import Neighbours
from ranker.domain.erasure import Person
from ranker.domain.errors import ModelCorrupt
from ranker.domain.events import EventType, Identity, Interaction, Shopper
from ranker.domain.features import Product
from ranker.domain.log import EventColumns, log_of
from ranker.domain.model import Model
from ranker.domain.recipe import Recipe
from ranker.learning.forget import ForgetInModels
from ranker.learning.training.fitting import fitted
from ranker.learning.training.job import NOTHING_NEW, TrainingInputs
from ranker.learning.training.sums import SUMS
from ranker.learning.training.training_data import Given
from ranker.learning.training.unlearn import unlearn, without_erased
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.tables import EVENTS
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from tests.fakes.ranker import HOUR, KEY, NOW, record
from tests.unit.ranker.learning.training.test_job import buy, results, shop, trained

__all__ = ["shop"]

WHO = 4


async def erase(db: Database, number: int) -> None:
    """Delete a shopper's events, and store the erasure."""
    actor = KEY.of("default", Shopper(Identity.USER, f"user-{number}"))
    gone = sa.delete(EVENTS).where(EVENTS.c.actor == actor)
    await db.write(lambda connection: connection.execute(gone))
    await ErasureRecord(db).begin(Person("default", (actor,), now_micros()), "a-job")


async def read(shop: TrainingInputs, version: str) -> Model:
    row = await shop.registry.get("default", version)
    return shop.store.read(*row.key)


def arrays(model: Model) -> dict[str, bytes]:
    """Return the sums of a model as bytes."""
    found = {}
    for name in SUMS:
        value = getattr(model, name)
        for part, learned in value.items() if isinstance(value, dict) else [(name, value)]:
            parts = {"": learned}
            if isinstance(learned, Neighbours):
                parts = {one.name: getattr(learned, one.name) for one in fields(learned)}
            found |= {f"{part} {key}": array.tobytes() for key, array in parts.items()}
    return found


async def forgotten(shop: TrainingInputs, db: Database) -> int:
    return await unlearn("default", db, shop.store, lambda done, total: None)


async def test_the_sums_are_those_of_a_training_without_the_erased_shopper(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(16))
    version = await trained(shop, ablation=False)
    before = await read(shop, version)
    await erase(db, WHO)
    assert await forgotten(shop, db) == 1
    after, without = (
        await read(shop, version),
        await read(shop, await trained(shop, ablation=False)),
    )
    assert arrays(after) == arrays(without)
    assert sum(arrays(before)[name] != arrays(after)[name] for name in arrays(after)) > 2
    assert after.item_vectors.tobytes() == before.item_vectors.tobytes()


async def test_an_erasure_that_waits_for_its_job_is_as_good_as_done(
    shop: TrainingInputs, db: Database
) -> None:
    """Jobs run one at a time, so that a night's subtraction may overtake the deletion of rows."""
    await buy(db, range(16))
    version = await trained(shop, ablation=False)
    actor = KEY.of("default", Shopper(Identity.USER, f"user-{WHO}"))
    erasures, person = ErasureRecord(db), Person("default", (actor,), now_micros())
    await erasures.begin(person, "a-job")
    assert await forgotten(shop, db) == 1
    subtracted = await read(shop, version)
    meanwhile = await read(shop, await trained(shop, ablation=False))
    gone = sa.delete(EVENTS).where(EVENTS.c.actor == actor)
    await db.write(lambda connection: connection.execute(gone))
    assert await forgotten(shop, db) == 0
    assert arrays(subtracted) == arrays(meanwhile)
    again = await results(shop, ablation=False)
    assert again == {"model_version": meanwhile.version, NOTHING_NEW: "true"}
    await erasures.complete(person, "a-job", (), now_micros())
    await buy(db, range(WHO, WHO + 1), at=200)
    log = await EventRecord(db).interactions("default")
    assert actor in {one.actor for one in log}, "a shopper who returns is learned from"


@pytest.mark.full
async def test_each_erasure_is_subtracted_once_and_from_earlier_models_only(
    shop: TrainingInputs, db: Database, tmp_path: Path
) -> None:
    await buy(db, range(16))
    assert await forgotten(shop, db) == 0
    old = await trained(shop, ablation=False)
    await erase(db, WHO)
    assert await forgotten(shop, db) == 1
    assert await forgotten(shop, db) == 0
    new = await trained(shop, ablation=False)
    assert await forgotten(shop, db) == 0
    await erase(db, WHO + 1)
    assert await forgotten(shop, db) == 2
    for version in (old, new):
        names = [path.name for path in (tmp_path / "models/default" / version).iterdir()]
        assert len(names) == 3, "the former files are deleted"


async def test_a_damaged_model_is_told_after_the_others_have_forgotten(
    shop: TrainingInputs, db: Database, tmp_path: Path
) -> None:
    await buy(db, range(16))
    older, newer = [await trained(shop, ablation=False, seed=seed) for seed in (0, 1)]
    (tmp_path / "models/default" / newer / "model.npz").write_bytes(b"")
    await erase(db, WHO)
    who = KEY.of("default", Shopper(Identity.USER, f"user-{WHO}"))
    with pytest.raises(ModelCorrupt):
        await ForgetInModels(db, shop.store).all_of("default", who.__eq__, {who})
    with pytest.raises(ModelCorrupt):
        await forgotten(shop, db)
    row = await shop.registry.get("default", older)
    assert shop.store.vectors_of(*row.key, [who]) == {}
    assert UNLEARNED in shop.store.manifest(*row.key)


async def test_a_model_of_which_nobody_is_left_has_no_neighbours(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(2))
    version = await trained(shop, ablation=False)
    for number in range(2):
        await erase(db, number)
    assert await forgotten(shop, db) == 1
    model = await read(shop, version)
    assert model.popularity is not None
    assert not model.popularity.any()
    assert not len(model.neighbours["bought_together"].items)


@pytest.mark.full
async def test_a_continued_model_holds_what_its_base_holds(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(16))
    base = await trained(shop, ablation=False)
    await shop.registry.promote("default", base, NOW)
    await buy(db, range(16, 20), at=100)
    version = await trained(shop, incremental=True)
    known = await shop.registry.get("default", base)
    assert (await shop.registry.get("default", version)).read_micros == known.read_micros > 0


# Membership inference


ITEMS, EACH, CROWD, SOME = 120, 6, 300, 80


@dataclass(frozen=True)
class Shoppers:
    """A crowd, members and outsiders of the same tastes; each bought `EACH` products."""

    crowd: list[list[int]]
    members: list[list[int]]
    outsiders: list[list[int]]

    @classmethod
    def drawn(cls, seed: int) -> Shoppers:
        rng = np.random.default_rng(seed)

        def some(count: int) -> list[list[int]]:
            return [
                (rng.choice(ITEMS // 4, EACH, replace=False) + ITEMS // 4 * (each % 4)).tolist()
                for each in range(count)
            ]

        return cls(some(CROWD), some(SOME), some(SOME))


def log(*groups: list[list[int]]) -> EventColumns:
    people = [history for group in groups for history in group]
    return log_of(
        Interaction(
            actor=f"shopper-{number:04}",
            product_id=f"p{item:03}",
            type=EventType.PURCHASE,
            value=None,
            time_micros=NOW + number * HOUR + step,
            event_id=f"{number:04}-{step}",
        )
        for number, history in enumerate(people)
        for step, item in enumerate(history)
    )


def fit(events: EventColumns) -> Model:
    recipe = Recipe(dimension=16, epochs=20)
    products = [Product(f"p{item:03}") for item in range(ITEMS)]
    return fitted(Given(events, products), recipe).model


def guesses(model: Model, group: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return an attacker's scores for whether a model was trained on these histories: how strongly
    it relates their products, by its sums and by LightFM's vectors."""
    related = np.zeros((ITEMS, ITEMS))
    for found in model.neighbours.values():
        rows = np.repeat(np.arange(ITEMS), np.diff(found.starts))
        related[rows, found.items] += found.weights
    near = model.item_vectors @ model.item_vectors.T
    pairs = [np.ix_(history, history) for history in group]
    return (
        np.array([related[pair].sum() for pair in pairs]),
        np.array([near[pair].sum() - np.trace(near[pair]) for pair in pairs]),
    )


def interval(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the AUC of telling members from outsiders."""
    rng = np.random.default_rng(0)
    wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    drawn = [
        wins[np.ix_(*(rng.integers(0, size, size) for size in wins.shape))].mean()
        for _ in range(400)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


@pytest.mark.slow
def test_nobody_can_tell_who_was_erased() -> None:
    drawn = Shoppers.drawn(1)
    learned = fit(log(drawn.crowd, drawn.members))
    left = log(drawn.crowd)
    about = replace(record("v1"), last_event_micros=NOW + (CROWD + SOME) * HOUR)
    unlearned = without_erased(learned, about, left, Recipe(dimension=16, epochs=20))

    def told(model: Model, which: int) -> tuple[float, float]:
        return interval(
            guesses(model, drawn.members)[which], guesses(model, drawn.outsiders)[which]
        )

    assert told(learned, 0)[0] > 0.6
    assert told(learned, 1)[0] > 0.6
    for low, high in (told(unlearned, 0), told(fit(left), 0), told(fit(left), 1)):
        assert low <= 0.5 <= high
    assert told(unlearned, 1) == told(learned, 1), "LightFM's part waits for a training"
