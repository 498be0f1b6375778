"""A small shop: the gateway's dependencies, with fakes that a test can script."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.clients.matches import MatchMessages
from gateway.model.errors import SceneNotFound
from gateway.model.peers import EmbeddedRegions, HeatMap, ReadLabel
from gateway.model.query import Signal, SignalKind
from gateway.model.scene import Scene
from gateway.model.snapshot import CatalogSnapshot
from gateway.state.recent_requests import RecentRequests
from gateway.state.request_context import PeerClients, RequestDependencies
from servicekit.catalogs.known import KnownCatalogs
from servicekit.errors import FailedPrecondition, ServiceError
from sightline.common.v1.photo_pb2 import Box, Classification, LabelLine
from sightline.common.v1.vector_pb2 import Vector
from sightline.embedder.v1.embedding_service_pb2 import Space
from sightline_core.answer import AnswerRecord
from sightline_core.embedding import EmbeddedSignals
from sightline_rules.photo_areas import PhotoArea
from tests.fakes.gateway_ranker import FakeRanker
from tests.fakes.gateway_retriever import FakeRetriever
from tests.fakes.gateway_values import DEFAULT, content_of


@dataclass
class FakeEmbedder:
    """A vector for every signal, made of its bytes; `items` answers something else for some."""

    items: dict[bytes, ServiceError] = field(default_factory=dict)
    fails: ServiceError | None = None
    hang: bool = False
    calls: list[tuple[Signal, ...]] = field(default_factory=list)

    served: tuple[str, ...] = ("v1",)
    """Versions, the default one first."""
    versions: list[str] = field(default_factory=list)
    """Version requested by each call."""
    languages: list[str] = field(default_factory=list)
    """Language of the texts of each call."""

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Signal],
        priority: int,
        space_version: str,
        *,
        space: str = "visual",
        views: int = 0,
        classify: bool = False,
        language_code: str = "",
    ) -> EmbeddedSignals:
        self.calls.append(tuple(signals))
        self.versions.append(space_version)
        self.languages.append(language_code)
        self.classifying.append(classify)
        version = space_version or self.served[0]
        if self.hang:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        return EmbeddedSignals(
            items=tuple(
                self.items.get(content_of(signal)) or self._vector(version, signal, space)
                for signal in signals
            ),
            work=0.001,
            classifications=(self.shown,) * len(signals) if classify else (),
            match_cosines=(self.match_cosines,) * len(signals),
        )

    match_cosines: Sequence[float] = ()
    """Cosines of good matches of every photo."""
    regions: dict[bytes, tuple[Box, ...]] = field(default_factory=dict)
    """Objects in photos, by their bytes: the first has the highest score."""
    objectness: float = 0.9
    """Of every object."""

    async def embed_regions(
        self, catalog_id: str, photo: Signal, most: int, priority: int, space_version: str
    ) -> EmbeddedRegions:
        self.versions.append(space_version)
        if self.fails is not None:
            raise self.fails
        found = self.regions.get(photo.image, ())
        version = space_version or self.served[0]
        kept = found[:most]
        return EmbeddedRegions(
            boxes=[PhotoArea(box.left, box.top, box.right, box.bottom) for box in kept],
            objectness=[self.objectness] * len(kept),
            vectors=[
                Vector(
                    space="visual",
                    space_version=version,
                    dimension=1,
                    data=place.to_bytes(4, "little"),
                )
                for place in range(len(kept))
            ],
            views=2 * len(kept),
            work=0.001,
        )

    labels: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    """Lines of text in photos, by their bytes."""
    unsure: dict[bytes, int] = field(default_factory=dict)
    """Numbers of lines in photos that are not read with confidence, by their bytes."""
    readings: int = 0
    """Photos whose labels were read."""
    blind: ServiceError | None = None
    """Raised where labels are read."""
    slow: bool = False
    """True if labels are never read."""
    shown: Classification | None = None
    """Classification of every photo."""
    classifying: list[bool] = field(default_factory=list)
    """For each call, true if it asked for classifications."""

    async def read_label(self, catalog_id: str, photo: Signal, priority: int) -> ReadLabel:
        if self.slow:
            await asyncio.Event().wait()
        if self.blind is not None:
            raise self.blind
        self.readings += 1
        lines = self.labels.get(content_of(photo), ())
        read = [LabelLine(text=line, confidence=0.9) for line in lines]
        return ReadLabel(read, self.unsure.get(content_of(photo), 0), 0.001)

    compared: list[tuple[str, Signal, bytes, str]] = field(default_factory=list)

    async def compare(
        self, catalog_id: str, photo: Signal, other: bytes, space_version: str
    ) -> HeatMap:
        self.compared.append((catalog_id, photo, other, space_version))
        if self.fails is not None:
            raise self.fails
        return HeatMap(b"png", 0.5, 0.125, space_version or self.served[0])

    take_texts: tuple[str, ...] = ()
    """Versions of the visual space that take texts."""

    async def spaces(self, catalog_id: str) -> tuple[Space, ...]:
        if self.fails is not None:
            raise self.fails
        return tuple(
            Space(
                space="visual",
                version=version,
                ready=True,
                default_version=version == self.served[0],
                takes_texts=version in self.take_texts,
            )
            for version in self.served
        )

    classified: Classification | ServiceError = field(
        default_factory=lambda: FailedPrecondition("no head", reason="CLASSIFIER_UNAVAILABLE")
    )
    """Classification of every photo."""

    async def classify(self, catalog_id: str, photo: Signal, top_k: int) -> Classification:
        self.calls.append((photo,))
        if isinstance(self.classified, ServiceError):
            raise self.classified
        found = Classification()
        found.CopyFrom(self.classified)
        del found.guesses[top_k:]
        return found

    def _vector(self, version: str, signal: Signal, space: str) -> Vector | ServiceError:
        if signal.kind is SignalKind.TEXT and space == "visual" and version not in self.take_texts:
            return FailedPrecondition("takes no texts", reason="SPACE_UNAVAILABLE")
        if version not in self.served:
            return FailedPrecondition("not served", reason="SPACE_VERSION_UNAVAILABLE")
        return Vector(space=space, space_version=version, dimension=1, data=content_of(signal))


@dataclass
class FakeScenes:
    """Scenes in a dictionary."""

    scenes: dict[str, Scene] = field(default_factory=lambda: {"default": DEFAULT})

    def get(self, name: str, catalog_id: str = "") -> Scene:
        if (name or "default") not in self.scenes:
            raise SceneNotFound
        return self.scenes[name or "default"]

    def names(self, catalog_id: str = "") -> tuple[str, ...]:
        return tuple(sorted(self.scenes))

    def text(self, name: str, catalog_id: str = "") -> str:
        return f"# {self.get(name).name}"

    def problems(self, catalog_id: str = "") -> dict[str, str]:
        return {}


@dataclass
class FakeAnswers:
    """Fake queue of answer records: hands them to the ranker at once, or is full."""

    ranker: FakeRanker
    full: bool = False
    waiting: bool = False
    """True if records are held back here."""
    taken: dict[tuple[str, str], AnswerRecord] = field(default_factory=dict)

    def offer(self, catalog_id: str, record: AnswerRecord) -> bool:
        if self.full:
            return False
        where = self.taken if self.waiting else self.ranker.records
        where[catalog_id, record.answer_id] = record
        return True

    def find(self, catalog_id: str, answer_id: str) -> AnswerRecord | None:
        return self.taken.get((catalog_id, answer_id))


@dataclass
class Shop:
    """Dependencies of a gateway, with access to their fakes."""

    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    retriever: FakeRetriever = field(default_factory=FakeRetriever)
    ranker: FakeRanker = field(default_factory=FakeRanker)
    scenes: FakeScenes = field(default_factory=FakeScenes)
    answers: FakeAnswers = field(init=False)
    seconds: float = 5.0
    snapshot: CatalogSnapshot | None = None
    recent: RecentRequests = field(default_factory=RecentRequests)

    def __post_init__(self) -> None:
        self.answers = FakeAnswers(self.ranker)

    @property
    def deps(self) -> RequestDependencies:
        return RequestDependencies(
            peers=PeerClients(self.embedder, self.retriever, self.ranker),
            scenes=self.scenes,
            answers=self.answers,
            matches=MatchMessages(),
            catalogs=KnownCatalogs(("default", "other")),
            service_version="1",
            default_seconds=self.seconds,
            snapshot_of=lambda _: self.snapshot,
            recent=self.recent,
        )

    def scene(self, change: Callable[[Scene], Scene]) -> None:
        """Change the default scene."""
        self.scenes.scenes["default"] = change(self.scenes.scenes["default"])


def shop_with_photo() -> Shop:
    """Return a shop in which p3, p1, p4 and p2, in this order, are nearest to the photo
    b"photo"."""
    shop = Shop()
    shop.retriever.nearest[b"photo"] = {"p1": 0.8, "p2": 0.5, "p3": 0.9, "p4": 0.7}
    return shop
