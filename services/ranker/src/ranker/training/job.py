"""A training as a job: brings the data, trains, keeps the model, its row and what was found of it.

The job's parameters are those of TrainModel; what they leave open is as the settings say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

from ranker.adapters import model_store as artifact
from ranker.adapters.catalog import Catalog
from ranker.adapters.model_store import ModelStore
from ranker.domain.errors import BaseUnusable, ModelCorrupt
from ranker.domain.log import Log, log_of
from ranker.domain.model import ROBOTS_METRIC, Metric, ModelRecord
from ranker.domain.recipe import Recipe, recipe_of
from ranker.evaluation.evaluate import Production
from ranker.record.attributes import AttributeRecord
from ranker.record.evaluations import EvaluationRecord
from ranker.record.events import EventRecord
from ranker.record.feedback import FeedbackRecord
from ranker.record.models import ModelRegistry
from ranker.record.tables import JOBS
from ranker.training import shown
from ranker.training.course import Order, Trained, metrics_of, train
from ranker.training.fitting import Progress, fitted
from ranker.training.refit import State, state_arrays, state_of
from ranker.training.search import Budget
from ranker.training.subject import Given
from servicekit.jobs import Jobs, now_micros
from servicekit.sql import Database
from servicekit.telemetry import get_logger

LIBRARIES = ("rectools-lightfm", "numpy", "scipy", "optuna")


class Workshop:
    """Where trainings and evaluations get what they work on, and leave what they made."""

    def __init__(self, database: Database, catalogue: Catalog, store: ModelStore) -> None:
        self.jobs = Jobs(database, JOBS)
        self.registry = ModelRegistry(database)
        self.evaluations = EvaluationRecord(database)
        self.store = store
        self._events = EventRecord(database)
        self._attributes = AttributeRecord(database)
        self._answers = FeedbackRecord(database)
        self._catalogue = catalogue

    async def given(self, catalog_id: str) -> Given:
        """Everything that there is to learn from now."""
        products = await self._catalogue.products(catalog_id)
        vectors = await self._catalogue.vectors(catalog_id)
        attributes = await self._attributes.read_all(catalog_id)
        log = log_of(await self._events.interactions(catalog_id))
        answers = await shown.read(
            catalog_id,
            answers=self._answers,
            registry=self.registry,
            store=self.store,
            now_micros=now_micros(),
        )
        return Given(log, products, vectors, attributes, answers)

    async def production(self, catalog_id: str, given: Given) -> Production | None:
        """The model that serves, to be compared with; None = none does, or its files are bad."""
        record = await self._serving(catalog_id)
        if record is None:
            return None
        try:
            manifest = self._manifest(record)
            model = self.store.read(catalog_id, record.version, record.manifest_sha256)
        except ModelCorrupt as error:
            get_logger().warning("production not compared with", problem=error.message)
            return None
        recipe, used = recipe_in(manifest), attributes_used(manifest)
        subject = given if used else replace(given, attributes={})
        return Production(
            version=record.version,
            model=model,
            last_event_micros=record.last_event_micros,
            fit=lambda log: fitted(subject.at(log), recipe).model,
        )

    async def base(self, catalog_id: str) -> tuple[str, State, bool]:
        """The model that serves as a state to go on from: its version, and whether it knows what
        shoppers gave. BaseUnusable."""
        record = await self._serving(catalog_id)
        if record is None:
            raise BaseUnusable("no model serves that an incremental training could begin from")
        key = (catalog_id, record.version, record.manifest_sha256)
        try:
            model = self.store.read(*key)
            manifest, arrays = self.store.read_state(*key)
        except ModelCorrupt as error:
            raise BaseUnusable(f"{error.message}: train anew") from error
        state = state_of(arrays, model, recipe_in(manifest), record.last_event_micros)
        return record.version, state, attributes_used(manifest)

    async def keep(self, catalog_id: str, given: Given, made: Trained, base: str) -> str:
        """Write the model's files, its row and what was found of it; its version."""
        about = _about(given, made, base)
        model = replace(made.fitted.model, version=artifact.version_of(made.fitted.model, about))
        digest = self.store.write(catalog_id, model, about, state_arrays(made.fitted))
        await self.registry.add(
            ModelRecord(
                catalog_id=catalog_id,
                version=model.version,
                manifest_sha256=digest,
                trained_micros=now_micros(),
                metrics=(*metrics_of(made.report), *_robots(made)),
                training={name: about[name] for name in ("recipe", "ablation", "base", "trials")},
                **_data(given.log, made),
            )
        )
        await self.evaluations.put(catalog_id, model.version, made.report)
        return model.version

    async def _serving(self, catalog_id: str) -> ModelRecord | None:
        return (await self.registry.promoted((catalog_id,))).get(catalog_id)

    def _manifest(self, record: ModelRecord) -> Mapping[str, Any]:
        return self.store.manifest(record.catalog_id, record.version, record.manifest_sha256)


async def run(job_id: str, usual: Mapping[str, Any], workshop: Workshop, progress: Progress) -> str:
    """Train for the job, keep the model, and return its version. `usual`: see `order_of`."""
    job = await workshop.jobs.get(job_id)
    given = await workshop.given(job.catalog_id)
    order, base = order_of(job.params, usual), ""
    if job.params.get("incremental"):
        base, state, attributes = await workshop.base(job.catalog_id)
        order = replace(order, recipe=state.recipe, base=state, attributes=attributes)
    if not order.attributes:
        given = replace(given, attributes={})
    production = await workshop.production(job.catalog_id, given)
    made = train(given, order, production, progress, now_micros())
    return await workshop.keep(job.catalog_id, given, made, base)


def order_of(params: Mapping[str, Any], usual: Mapping[str, Any]) -> Order:
    """What the job asks for; what its parameters leave open is as in `usual`."""
    recipe = recipe_of(usual["recipe"] | params.get("recipe", {}))
    given = {**usual, **params}
    return Order(
        recipe=replace(recipe, seed=int(params.get("seed", 0))),
        budget=Budget(int(given["search_trials"]), float(given["search_seconds"])),
        ablation=bool(given["ablation"]),
    )


def recipe_in(manifest: Mapping[str, Any]) -> Recipe:
    """The recipe that a manifest names; an older release wrote a part of it as parameters."""
    return recipe_of(manifest.get("recipe") or manifest.get("parameters", {}))


def attributes_used(manifest: Mapping[str, Any]) -> bool:
    """Whether what shoppers gave took part in a training."""
    return bool(manifest.get("attributes", True))


def _about(given: Given, made: Trained, base: str) -> dict[str, Any]:
    """What the manifest says of a training; nothing that differs between two on the same data."""
    return {
        "recipe": made.recipe.json(),
        "attributes": made.attributes,
        "ablation": [asdict(one) for one in made.additions],
        "search": [asdict(one) for one in made.trials],
        "trials": len(made.trials),
        "base": base,
        "data": _data(given.log, made)
        | {
            "interest_count": made.fitted.interest_count,
            "robot_count": int(made.fitted.interests.robots.sum()),
        },
        "metrics": [asdict(one) for one in metrics_of(made.report)],
        "impressions": shown.about(made.learned) if made.learned else None,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _robots(made: Trained) -> Iterable[Metric]:
    count = int(made.fitted.interests.robots.sum())
    if count:
        yield Metric(ROBOTS_METRIC, float(count), made.fitted.shopper_count)


def _data(log: Log, made: Trained) -> dict[str, Any]:
    return {
        "event_count": len(log),
        "shopper_count": made.fitted.shopper_count,
        "product_count": len(made.fitted.model.item_ids),
        "first_event_micros": int(log.time[0]),
        "last_event_micros": int(log.time[-1]),
    }
