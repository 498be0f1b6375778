"""Trainings and evaluations as jobs: read the data, train, store models and evaluations. The job's
parameters are those of TrainModel; the settings provide defaults.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from ranker.adapters import model_store as artifact
from ranker.adapters.model_store import ModelStore
from ranker.adapters.retriever import Catalog
from ranker.domain.consent import Purpose
from ranker.domain.erasure import person_hash
from ranker.domain.errors import BaseUnusable, DataInsufficient, ModelCorrupt
from ranker.domain.log import EventColumns, log_of
from ranker.domain.model import (
    INPUTS,
    ROBOTS_METRIC,
    UNMATCHED_METRIC,
    EvaluatePlan,
    ModelMetric,
    ModelRecord,
)
from ranker.domain.recipe import FROM_IMPRESSIONS, PartBlend, Recipe, recipe_of
from ranker.learning.evaluation.evaluate import EvaluationOptions, Fit, Production, evaluate
from ranker.learning.forget import ForgetInModels
from ranker.learning.training import shown
from ranker.learning.training.fitting import Progress, fitted
from ranker.learning.training.refit import State, state_arrays, state_of
from ranker.learning.training.search import Budget
from ranker.learning.training.training_data import Given
from ranker.learning.training.training_steps import (
    Trained,
    TrainingOrder,
    as_served,
    metrics_of,
    train,
)
from ranker.learning.training.unchanged import LIBRARIES, digest
from ranker.record.answer_feedback import FeedbackRecord
from ranker.record.consent_changes import ConsentRecord
from ranker.record.erasures import ErasureRecord
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from ranker.record.shoppers import ShopperRecord
from ranker.record.tables import JOBS
from servicekit.clock import now_micros
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from servicekit.telemetry import get_logger

NOTHING_NEW = "nothing_new"
"""Result of a job that trained nothing, because nothing has changed since its model was trained."""


class TrainingInputs:
    """Inputs and outputs of trainings and evaluations."""

    def __init__(self, database: Database, catalog: Catalog, store: ModelStore) -> None:
        self.jobs = Jobs(database, JOBS)
        self._consents = ConsentRecord(database)
        self._erasures, self._forget = ErasureRecord(database), ForgetInModels(database, store)
        self.registry = ModelRegistry(database)
        self.store = store
        self._events = EventRecord(database)
        self._shoppers = ShopperRecord(database)
        self._answers = FeedbackRecord(database)
        self._catalog = catalog

    async def given(self, catalog_id: str) -> Given:
        """Read the current training data."""
        products = await self._catalog.products(catalog_id)
        vectors = await self._catalog.vectors(catalog_id)
        attributes = await self._shoppers.attributes(catalog_id)
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
        """Return the serving model to compare with; None if none serves or its files are
        corrupt."""
        record = await self.registry.serving(catalog_id)
        if record is None:
            return None
        try:
            manifest, model = self.store.manifest(*record.key), self.store.read(*record.key)
        except ModelCorrupt as error:
            get_logger().warning("production not compared", problem=error.message)
            return None
        fit = refitting(given, manifest)
        return Production(record.version, model, record.last_event_micros, fit)

    async def base(self, catalog_id: str) -> tuple[str, State, bool]:
        """Return the serving model as a state to continue from: its version, and whether it
        uses shoppers' attributes. BaseUnusable."""
        record = await self.registry.serving(catalog_id)
        if record is None:
            raise BaseUnusable("no model serves from which an incremental training could start")
        try:
            model = self.store.read(*record.key)
            manifest, arrays = self.store.read_state(*record.key)
        except ModelCorrupt as error:
            raise BaseUnusable(f"{error.message}: start a full training") from error
        state = state_of(arrays, model, recipe_in(manifest), record.last_event_micros)
        return record.version, state, attributes_used(manifest)

    async def known(self, catalog_id: str, inputs: str) -> str:
        """Return the version of a model that was trained from the same and compared with what
        serves now, empty if there is none."""
        serving = await self.registry.serving(catalog_id)
        for model in await self.registry.with_files(catalog_id):
            compared = model.serving or model.compared_with == (serving.version if serving else "")
            if model.training.get(INPUTS) == inputs and model.verdict is not None and compared:
                with contextlib.suppress(ModelCorrupt):
                    self.store.read(*model.key)
                    return model.version
        return ""

    async def keep(
        self, catalog_id: str, given: Given, made: Trained, base: str, read: Mapping[str, Any]
    ) -> str:
        """Write the model's files, row and evaluation, without shoppers who were erased or refused
        trainings since the events were read. `read`: when they were, and the digest. Return the
        model's version."""
        about = _about(given, made, base)
        model = replace(made.fitted.model, version=artifact.version_of(made.fitted.model, about))
        manifest = self.store.write(catalog_id, model, about, state_arrays(made.fitted))
        await self.registry.add(
            ModelRecord(
                catalog_id=catalog_id,
                version=model.version,
                manifest_sha256=manifest,
                trained_micros=now_micros(),
                metrics=(*metrics_of(made.report), *_robots(made), *_unmatched(given, made)),
                training={
                    **{
                        name: about[name]
                        for name in ("recipe", "served_blend", "ablation", "base", "trials")
                    },
                    **read,
                    **({"read_micros": await self._read(catalog_id, base)} if base else {}),
                },
                **_data(given.log, made),
            )
        )
        await self.registry.keep_report(catalog_id, model.version, made.report)
        if forgotten := await self._erasures.forgotten_since(catalog_id, read["read_micros"]):
            refusers = await self._consents.refusers(catalog_id, Purpose.TRAIN)
            await self._forget.all_of(
                catalog_id, lambda actor: person_hash(actor) in forgotten or actor in refusers
            )
        return model.version

    async def _read(self, catalog_id: str, version: str) -> int:
        return (await self.registry.get(catalog_id, version)).read_micros


async def run(
    job_id: str, usual: Mapping[str, Any], inputs: TrainingInputs, progress: Progress
) -> dict[str, str]:
    """Train for the job, store the model, and return the job's results. `usual`: see `order_of`.

    Nothing is trained if a model learned from the same by the same order: the results then name
    that model, and NOTHING_NEW.
    """
    job, read_micros = await inputs.jobs.get(job_id), now_micros()
    given = await inputs.given(job.catalog_id)
    order, base = order_of(job.params, usual), ""
    if job.params.get("incremental"):
        base, state, attributes = await inputs.base(job.catalog_id)
        order = replace(order, recipe=state.recipe, base=state, attributes=attributes)
    if not order.attributes:
        given = replace(given, attributes={})
    learned_from = digest(given, order, base)
    if known := await inputs.known(job.catalog_id, learned_from):
        if not base:
            await inputs.registry.confirm(job.catalog_id, known, read_micros)
        return {"model_version": known, NOTHING_NEW: "true"}
    production = await inputs.production(job.catalog_id, given)
    proven = await inputs.registry.proven(job.catalog_id)
    unmatched = unmatched_count(given)
    try:
        made = train(given, order, production, progress, now_micros(), proven=proven)
    except DataInsufficient as error:
        if not unmatched:
            raise
        events = f"{unmatched} of {len(given.log)} events are of products that the catalog lacks"
        raise DataInsufficient(f"{error.message}; {events}") from error
    read = {"read_micros": read_micros, INPUTS: learned_from}
    version = await inputs.keep(job.catalog_id, given, made, base, read)
    counts = {"event_count": len(given.log), "unmatched_event_count": unmatched}
    return {"model_version": version, **{name: str(count) for name, count in counts.items()}}


def unmatched_count(given: Given) -> int:
    """Return the number of events whose products the catalog does not have."""
    known = {one.product_id for one in given.products}
    lacks = np.array([item not in known for item in given.log.items], np.bool_)
    return int(lacks[given.log.item].sum())


async def evaluate_again(job_id: str, inputs: TrainingInputs, progress: Progress) -> dict[str, str]:
    """Evaluate a model's recipe for the job on all events so far, and store the report. Return the
    model's version and the verdict.

    In addition to the global split of a training, this measures per-user tails, and compares with
    the model that serves now. ModelNotFound, ModelCorrupt, DataInsufficient without any event.
    """
    job = await inputs.jobs.get(job_id)
    model = await inputs.registry.get(job.catalog_id, job.given(EvaluatePlan).model_version)
    manifest = inputs.store.manifest(*model.key)
    given = await inputs.given(job.catalog_id)
    if not len(given.log):
        raise DataInsufficient("there are no events for the evaluation")
    production = await inputs.production(job.catalog_id, given)
    if production is not None and production.version == model.version:
        production = None  # not compared with itself
    proven = tuple(
        one for one in await inputs.registry.proven(job.catalog_id) if one.version != model.version
    )
    report = evaluate(
        given.log,
        given.products,
        refitting(given, manifest),
        production,
        EvaluationOptions(recipe=recipe_in(manifest), proven=proven),
        progress=progress,
        now_micros=now_micros(),
    )
    await inputs.registry.keep_report(job.catalog_id, model.version, report)
    return {"model_version": model.version, "verdict": report.verdict.value}


def order_of(params: Mapping[str, Any], usual: Mapping[str, Any]) -> TrainingOrder:
    """Return the order of the job; missing parameters are as in `usual`."""
    recipe = recipe_of(usual["recipe"] | params.get("recipe", {}))
    given = {**usual, **params}
    return TrainingOrder(
        recipe=replace(recipe, seed=int(params.get("seed", 0))),
        budget=Budget(int(given["search_trials"]), float(given["search_seconds"])),
        ablation=bool(given["ablation"]),
    )


def recipe_in(manifest: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a manifest; older releases wrote a part of it as parameters, or the
    blend that was learned from all impressions, which no evaluation may use: it has the default."""
    recipe = recipe_of(manifest.get("recipe") or manifest.get("parameters", {}))
    if recipe.blend.learned_from != FROM_IMPRESSIONS:
        return recipe
    return replace(recipe, blend=PartBlend())


def refitting(given: Given, manifest: Mapping[str, Any]) -> Fit:
    """Return a function that trains on some of the given events by the manifest's recipe, as a
    training of that time would: it learns the blend again, from answers during these events."""
    recipe = recipe_in(manifest)
    subject = given if attributes_used(manifest) else replace(given, attributes={})
    return lambda log: as_served(fitted(subject.at(log), recipe), subject, log, recipe)[0].model


def attributes_used(manifest: Mapping[str, Any]) -> bool:
    """Return whether shoppers' attributes took part in a training."""
    return bool(manifest.get("attributes", True))


def _about(given: Given, made: Trained, base: str) -> dict[str, Any]:
    """Return the manifest's entries of a training: equal for equal data."""
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
        "served_blend": asdict(made.learned.blend if made.learned else made.recipe.blend),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _robots(made: Trained) -> Iterable[ModelMetric]:
    count = int(made.fitted.interests.robots.sum())
    if count:
        yield ModelMetric(ROBOTS_METRIC, float(count), made.fitted.shopper_count)


def _unmatched(given: Given, made: Trained) -> Iterable[ModelMetric]:
    if count := unmatched_count(given):
        yield ModelMetric(UNMATCHED_METRIC, float(count), made.fitted.shopper_count)


def _data(log: EventColumns, made: Trained) -> dict[str, Any]:
    return {
        "event_count": len(log),
        "shopper_count": made.fitted.shopper_count,
        "product_count": len(made.fitted.model.item_ids),
        "first_event_micros": int(log.time[0]),
        "last_event_micros": int(log.time[-1]),
    }
