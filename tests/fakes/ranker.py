"""Shared parts of the ranker's tests: short constructors of values, a tiny model, and fakes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc
import numpy as np
import sqlalchemy as sa

from ranker.domain.arrays import Doubles
from ranker.domain.errors import ModelNotFound
from ranker.domain.events import (
    Event,
    EventType,
    History,
    Identity,
    Interaction,
    Shopper,
    StoredEvent,
    Written,
)
from ranker.domain.features import Money, Product
from ranker.domain.model import Model, ModelRecord
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.intake import _stored as to_stored
from ranker.record.encrypted_columns import photo_of, seal_vector
from ranker.record.tables import ANSWERS
from ranker.serving.ranking.rank import RankCandidates
from servicekit.sql.database import Database
from sightline.common.v1 import answer_pb2, candidate_pb2
from sightline.retriever.v1 import (
    product_service_pb2,
    product_service_pb2_grpc,
    vector_service_pb2,
    vector_service_pb2_grpc,
)
from tests.waiting import SECONDS

KEY = Pseudonyms(bytes(range(32)))
HOUR = 3_600_000_000
NOW = 1_790_000_000_000_000


async def with_photos(db: Database, *answer_ids: str) -> None:
    """Store the vector of a photo with answers, as releases before 0.40 did."""

    def write(connection: sa.Connection) -> None:
        for answer_id in answer_ids:
            vector = seal_vector(connection, photo_of("default"), b"\1\2\3\4" * 4)
            one = sa.update(ANSWERS).where(ANSWERS.c.answer_id == answer_id)
            connection.execute(one.values(photo=vector, photo_space="v1"))

    await db.write(write)


def event(event_id: str = "e1", **fields: object) -> Event:
    """Return a view of product p1 by user ann."""
    values: dict[str, object] = {
        "type": EventType.VIEW,
        "shopper": Shopper(Identity.USER, "ann"),
        "product_id": "p1",
        "time_micros": NOW,
        **fields,
    }
    return Event(event_id, **values)  # type: ignore[arg-type]


def stored(
    event_id: str = "e1", catalog: str = "default", at: int = 0, **fields: object
) -> StoredEvent:
    """Return a stored event as the record gets it, `at` hours after NOW."""
    one = event(event_id, **{"time_micros": NOW + at * HOUR, **fields})
    return to_stored(catalog, one, KEY, NOW)


def did(
    actor: str,
    product_id: str,
    what: EventType = EventType.VIEW,
    at: int = 0,
    value: float | None = None,
) -> Interaction:
    """Return an interaction `at` hours after NOW."""
    time = NOW + at * HOUR
    return Interaction(actor, product_id, what, value, time, f"{actor}-{product_id}-{what}-{at}")


def product(product_id: str, category: str = "", **fields: object) -> Product:
    """Return a product with a price."""
    values = {"price": Money(10_000_000, "EUR"), **fields}
    return Product(product_id, category, **values)  # type: ignore[arg-type]


def model(
    items: Mapping[str, Sequence[float]],
    *,
    actors: Mapping[str, Sequence[float]] | None = None,
    features: Mapping[str, Sequence[float]] | None = None,
    biases: Mapping[str, float] | None = None,
    version: str = "lfm-test",
    score_scale: float = 1.0,
) -> Model:
    """Return a model with these vectors; features have no bias."""
    ids, people, names = sorted(items), list(actors or {}), list(features or {})
    dimension = len(next(iter(items.values())))

    def stack(rows: list[Sequence[float]]) -> np.ndarray:
        return np.array(rows, dtype=np.float32).reshape(len(rows), dimension)

    return Model(
        version=version,
        item_ids=tuple(ids),
        item_rows={item: row for row, item in enumerate(ids)},
        item_vectors=stack([items[item] for item in ids]),
        item_biases=np.array([(biases or {}).get(item, 0.0) for item in ids], np.float32),
        actor_rows={actor: row for row, actor in enumerate(people)},
        actor_vectors=stack([(actors or {})[actor] for actor in people]),
        feature_rows={name: row for row, name in enumerate(names)},
        feature_names=tuple(names),
        feature_vectors=stack([(features or {})[name] for name in names]),
        feature_biases=np.zeros(len(names), np.float32),
        score_scale=score_scale,
        attribute_keys=("country",),
    )


def candidates(
    products: Sequence[Product],
    similarities: Mapping[str, Sequence[float]] | None = None,
    fused: Sequence[float] | None = None,
) -> RankCandidates:
    """Return these products as candidates with the values of branches."""
    return RankCandidates(
        ids=tuple(one.product_id for one in products),
        products=tuple(products),
        similarities={name: np.array(values) for name, values in (similarities or {}).items()},
        fused=np.array(fused if fused is not None else [0.0] * len(products)),
    )


class FakeReader:
    """A record in memory: histories as given, popularity as given."""

    def __init__(
        self,
        histories: Mapping[str, History] | None = None,
        popular: Mapping[str, float] | None = None,
    ) -> None:
        self.histories = dict(histories or {})
        self.popular = dict(popular or {})
        self.limits: list[int] = []

    async def history(self, catalog_id: str, actor: str, *, limit: int, with_seen: bool) -> History:
        self.limits.append(limit)
        return self.histories.get(actor, History())

    async def popularity(self, catalog_id: str, product_ids: Sequence[str]) -> Doubles:
        return np.array([self.popular.get(item, 0.0) for item in product_ids])

    async def most_popular(self, catalog_id: str, count: int) -> tuple[tuple[str, float], ...]:
        order = sorted(self.popular.items(), key=lambda pair: (-pair[1], pair[0]))
        return tuple(order[:count])


class FakeWriter:
    """Fake event record in a list; recognises duplicates by id and digest."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredEvent] = {}

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        outcomes = []
        for one in events:
            known = self.stored.setdefault(one.event.event_id, one)
            if known is one:
                outcomes.append(Written.NEW)
            else:
                same = known.digest == one.digest
                outcomes.append(Written.DUPLICATE if same else Written.CONFLICT)
        return tuple(outcomes)


class FakePromotions:
    """Fake promotions that report the model in `now` as promoted."""

    def __init__(self) -> None:
        self.now: dict[str, ModelRecord] = {}
        self.before: dict[str, ModelRecord] = {}
        self.broken = False
        self.known: set[str] = set()
        """Versions that are there, promoted or not."""
        self.digests: dict[str, str] = {}
        """Hashes of the manifests of models whose files were written again, by version."""

    def promote(self, model: ModelRecord) -> None:
        """Make it the serving one."""
        if (now := self.now.get(model.catalog_id)) is not None:
            self.before[model.catalog_id] = now
        self.now[model.catalog_id] = model

    async def former(self, catalog_id: str, version: str) -> ModelRecord | None:
        return self.before.get(catalog_id)

    async def get(self, catalog_id: str, version: str) -> ModelRecord:
        if self.broken:
            raise OSError("the store is away")
        if version not in self.known:
            raise ModelNotFound
        return record(version, catalog_id=catalog_id)

    async def manifests(self, models: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        return {key: self.digests.get(key[1], "0" * 64) for key in models}

    async def promoted(self, catalogs: Sequence[str]) -> Mapping[str, ModelRecord]:
        if self.broken:
            raise OSError("the store is away")
        return dict(self.now)


def record(version: str, *, trained: int = NOW, catalog_id: str = "default") -> ModelRecord:
    """Return a model's row."""
    return ModelRecord(
        catalog_id=catalog_id,
        version=version,
        manifest_sha256="0" * 64,
        trained_micros=trained,
        event_count=10,
        shopper_count=3,
        product_count=4,
        first_event_micros=NOW - HOUR,
        last_event_micros=NOW,
        metrics=(),
    )


class FakeProducts(product_service_pb2_grpc.ProductServiceServicer):
    """A retriever that lists products in pages, and may fail first or wait for `gate`."""

    def __init__(self, products: Sequence[Product], page: int = 1000) -> None:
        self.products, self.page = list(products), page
        self.catalogs: list[str] = []
        self.failures: list[grpc.StatusCode] = []
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def ListProducts(
        self, request: product_service_pb2.ListProductsRequest, context: grpc.aio.ServicerContext
    ) -> product_service_pb2.ListProductsResponse:
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            await context.abort(self.failures.pop(0), "not now")
        self.catalogs.append(request.catalog_id)
        first = int(request.page_token or 0)
        page = self.products[first : first + self.page]
        more = first + self.page < len(self.products)
        return product_service_pb2.ListProductsResponse(
            columns=columns(page), next_page_token=str(first + self.page) if more else ""
        )

    async def BatchGetProducts(
        self, request: product_service_pb2.BatchGetProductsRequest, context: object
    ) -> product_service_pb2.BatchGetProductsResponse:
        self.catalogs.append(request.catalog_id)
        some = [one for one in self.products if one.product_id in request.product_ids]
        missing = set(request.product_ids) - {one.product_id for one in some}
        return product_service_pb2.BatchGetProductsResponse(
            columns=columns(some), missing_product_ids=missing
        )


class FakeVectors(vector_service_pb2_grpc.VectorServiceServicer):
    """A retriever that lists vectors, two on a page."""

    def __init__(self, vectors: Mapping[str, Sequence[float]], version: str = "v1") -> None:
        self.vectors, self.version = dict(sorted(vectors.items())), version
        self.failures: list[grpc.StatusCode] = []

    async def ListVectors(
        self, request: vector_service_pb2.ListVectorsRequest, context: grpc.aio.ServicerContext
    ) -> vector_service_pb2.ListVectorsResponse:
        if self.failures:
            await context.abort(self.failures.pop(0), "not now")
        first = int(request.page_token or 0)
        page = list(self.vectors.items())[first : first + 2]
        values = np.array([vector for _, vector in page], dtype="<f4")
        return vector_service_pb2.ListVectorsResponse(
            space=answer_pb2.SpaceVersion(space=request.space, version=self.version),
            product_ids=[item for item, _ in page],
            dimension=values.shape[1],
            vectors=values.tobytes(),
            next_page_token=str(first + 2) if first + 2 < len(self.vectors) else "",
        )


def columns(products: Sequence[Product]) -> candidate_pb2.CandidateColumns:
    """Return products as columns of a message."""
    made = candidate_pb2.CandidateColumns(
        product_ids=[one.product_id for one in products],
        category_paths=[one.category for one in products],
        brands=[one.brand for one in products],
        price_micros=[one.price.micros if one.price else -1 for one in products],
        currencies=[one.price.currency if one.price else "" for one in products],
        tags=[candidate_pb2.TextList(values=one.tags) for one in products],
        titles=[one.title for one in products],
    )
    for one in products:
        values = made.attributes.add().values
        for key, text in one.attributes:
            values.add(key=key, text=text)
    return made


@asynccontextmanager
async def serving(products: FakeProducts, vectors: FakeVectors | None = None) -> AsyncIterator[str]:
    """Run the fake retriever on a free port. Yield its target. Without `vectors` it behaves as an
    older release, which lists none."""
    server = grpc.aio.server()
    product_service_pb2_grpc.add_ProductServiceServicer_to_server(products, server)
    if vectors is not None:
        vector_service_pb2_grpc.add_VectorServiceServicer_to_server(vectors, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


class GatedLoad:
    """Loader of models from a dictionary that can be made to wait."""

    def __init__(self, models: Mapping[str, Model | Exception]) -> None:
        self.models = dict(models)
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[str] = []

    def __call__(self, catalog_id: str, version: str, manifest_sha256: str) -> Model:
        self.calls.append(version)
        self.gate.wait(SECONDS)
        found = self.models[version]
        if isinstance(found, Exception):
            raise found
        return found


Clock = Callable[[], int]
