"""An embedder without a model, called directly or behind real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace

import grpc
from google.rpc import status_pb2

from retriever.domain.category_mismatch import CategoryPath, Classification
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import EmbedderUnavailable, VersionMismatch
from retriever.domain.fit_plan import FitPhoto, FitPlan, FitProgress
from retriever.domain.vectors import GivenVector
from servicekit.errors import FailedPrecondition, ServiceError
from servicekit.rpc.interceptors import ObservedServer
from servicekit.status import to_status
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as embedder_pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as embedder_grpc
from tests.fakes.gateway_rest import scripted
from tests.fakes.index import DIMENSION, VERSION, vector_of

SHOPPERS = b" by a shopper"
"""Suffix of a shopper's photo from which its vector is computed."""


@dataclass
class FakeEmbedder:
    """The embedder's answers, in process and as a gRPC servicer."""

    labels: dict[bytes, str | ServiceError] = field(default_factory=dict)
    """Texts of the labels, or errors, by photo."""
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
    """Seconds for a photo with a version other than the default one."""
    embedded: list[tuple[str, bytes | str]] = field(default_factory=list)
    """Every photo and text that was embedded, with its version."""
    fitted: list[tuple[FitPlan, list[FitPhoto]]] = field(default_factory=list)
    """Every space that was fitted."""
    unfit: list[ServiceError] = field(default_factory=list)
    """Errors of the next fits, in turn."""
    head: frozenset[CategoryPath] = frozenset()
    """The categories that every version knows of photos."""
    classifications: dict[bytes | str, Classification] = field(default_factory=dict)
    """Classifications of photos; other photos have none."""
    shopper_tags: frozenset[str] = frozenset()
    """Tags of products whose photos counted as shoppers' when the default version was fitted: it
    gives a photo another vector as a shopper's."""
    kinds: list[int] = field(default_factory=list)
    """Kinds of the photos received over the wire."""
    faces: list[photo_pb2.Box] = field(default_factory=list)
    """Faces in every photo."""
    objects: list[tuple[photo_pb2.Box, bytes]] = field(default_factory=list)
    """Objects in every photo, each with the photo whose vector it has."""
    finder: ServiceError | None = None
    """The error of finding objects."""

    @property
    def served(self) -> dict[str, int]:
        """Every version's dimension."""
        return {self.version: self.dimension, **self.others, **self.texts}

    def default(self, *, text: bool) -> str:
        """Return the version of items that name none."""
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
                self.shopper_tags if version == self.version else frozenset(),
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

    async def label_text(self, catalog_id: str, photo: bytes) -> str:
        """Return the label of a photo, as `labels` says; raise its error."""
        found = self.labels.get(photo, "")
        if isinstance(found, ServiceError):
            raise found
        return found

    async def embed(
        self,
        catalog_id: str,
        space: str,
        version: str,
        items: Sequence[bytes | str],
        *,
        classify: bool = False,
        shoppers: Collection[int] = (),
    ) -> list[GivenVector | ServiceError]:
        self.calls.append(len(items))
        if self.down:
            raise EmbedderUnavailable
        if version not in self.served:
            return [VersionMismatch("", version) for _ in items]
        if version != self.version and self.seconds:
            await asyncio.sleep(self.seconds * len(items))
        self.embedded += [(version, item) for item in items]
        results = [
            self.poison.get(item) or self._vector(space, version, item, place in shoppers)
            for place, item in enumerate(items)
        ]
        return [
            replace(result, classification=self.classifications.get(item))
            if classify and isinstance(result, GivenVector)
            else result
            for result, item in zip(results, items, strict=True)
        ]

    def _vector(self, space: str, version: str, item: bytes | str, shopper: bool) -> GivenVector:
        dimension = self.served[version]
        if shopper and self.shopper_tags and isinstance(item, bytes):
            item += SHOPPERS
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
                    shopper_photo_tags=sorted(found.shopper_photo_tags),
                    categories=[
                        photo_pb2.CategoryPath(levels=path)
                        for path in (self._embedder.head if request.include_categories else ())
                    ],
                )
                for found in await self._embedder.spaces(request.catalog_id)
            ]
        )

    async def FindFaces(
        self, request: embedder_pb.FindFacesRequest, context: object
    ) -> embedder_pb.FindFacesResponse:
        boxes = self._embedder.faces
        return embedder_pb.FindFacesResponse(faces=[embedder_pb.Face(box=box) for box in boxes])

    async def EmbedRegions(
        self, request: embedder_pb.EmbedRegionsRequest, context: object
    ) -> embedder_pb.EmbedRegionsResponse:
        embedder = self._embedder
        version = request.space_version or embedder.version
        error = embedder.finder
        if version not in embedder.served:
            error = FailedPrecondition("not served", reason="SPACE_VERSION_UNAVAILABLE")
        if error is not None:
            raise error
        found = embedder.objects[: request.max_regions]
        vectors = [vector_of(data, embedder.served[version], version) for _, data in found]
        return embedder_pb.EmbedRegionsResponse(
            regions=[embedder_pb.PhotoRegion(box=box, objectness=0.9) for box, _ in found],
            space_version=version,
            dimension=embedder.served[version],
            vectors=b"".join(
                vector.astype("<f4").tobytes() for vector in vectors if not request.boxes_only
            ),
            embedded_views=0 if request.boxes_only else 2 * len(found),
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
                shoppers=[0] if item.photo_kind == photo_pb2.PHOTO_KIND_SHOPPER else (),
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
                    classified = added.classification
                    classified.unknown_probability = result.classification.unknown_probability
                    for guess in result.classification.guesses:
                        classified.guesses.add(
                            category_path=guess.path, probability=guess.probability
                        )
        return response


def embedder_server(embedder: FakeEmbedder) -> tuple[grpc.aio.Server, int]:
    """Return a server, not started yet, and its port on 127.0.0.1."""
    server = grpc.aio.server()
    observing = ObservedServer(server, "embedder")
    for binding in scripted("embedder", [FakeEmbedderServicer(embedder)]):
        binding.add_to_server(binding.servicer, observing)
    return server, server.add_insecure_port("127.0.0.1:0")
