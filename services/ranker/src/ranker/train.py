"""Trains a model: the only module that knows LightFM (extra `train`).

`python -m ranker.train --job ID` is a process of its own, started by the worker: it reads the job,
the events from the record and the products from the retriever, fits LightFM with the WARP loss
(Weston, Bengio, Usunier 2011; Kula 2015), writes the model's files and its row, and says how far
it is in lines of JSON on standard output:

    {"done": 3, "total": 40}                                  after each epoch
    {"result": {"model_version": "lfm-…"}}                    at the end, or
    {"error": {"reason": "…", "message": "…"}}

The same events, products and parameters give the same model bit for bit: everything is sorted
before it goes in, one thread works, and the seed is given. Two threads would not (top-10 overlap of
.72 to .78 between runs).
"""

import argparse
import asyncio
import ctypes
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from ranker import artifact, evaluate, fold_in
from ranker.catalogue import IDEMPOTENT, Catalogue
from ranker.features import feature_names
from ranker.log import log_of
from ranker.model import (
    DataInsufficient,
    Floats,
    Interaction,
    Metric,
    Model,
    ModelRecord,
    Product,
)
from ranker.record.events import EventRecord
from ranker.record.models import ModelRegistry
from ranker.record.tables import JOBS, MIGRATIONS
from ranker.settings import TrainSettings
from ranker.signals import Positive, interests, positives
from ranker.training.telling import told
from servicekit import config, telemetry
from servicekit.channel import connect
from servicekit.errors import ServiceError
from servicekit.jobs import Jobs, now_micros
from servicekit.sql import Database

SCALE_QUANTILE = 0.99
SCALE_SHOPPERS = 1000

PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""

Progress = Callable[[int, int], None]
"""(epochs done, epochs in all)"""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What besides the data decides the model."""

    attribute_keys: tuple[str, ...] = ("country", "grape")
    dimension: int = 30
    epochs: int = 20
    max_sampled: int = 50
    learning_rate: float = 0.05
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What LightFM learned."""

    feature_names: tuple[str, ...]
    feature_vectors: Floats
    feature_biases: Floats
    actors: tuple[str, ...]
    actor_vectors: Floats


@dataclass(frozen=True, slots=True)
class Training:
    """A trained model and what it rests on."""

    model: Model
    about: Mapping[str, Any]
    """For the manifest: parameters, data, metrics, libraries."""
    metrics: tuple[Metric, ...]
    positives: tuple[Positive, ...]


def train(
    products: Sequence[Product],
    events: Sequence[Interaction],
    parameters: Parameters,
    progress: Progress,
) -> Training:
    """Train on all events and measure the same parameters on a holdout in time.

    DataInsufficient when nobody likes any of the products.
    """
    total = 2 * parameters.epochs
    products = sorted(products, key=lambda product: product.product_id)
    known = {product.product_id for product in products}
    events = sorted(events, key=lambda event: (event.time_micros, event.event_id))

    split = evaluate.split_by_time([event for event in events if event.product_id in known])
    before = positives(split.before)
    metrics: tuple[Metric, ...] = ()
    if before:
        trial = fit(products, before, parameters, lambda done: progress(done, total))
        metrics = evaluate.evaluate(
            _model(products, trial, before, parameters), before, split.liked_after
        )

    liked = tuple(one for one in positives(events) if one.product_id in known)
    if not liked:
        raise DataInsufficient("nobody likes any product of this catalogue yet")
    fitted = fit(
        products, liked, parameters, lambda done: progress(parameters.epochs + done, total)
    )
    model = _model(products, fitted, liked, parameters)
    model = told(model, products, interests(log_of(events)), parameters.seed)
    about: dict[str, Any] = {
        "parameters": asdict(parameters),
        "data": _range(events, liked, products),
        "metrics": [asdict(metric) for metric in metrics],
        "libraries": {name: version(name) for name in ("rectools-lightfm", "numpy", "scipy")},
    }
    model = dataclasses.replace(model, version=artifact.version_of(model, about))
    return Training(model, about, metrics, liked)


def fit(
    products: Sequence[Product],
    liked: Sequence[Positive],
    parameters: Parameters,
    on_epoch: Callable[[int], None],
) -> Fitted:
    """Fit LightFM on `liked`, sorted by shopper and product; `products` are sorted by id.

    Only products that somebody likes take part: the others would be learned as ever so many
    wrong answers, and the vector of an id that nobody touched is noise (AUC of cold products .642
    with it, .717 without). They are represented by the features they share with the rest.
    Rows of features are not normalised: that costs 24% of nDCG@10 on MovieLens-100k.
    """
    import scipy.sparse as sp
    from lightfm import LightFM

    warm = {one.product_id for one in liked}
    items = [product for product in products if product.product_id in warm]
    rows = {product.product_id: row for row, product in enumerate(items)}
    named = [feature_names(product, parameters.attribute_keys) for product in items]
    names = sorted({name for features in named for name in features})
    columns = {name: column for column, name in enumerate(names)}
    actors = sorted({one.actor for one in liked})
    actor_rows = {actor: row for row, actor in enumerate(actors)}

    indices = [columns[name] for features in named for name in features]
    starts = np.cumsum([0, *map(len, named)])
    item_features = sp.csr_matrix(
        (np.ones(len(indices), np.float32), indices, starts), (len(items), len(names))
    )
    places = ([actor_rows[one.actor] for one in liked], [rows[one.product_id] for one in liked])
    shape = (len(actors), len(items))
    weights = np.array([one.weight for one in liked], np.float32)
    model = LightFM(
        no_components=parameters.dimension,
        loss="warp",
        max_sampled=parameters.max_sampled,
        learning_rate=parameters.learning_rate,
        random_state=parameters.seed,
    )
    for epoch in range(parameters.epochs):
        model.fit_partial(
            sp.coo_matrix((np.ones_like(weights), places), shape),
            item_features=item_features,
            sample_weight=sp.coo_matrix((weights, places), shape),
            epochs=1,
            num_threads=1,
        )
        on_epoch(epoch + 1)
    feature_biases, feature_vectors = model.item_biases, model.item_embeddings
    return Fitted(
        tuple(names), feature_vectors, feature_biases, tuple(actors), model.user_embeddings
    )


def _model(
    products: Sequence[Product],
    fitted: Fitted,
    liked: Sequence[Positive],
    parameters: Parameters,
) -> Model:
    """The model of all products, with its scale and no version yet."""
    feature_rows = {name: row for row, name in enumerate(fitted.feature_names)}
    vectors = np.zeros((len(products), parameters.dimension), np.float32)
    biases = np.zeros(len(products), np.float32)
    for row, product in enumerate(products):
        names = feature_names(product, parameters.attribute_keys)
        known = [feature_rows[name] for name in names if name in feature_rows]
        vectors[row] = fitted.feature_vectors[known].sum(axis=0)
        biases[row] = fitted.feature_biases[known].sum()
    ids = tuple(product.product_id for product in products)
    model = Model(
        version="",
        item_ids=ids,
        item_rows={item: row for row, item in enumerate(ids)},
        item_vectors=vectors,
        item_biases=biases,
        actor_rows={actor: row for row, actor in enumerate(fitted.actors)},
        actor_vectors=fitted.actor_vectors,
        feature_names=fitted.feature_names,
        feature_rows=feature_rows,
        feature_vectors=fitted.feature_vectors,
        feature_biases=fitted.feature_biases,
        score_scale=1.0,
        attribute_keys=parameters.attribute_keys,
    )
    return dataclasses.replace(model, score_scale=_score_scale(model, liked))


def _score_scale(model: Model, liked: Sequence[Positive]) -> float:
    """How large behavioural scores are, over up to 1,000 shoppers evenly taken and all products."""
    history = evaluate.products_by_recency(liked)
    actors = sorted(history)
    step = -(-len(actors) // SCALE_SHOPPERS)
    dimension = model.item_vectors.shape[1]
    queries = np.stack(
        [
            fold_in.query(fold_in.of(model, actor, history[actor]), dimension)
            for actor in actors[::step]
        ]
    )
    sizes = np.abs(queries @ model.item_vectors.T + model.item_biases)
    return float(np.quantile(sizes, SCALE_QUANTILE)) or 1.0


def _range(
    events: Sequence[Interaction], liked: Sequence[Positive], products: Sequence[Product]
) -> dict[str, int]:
    return {
        "event_count": len(events),
        "positive_count": len(liked),
        "shopper_count": len({one.actor for one in liked}),
        "product_count": len(products),
        "first_event_micros": events[0].time_micros,
        "last_event_micros": events[-1].time_micros,
    }


async def run_job(
    job_id: str,
    settings: TrainSettings,
    *,
    events_record: EventRecord,
    registry: ModelRegistry,
    jobs: Jobs,
    catalogue: Catalogue,
    progress: Progress,
) -> str:
    """Train for the job, keep the model, and return its version."""
    job = await jobs.get(job_id)
    parameters = Parameters(
        attribute_keys=settings.train_attributes,
        dimension=settings.train_dimension,
        epochs=settings.train_epochs,
        max_sampled=settings.train_max_sampled,
        learning_rate=settings.train_learning_rate,
        seed=int(job.params.get("seed", 0)),
    )
    products = await catalogue.products(job.catalog_id)
    events = await events_record.interactions(job.catalog_id)
    training = train(products, events, parameters, progress)
    store = artifact.ModelStore(settings.model_store)
    digest = store.write(job.catalog_id, training.model, training.about)
    data = training.about["data"]
    await registry.add(
        ModelRecord(
            catalog_id=job.catalog_id,
            version=training.model.version,
            manifest_sha256=digest,
            trained_micros=now_micros(),
            event_count=data["event_count"],
            shopper_count=data["shopper_count"],
            product_count=data["product_count"],
            first_event_micros=data["first_event_micros"],
            last_event_micros=data["last_event_micros"],
            metrics=training.metrics,
        )
    )
    return training.model.version


async def main(job_id: str) -> int:
    """Run the job and tell on standard output how it goes; the exit status."""
    settings = config.load(TrainSettings)
    telemetry.configure_logging("ranker-train", settings.log_level)
    database = Database(settings.database_url, migrations=MIGRATIONS)
    channel = connect(settings.retriever_target, service_configs=IDEMPOTENT)
    try:
        found = await run_job(
            job_id,
            settings,
            events_record=EventRecord(database),
            registry=ModelRegistry(database),
            jobs=Jobs(database, JOBS),
            catalogue=Catalogue(channel),
            progress=lambda done, total: _tell({"done": done, "total": total}),
        )
    except ServiceError as error:
        _tell({"error": {"reason": error.reason, "message": error.message}})
        return 1
    finally:
        await channel.close(None)
        database.close()
    _tell({"result": {"model_version": found}})
    return 0


def end_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which started it, ends (Linux).

    Otherwise a training whose worker was killed would go on beside the one that takes its place.
    The signal follows the parent's thread: the worker starts processes from its main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we came here
        sys.exit(f"process {parent}, which asked for this training, is gone")


def _tell(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m ranker.train", description=__doc__)
    parser.add_argument("--job", required=True, help="id of the job row to train for")
    parser.add_argument("--parent", type=int, help="id of the process to end with")
    given = parser.parse_args()
    if given.parent is not None:
        end_with(given.parent)
    sys.exit(asyncio.run(main(given.job)))
