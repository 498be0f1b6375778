"""Trainings as jobs: a real record and real files, and a catalog in memory."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ranker.adapters.model_store import ModelStore
from ranker.adapters.packing import unpack_texts
from ranker.domain.erasure import Person
from ranker.domain.errors import BaseUnusable, DataInsufficient, StoreUnwritable
from ranker.domain.events import EventType, Identity, Shopper
from ranker.domain.features import PhotoVectors, Product
from ranker.domain.recipe import Loss, Recipe, recipe_of
from ranker.events.intake import _stored as to_stored
from ranker.learning.forget import ForgetInModels
from ranker.learning.training import job as training_job
from ranker.learning.training.job import TrainingInputs, order_of
from ranker.learning.training.training_data import Given
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.shoppers import ShopperRecord
from ranker.settings import TrainSettings
from servicekit.artefacts.store import Draft
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from tests.fakes.ranker import HOUR, KEY, NOW, event
from tests.fakes.trainings import PRODUCTS, drawn_vectors

SETTINGS = TrainSettings(train_dimension=8, train_epochs=4)


class Shelf:
    """A catalog in memory."""

    def __init__(self) -> None:
        self.held: tuple[Product, ...] = tuple(PRODUCTS)
        self.looks: PhotoVectors | None = drawn_vectors(PRODUCTS)

    async def products(self, catalog_id: str) -> tuple[Product, ...]:
        return self.held

    async def vectors(self, catalog_id: str) -> PhotoVectors | None:
        return self.looks


@pytest.fixture
def shop(db: Database, tmp_path: Path) -> TrainingInputs:
    return TrainingInputs(db, Shelf(), ModelStore(str(tmp_path / "models")))  # type: ignore[arg-type]


async def buy(db: Database, people: range, at: int = 0) -> None:
    """Write purchases of three reds each, or three whites each, by these people one after
    another."""
    events = []
    for person in people:
        kind, who = "rw"[person % 2], Shopper(Identity.USER, f"user-{person}")
        for step in range(3):
            one = event(
                f"{person}-{step}-{at}",
                shopper=who,
                type=EventType.PURCHASE,
                product_id=f"{kind}{(person // 2 + step) % 4}",
                time_micros=NOW + (at + 10 * person + step) * HOUR,
            )
            events.append(to_stored("default", one, KEY, NOW))
    await EventRecord(db).append(events)


async def view_elsewhere(db: Database, count: int) -> None:
    """Write views of products by ids of another system."""
    views = [event(f"x{n}", product_id=f"erp-{n % 3}", time_micros=NOW) for n in range(count)]
    await EventRecord(db).append([to_stored("default", one, KEY, NOW) for one in views])


async def results(shop: TrainingInputs, **params: object) -> dict[str, str]:
    """Return the results of a job with these parameters."""
    job = await shop.jobs.create("train", "default", {"seed": 0, **params})
    return await training_job.run(job.id, SETTINGS.training, shop, lambda done, total: None)


async def trained(shop: TrainingInputs, **params: object) -> str:
    """Return the version that a job with these parameters trains."""
    found = await results(shop, **params)
    assert "nothing_new" not in found
    return found["model_version"]


async def test_a_job_leaves_a_model_its_row_and_what_was_found_of_it(
    shop: TrainingInputs, db: Database, tmp_path: Path
) -> None:
    await buy(db, range(16))
    version = await trained(shop, recipe={"dimension": 6, "loss": "bpr"}, search_trials=2)
    row = await shop.registry.get("default", version)
    recipe = recipe_of(row.training["recipe"])
    assert recipe.loss is Loss.BPR
    assert row.training["trials"] == 2
    assert (row.event_count, row.shopper_count, row.product_count) == (48, 16, 10)
    assert (await shop.registry.report("default", version))["verdict"] == row.verdict
    model = shop.store.read("default", version, row.manifest_sha256)
    assert model.style_space == "v1"
    assert model.item_vectors.shape == (10, recipe.dimension)
    manifest = json.loads((tmp_path / "models/default" / version / "manifest.json").read_text())
    assert manifest["recipe"] == row.training["recipe"]
    assert set(manifest["files"]) == {"model.npz", "state.npz"}


async def test_a_job_says_how_many_events_are_of_no_product(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(16))
    await view_elsewhere(db, 7)
    found = await results(shop)
    assert (found["event_count"], found["unmatched_event_count"]) == ("55", "7")
    row = await shop.registry.get("default", found["model_version"])
    assert {one.name: one.value for one in row.metrics}["unmatched_events"] == 7.0


async def test_too_few_events_say_how_many_are_of_no_product(
    shop: TrainingInputs, db: Database
) -> None:
    await view_elsewhere(db, 7)
    with pytest.raises(
        DataInsufficient, match="7 of 7 events are of products that the catalog lac"
    ):
        await results(shop)


async def test_the_same_data_make_the_same_version_whenever(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(8))
    version = await trained(shop)
    row = await shop.registry.get("default", version)
    await shop.registry.add(replace(row, training={}))
    assert await trained(shop) == version


async def test_where_nothing_is_new_nothing_is_trained_and_the_job_names_the_model(
    shop: TrainingInputs, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await buy(db, range(8))
    version = await trained(shop)
    before = await shop.registry.get("default", version)
    monkeypatch.delattr(training_job, "train")
    assert await results(shop) == {"model_version": version, "nothing_new": "true"}
    await shop.registry.promote("default", version, NOW)
    assert (await results(shop))["nothing_new"] == "true"
    after = await shop.registry.get("default", version)
    assert after.read_micros > before.read_micros, "it holds no shopper erased meanwhile"
    assert after.trained_micros == before.trained_micros


async def give(db: Database, person: int) -> None:
    """Store an attribute of a person."""
    actor = KEY.of("default", Shopper(Identity.USER, f"user-{person}"))
    await ShopperRecord(db).set_attributes(
        "default", actor, {"likes": "r"}, consent=True, key_id=KEY.key_id, now_micros=NOW
    )


@pytest.mark.first(2)
@pytest.mark.parametrize(
    "what", ["event", "attribute", "product", "photo", "seed", "recipe", "serving", "files"]
)
async def test_whatever_is_new_is_trained_on(
    shop: TrainingInputs, db: Database, tmp_path: Path, what: str
) -> None:
    catalog, params = shop._catalog, {}
    assert isinstance(catalog, Shelf)
    assert catalog.looks is not None
    await buy(db, range(8))
    version = await trained(shop)
    match what:
        case "event":
            await buy(db, range(1), at=50)
        case "attribute":
            await give(db, 3)
        case "product":
            catalog.held = (*PRODUCTS[:-1], replace(PRODUCTS[-1], brand="new"))
        case "photo":
            catalog.looks = replace(catalog.looks, vectors=catalog.looks.vectors + 0.5)
        case "seed":
            params = {"seed": 1}
        case "recipe":
            params = {"recipe": {"epochs": 3}}
        case "serving":
            other = await trained(shop, seed=1)
            await shop.registry.promote("default", other, NOW)
        case "files":
            (tmp_path / "models/default" / version / "model.npz").unlink()
    assert await trained(shop, **params)


@pytest.mark.full
async def test_a_model_without_a_shopper_is_trained_again_once_the_shopper_takes_part(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(8))
    version = await trained(shop)
    ann = KEY.of("default", Shopper(Identity.USER, "user-3"))
    assert await ForgetInModels(db, shop.store).all_of("default", ann.__eq__, {ann}) == 1
    assert await trained(shop) == version


async def test_an_incremental_job_goes_on_from_what_serves_by_its_recipe(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(16))
    base = await trained(shop, recipe={"dimension": 6})
    await shop.registry.promote("default", base, NOW)
    await buy(db, range(16, 20), at=100)
    version = await trained(shop, incremental=True)
    row = await shop.registry.get("default", version)
    assert row.training["base"] == base
    assert recipe_of(row.training["recipe"]).dimension == 6
    model = shop.store.read("default", version, row.manifest_sha256)
    assert len(model.actor_rows) == 20
    assert (await shop.registry.report("default", version))["production"] == base


async def test_there_is_nothing_to_go_on_from_where_no_model_serves(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(4))
    await trained(shop)
    with pytest.raises(BaseUnusable, match="no model serves"):
        await trained(shop, incremental=True)


async def test_a_model_without_a_state_is_nothing_to_go_on_from(
    shop: TrainingInputs, db: Database, tmp_path: Path
) -> None:
    await buy(db, range(4))
    version = await trained(shop)
    await shop.registry.promote("default", version, NOW)
    (tmp_path / "models/default" / version / "state.npz").unlink()
    await buy(db, range(4, 6), at=9)
    with pytest.raises(BaseUnusable, match="start a full training"):
        await trained(shop, incremental=True)


@pytest.mark.full
async def test_what_shoppers_gave_is_learned_and_used_again(
    shop: TrainingInputs, db: Database
) -> None:
    await buy(db, range(16))
    for person in range(16):
        actor = KEY.of("default", Shopper(Identity.USER, f"user-{person}"))
        given = {"likes": "rw"[person % 2]}
        await ShopperRecord(db).set_attributes(
            "default", actor, given, consent=True, key_id=KEY.key_id, now_micros=NOW
        )
    version = await trained(shop)
    row = await shop.registry.get("default", version)
    model = shop.store.read("default", version, row.manifest_sha256)
    assert model.shopper_feature_names == ("likes=r", "likes=w")


async def test_a_full_disk_leaves_no_model_and_no_half_of_one(
    shop: TrainingInputs, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await buy(db, range(4))
    write = Draft.write

    def full(self: Draft, data: bytes) -> None:
        write(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Draft, "write", full)
    with pytest.raises(StoreUnwritable, match="No space left"):
        await trained(shop)
    assert await shop.registry.list("default", limit=9, before=None) == ()
    assert [path for path in (tmp_path / "models").rglob("*") if path.is_file()] == []


async def test_nothing_to_learn_from_leaves_what_serves(shop: TrainingInputs, db: Database) -> None:
    await buy(db, range(4))
    version = await trained(shop)
    await shop.registry.promote("default", version, NOW)
    catalog = shop._catalog
    assert isinstance(catalog, Shelf)
    catalog.held = (PRODUCTS[-1],)
    with pytest.raises(DataInsufficient):
        await trained(shop)
    assert (await shop.registry.promoted(("default",)))["default"].version == version


def test_what_a_job_leaves_open_is_as_the_recipe_file_says(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("dimension = 12\nsearch_trials = 3\nablation = false\n")
    settings = TrainSettings(recipe_file=file)
    found = order_of({"seed": 5, "recipe": {"epochs": 9}}, settings.training)
    assert found.recipe == Recipe(dimension=12, epochs=9, seed=5, signals=settings.signals)
    assert (found.budget.trials, found.ablation) == (3, False)
    assert order_of({"search_trials": 0, "ablation": True}, settings.training).ablation


def test_a_manifest_of_an_older_release_names_its_parameters() -> None:
    older = {"parameters": {"dimension": 16, "attribute_keys": ["grape"], "max_sampled": 10}}
    assert training_job.recipe_in(older).dimension == 16
    assert np.isclose(training_job.recipe_in(older).learning_rate, Recipe().learning_rate)


@pytest.mark.full
async def test_who_is_erased_while_a_training_runs_is_not_in_its_model(
    shop: TrainingInputs, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await buy(db, range(16))
    ann = KEY.of("default", Shopper(Identity.USER, "user-3"))
    read = shop.given

    async def erased_meanwhile(catalog_id: str) -> Given:
        given = await read(catalog_id)
        await ErasureRecord(db).begin(Person("default", (ann,), now_micros()), "job")
        return given

    monkeypatch.setattr(shop, "given", erased_meanwhile)
    record = await shop.registry.get("default", await trained(shop))
    model = shop.store.read(*record.key)
    assert len(model.actor_rows) == 15
    assert ann not in model.actor_rows
    _, state = shop.store.read_state(*record.key)
    assert ann not in unpack_texts("shopper_names", state)
