"""Stand-ins for what the retriever leans on: the engine, the embedder and the photo store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import grpc
import numpy as np
from google.rpc import status_pb2

from retriever.adapters.milvus.filters import SLICES, slice_number
from retriever.domain.category_mismatch import CategoryPath, Classification
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import (
    CollectionAbsent,
    CollectionReleased,
    EmbedderUnavailable,
    ImageNotFound,
    ImageRejected,
    IndexRefused,
    IndexUnavailable,
    PhotosUnavailable,
    VersionMismatch,
)
from retriever.domain.fitting import FitPhoto, FitPlan, FitProgress
from retriever.domain.generation import EXACT, IndexParameters, Metric
from retriever.domain.index_values import WHOLE, CollectionState, Hit, IndexRow, Slice
from retriever.domain.vectors import Floats, GivenVector
from servicekit.errors import FailedPrecondition, ServiceError
from servicekit.fetch import UriForbidden
from servicekit.interceptors import Observing
from servicekit.status import to_status
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as embedder_pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as embedder_grpc
from sightline_rules.filters import Filter, passes
from sightline_rules.photos import PhotoInfo, PhotoLimits, PhotoRejectedError, image_id, inspect

DIMENSION = 8
VERSION = "v1-fake"


def vector_of(item: bytes | str, dimension: int = DIMENSION, version: str = VERSION) -> Floats:
    """A vector of unit length that depends on the photo's bytes, or text, and the version alone."""
    salt = b"" if version == VERSION else version.encode()
    content = item.encode() if isinstance(item, str) else item
    seed = int.from_bytes(hashlib.sha256(salt + content).digest()[:8], "big")
    values = np.random.default_rng(seed).standard_normal(dimension)
    return np.asarray(values / np.linalg.norm(values), dtype=np.float32)


class Always:
    """A leader that nobody contests."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds

    def left(self) -> float:
        return self._seconds


class Never:
    """A leader whose lease ran out."""

    def left(self) -> float:
        return 0.0


@dataclass
class FakeIndex:
    """An engine in memory, with switches for what can go wrong."""

    rows: dict[str, dict[str, IndexRow]] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    down: bool = False
    hung: bool = False
    """Whether it takes searches and counts and answers none."""
    refused_products: set[str] = field(default_factory=set)
    """Products whose rows it takes for wrong."""
    scan_limit: int = 1_000_000
    broken: set[str] = field(default_factory=set)
    """Collections that it can't open."""
    scan_failures: int = 0
    """How many scans fail before one succeeds, for no fault of the engine's."""
    upsert_seconds: float = 0.0
    """How long a write takes."""
    upsert_sizes: list[int] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    """The limit of each search."""
    comparing: bool = False
    """Whether it is one of those that compare one by one where few rows pass."""
    slices: list[Slice] = field(default_factory=list)
    """What each search asked for."""
    flushed: int = 0

    def restart(self, lose: Sequence[str] = ()) -> None:
        """What a killed engine does: forgets what is loaded, and perhaps rows."""
        self.loaded.clear()
        for held in self.rows.values():
            for row_id in lose:
                held.pop(row_id, None)

    async def _hang(self) -> None:
        while self.hung:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def _rows(self, collection: str, needs_load: bool = False) -> dict[str, IndexRow]:
        if self.down:
            raise IndexUnavailable
        if collection not in self.rows:
            raise CollectionAbsent
        if needs_load and collection not in self.loaded:
            raise CollectionReleased
        return self.rows[collection]

    async def state(self, collection: str) -> CollectionState:
        if self.down:
            raise IndexUnavailable
        if collection not in self.rows:
            return CollectionState.ABSENT
        held = collection in self.loaded
        return CollectionState.LOADED if held else CollectionState.RELEASED

    async def create(
        self, collection: str, dimension: int, parameters: IndexParameters = EXACT
    ) -> None:
        if self.down:
            raise IndexUnavailable
        if any(name in collection for name in self.broken):
            raise IndexRefused
        self.rows.setdefault(collection, {})
        self.loaded.add(collection)

    async def load(self, collection: str) -> None:
        self._rows(collection)
        self.loaded.add(collection)

    async def upsert(
        self, collection: str, rows: Sequence[IndexRow], parameters: IndexParameters = EXACT
    ) -> None:
        held = self._rows(collection)
        if self.upsert_seconds:
            await asyncio.sleep(self.upsert_seconds)
        self.upsert_sizes.append(len(rows))
        if any(row.product_id in self.refused_products for row in rows):
            raise IndexRefused
        held.update({row.row_id: row for row in rows})

    async def delete(self, collection: str, row_ids: Sequence[str]) -> None:
        held = self._rows(collection)
        for row_id in row_ids:
            held.pop(row_id, None)

    async def scan(self, collection: str, low: str, high: str) -> dict[str, int] | None:
        held = self._rows(collection, needs_load=True)
        if self.scan_failures:
            self.scan_failures -= 1
            raise IndexRefused
        found = {row_id: row.seq for row_id, row in held.items() if low <= row_id < high}
        return None if len(found) >= self.scan_limit else found

    async def count(self, collection: str) -> int:
        await self._hang()
        return len(self._rows(collection))

    async def search(
        self,
        collection: str,
        vectors: Sequence[Floats],
        condition: Filter,
        limit: int,
        seconds: float | None,
        *,
        latest: bool = False,
        parameters: IndexParameters = EXACT,
        of: Slice = WHOLE,
    ) -> list[Hit]:
        assert parameters.metric is Metric.COSINE
        await self._hang()
        held = self._rows(collection, needs_load=True)
        self.limits.append(limit)
        self.slices.append(of)
        best: dict[str, Hit] = {}
        for vector in vectors:
            found = [
                Hit(row.row_id, row.product_id, row.image_id, _cosine(vector, row.vector))
                for row in held.values()
                if passes(condition, row.facts)
                and slice_number(row.row_id) * of.count // SLICES == of.number
            ]
            found.sort(key=lambda hit: -hit.similarity)
            for hit in found[:limit]:
                if hit.row_id not in best or best[hit.row_id].similarity < hit.similarity:
                    best[hit.row_id] = hit
        return sorted(best.values(), key=lambda hit: -hit.similarity)

    async def compares(self) -> bool:
        return self.comparing

    async def flush_holds_up(self) -> bool:
        return self.comparing

    async def matching_ids(
        self,
        collection: str,
        condition: Filter,
        most: int,
        seconds: float | None,
        *,
        latest: bool = False,
    ) -> list[str] | None:
        held = self._rows(collection, needs_load=True)
        found = [row.row_id for row in held.values() if passes(condition, row.facts)]
        return None if len(found) > most else found

    async def flush(self, collection: str) -> None:
        self._rows(collection)
        self.flushed += 1

    async def drop(self, collection: str) -> None:
        if self.down:
            raise IndexUnavailable
        self.rows.pop(collection, None)
        self.loaded.discard(collection)


def _cosine(left: Floats, right: Floats) -> float:
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


@dataclass
class FakePhotos:
    """Photos in memory, checked as the real store checks them."""

    stored: dict[tuple[str, str], bytes] = field(default_factory=dict)
    failure: ServiceError | None = None
    unreadable: set[str] = field(default_factory=set)
    """Ids of photos on a bad part of the disk."""
    web: dict[str, bytes | ServiceError] = field(default_factory=dict)
    """What addresses give."""

    async def inspect(self, data: bytes) -> PhotoInfo:
        try:
            return inspect(data, PhotoLimits(max_bytes=200_000, max_pixels=1_000_000))
        except PhotoRejectedError as error:
            raise ImageRejected(str(error.reason), str(error)) from error

    async def fetch(self, uri: str) -> bytes:
        found = self.web.get(uri, UriForbidden("not allowed"))
        if isinstance(found, ServiceError):
            raise found
        return found

    async def put(self, catalog_id: str, photo_id: str, data: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        assert photo_id == image_id(data)
        self.stored[catalog_id, photo_id] = data

    async def get(self, catalog_id: str, photo_id: str) -> bytes:
        if self.failure is not None:
            raise self.failure
        if photo_id in self.unreadable:
            raise PhotosUnavailable
        try:
            return self.stored[catalog_id, photo_id]
        except KeyError:
            raise ImageNotFound from None


@dataclass
class FakeEmbedder:
    """The embedder's answers, in process and as a gRPC servicer."""

    version: str = VERSION
    """The default one."""
    dimension: int = DIMENSION
    others: dict[str, int] = field(default_factory=dict)
    """Dimensions of the versions that are served beside it."""
    texts: dict[str, int] = field(default_factory=dict)
    """Dimensions of the versions of the space of texts, the default one first."""
    ready: bool = True
    down: bool = False
    poison: dict[bytes | str, ServiceError] = field(default_factory=dict)
    """Photos and texts that fail, and how."""
    calls: list[int] = field(default_factory=list)
    """Photos or texts of each call."""
    seconds: float = 0.0
    """How long a photo takes with a version beside the default one."""
    embedded: list[tuple[str, bytes | str]] = field(default_factory=list)
    """Every photo and text that was embedded, with its version."""
    fitted: list[tuple[FitPlan, list[FitPhoto]]] = field(default_factory=list)
    """Every space that was fitted."""
    unfit: list[ServiceError] = field(default_factory=list)
    """What the next fits fail with, in turn."""
    head: frozenset[CategoryPath] = frozenset()
    """The categories that every version knows of photos."""
    told: dict[bytes | str, Classification] = field(default_factory=dict)
    """What photos are of; of the others nothing is told."""
    kinds: list[int] = field(default_factory=list)
    """Of the photos that came over the wire: which camera they were said to be from."""

    @property
    def served(self) -> dict[str, int]:
        """Every version's dimension."""
        return {self.version: self.dimension, **self.others, **self.texts}

    def default(self, *, text: bool) -> str:
        """The version of items that name none."""
        return next(iter(self.texts), "") if text else self.version

    async def spaces(self, catalog_id: str) -> list[EmbeddingSpace]:
        if self.down:
            raise EmbedderUnavailable
        defaults = {self.version, next(iter(self.texts), "")}
        return [
            EmbeddingSpace(
                "text" if version in self.texts else "visual",
                version,
                dimension,
                self.ready,
                version in defaults,
                0 if version in self.texts else len(self.head),
            )
            for version, dimension in self.served.items()
        ]

    async def fit(
        self, catalog_id: str, plan: FitPlan, total: int, photos: AsyncIterator[FitPhoto]
    ) -> AsyncIterator[FitProgress]:
        taken = []
        async for photo in photos:
            taken.append(photo)
            yield FitProgress(len(taken), 0)
        if self.unfit:
            raise self.unfit.pop(0)
        self.fitted.append((plan, taken))
        yield FitProgress(len(taken), 0, "f" * 16, "visual_0123456789ab", "BETTER")

    async def categories(
        self, catalog_id: str, space: str, version: str
    ) -> frozenset[CategoryPath]:
        if self.down:
            raise EmbedderUnavailable
        return self.head

    async def embed(
        self,
        catalog_id: str,
        space: str,
        version: str,
        items: Sequence[bytes | str],
        *,
        classify: bool = False,
    ) -> list[GivenVector | ServiceError]:
        self.calls.append(len(items))
        if self.down:
            raise EmbedderUnavailable
        if version not in self.served:
            return [VersionMismatch("", version) for _ in items]
        if version != self.version and self.seconds:
            await asyncio.sleep(self.seconds * len(items))
        self.embedded += [(version, item) for item in items]
        results = [self.poison.get(item) or self._vector(space, version, item) for item in items]
        return [
            replace(result, classification=self.told.get(item))
            if classify and isinstance(result, GivenVector)
            else result
            for result, item in zip(results, items, strict=True)
        ]

    def _vector(self, space: str, version: str, item: bytes | str) -> GivenVector:
        dimension = self.served[version]
        data = vector_of(item, dimension, version).astype("<f4").tobytes()
        return GivenVector(space, version, dimension, data)


class FakeEmbedderServicer(embedder_grpc.EmbeddingServiceServicer):
    """A FakeEmbedder on the wire."""

    def __init__(self, embedder: FakeEmbedder) -> None:
        self._embedder = embedder

    async def ListSpaces(
        self, request: embedder_pb.ListSpacesRequest, context: object
    ) -> embedder_pb.ListSpacesResponse:
        return embedder_pb.ListSpacesResponse(
            spaces=[
                embedder_pb.Space(
                    space=found.space,
                    version=found.version,
                    dimension=found.dimension,
                    ready=found.ready,
                    default_version=found.default,
                    category_count=found.categories,
                    categories=[
                        photo_pb2.CategoryPath(levels=path)
                        for path in (self._embedder.head if request.include_categories else ())
                    ],
                )
                for found in await self._embedder.spaces(request.catalog_id)
            ]
        )

    async def BatchEmbed(
        self, request: embedder_pb.BatchEmbedRequest, context: object
    ) -> embedder_pb.BatchEmbedResponse:
        self._embedder.kinds += [item.photo_kind for item in request.items if item.image]
        results = [
            result
            for item in request.items
            for result in await self._embedder.embed(
                request.catalog_id,
                item.space or ("text" if item.text else "visual"),
                item.space_version or self._embedder.default(text=bool(item.text)),
                [item.text or item.image],
                classify=item.classify,
            )
        ]
        response = embedder_pb.BatchEmbedResponse()
        for result in results:
            if isinstance(result, VersionMismatch):
                not_served = FailedPrecondition("not served", reason="SPACE_VERSION_UNAVAILABLE")
                response.results.add(status=to_status(not_served))
            elif isinstance(result, ServiceError):
                response.results.add(status=to_status(result))
            else:
                added = response.results.add(status=status_pb2.Status())
                added.vector.space = result.space
                added.vector.space_version = result.space_version
                added.vector.dimension = result.dimension
                added.vector.data = result.data
                if result.classification is not None:
                    told = added.classification
                    told.unknown_probability = result.classification.unknown_probability
                    for guess in result.classification.guesses:
                        told.guesses.add(category_path=guess.path, probability=guess.probability)
        return response


def embedder_server(embedder: FakeEmbedder) -> tuple[grpc.aio.Server, int]:
    """A server, not yet started, and its port on 127.0.0.1."""
    server = grpc.aio.server()
    observing = Observing(server, "embedder")
    embedder_grpc.add_EmbeddingServiceServicer_to_server(FakeEmbedderServicer(embedder), observing)
    return server, server.add_insecure_port("127.0.0.1:0")
