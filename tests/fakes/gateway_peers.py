"""What the gateway's unit tests share: a small shop behind fakes of the gateway's collaborators."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

from gateway.model.answer import AnswerRecord, Order
from gateway.model.branch import Branch
from gateway.model.candidates import Candidates
from gateway.model.columns import Columns
from gateway.model.errors import AnswerMissing, SceneNotFound
from gateway.model.messages import (
    Box,
    Classification,
    Freshness,
    Move,
    ProductRow,
    Reason,
    Rejection,
    Space,
    SpaceVersion,
    Subject,
    Vector,
    Versions,
)
from gateway.model.peers import (
    Basis,
    Blend,
    Embedded,
    Found,
    Ranked,
    RankerCandidates,
    RankOrder,
    Reasoned,
    ReasonOrder,
    Rows,
)
from gateway.model.query import Identity, Query, Scope, Shopper, Signal, SignalKind
from gateway.model.scene import Budgets, Fusion, Scene
from gateway.state.run import Dependencies, Peers
from servicekit.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ServiceError,
)
from sightline.common.v1.answer_pb2 import ReasonParameter
from sightline_rules import duplicates


def reason(code: str, text: str, product_id: str = "") -> Reason:
    parameters = {"product_id": product_id} if product_id else {}
    return Reason(
        code=code,
        text=text,
        parameters=[ReasonParameter(name=name, value=value) for name, value in parameters.items()],
    )


ANN = Shopper(Identity.USER, "ann")
SPACE = SpaceVersion(space="visual", version="v1", generation="g1")
DEFAULT = Scene(
    name="default",
    version="abc",
    over_fetch=2.0,
    least_candidates=10,
    most_candidates=100,
    buyable_only=True,
    drop_seen=False,
    min_quality=0.0,
    popular_fallback=True,
    new_fallback=True,
    branches={Branch.VISUAL: 1.0, Branch.TEXT: 1.0, Branch.COLLABORATIVE: 0.5},
    parts_with_signals={"visual": 1.0, "taste": 0.1},
    parts_without_signals={"taste": 1.0, "popularity": 1.0},
    budgets=Budgets(embed=0.5, candidates=0.65, fallback=0.8, rank=0.9),
    fusion=Fusion.RANK,
)


def content_of(signal: Signal) -> bytes:
    return signal.image or (signal.text or signal.image_uri).encode()


def address(index: int = 0, uri: str = "https://photos.test/a.jpg") -> Signal:
    return Signal(index, SignalKind.IMAGE_URI, image_uri=uri)


def photo(index: int = 0, image: bytes = b"photo", weight: float = 0.0) -> Signal:
    return Signal(index, SignalKind.IMAGE, image=image, weight=weight)


def near(product_id: str, index: int = 0) -> Signal:
    return Signal(index, SignalKind.PRODUCT, product_id=product_id)


def words(text: str = "a red wine", index: int = 0) -> Signal:
    return Signal(index, SignalKind.TEXT, text=text)


def columns(*ids: str) -> Columns:
    """What a record might say of products."""
    return Columns(
        product_ids=list(ids),
        parent_ids=[""] * len(ids),
        image_hashes=[0] * len(ids),
        create_time_micros=list(range(len(ids))),
        blocks=[(f"all of {' '.join(ids)}", range(len(ids)))],
    )


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
    """What each call asked for."""

    async def embed(
        self,
        catalog_id: str,
        signals: Sequence[Signal],
        priority: int,
        space_version: str,
        *,
        space: str = "visual",
        views: int = 0,
    ) -> Embedded:
        self.calls.append(tuple(signals))
        self.versions.append(space_version)
        version = space_version or self.served[0]
        if self.hang:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        return Embedded(
            items=tuple(
                self.items.get(content_of(signal)) or self._vector(version, signal, space)
                for signal in signals
            ),
            work=0.001,
        )

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
    """What every photo is of."""

    async def classify(
        self, catalog_id: str, photo: Signal, top_k: int
    ) -> tuple[Classification, Subject | None]:
        self.calls.append((photo,))
        if isinstance(self.classified, ServiceError):
            raise self.classified
        subject = Subject(box=Box(right=0.5, bottom=0.5)) if photo.find_subject else None
        found = Classification()
        found.CopyFrom(self.classified)
        del found.guesses[top_k:]
        return found, subject

    def _vector(self, version: str, signal: Signal, space: str) -> Vector | ServiceError:
        if signal.kind is SignalKind.TEXT and space == "visual" and version not in self.take_texts:
            return FailedPrecondition("takes no texts", reason="SPACE_UNAVAILABLE")
        if version not in self.served:
            return FailedPrecondition("not served", reason="SPACE_VERSION_UNAVAILABLE")
        return Vector(space=space, space_version=version, dimension=1, data=content_of(signal))


def content(near: Vector | str) -> bytes | str:
    return near.data if isinstance(near, Vector) else near


def spelt(blend: Blend) -> str:
    """A blend as the key of what is near to it: "+1 photo -0.5 p1"."""
    said = ((weight, content(near)) for weight, near in blend.parts)
    return " ".join(
        f"{weight:+g} {near.decode() if isinstance(near, bytes) else near}" for weight, near in said
    )


@dataclass
class FakeRetriever:
    """A record of products, and what each query is near to."""

    record: list[str] = field(default_factory=lambda: [f"p{i}" for i in range(10)])
    """Products that exist and pass the filter, newest first."""
    nearest: dict[bytes | str, dict[str, float]] = field(default_factory=dict)
    """Similarities of products, by a vector's data or by product id."""
    fails: dict[str, ServiceError] = field(default_factory=dict)
    """What a method raises, by its name."""
    hang: set[str] = field(default_factory=set)
    cancelled: list[str] = field(default_factory=list)
    calls: list[tuple[str, object]] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    active: list[SpaceVersion] = field(default_factory=lambda: [SPACE])
    """The generations that one search after the other finds active; the last one stays."""
    parents: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    collapsed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What a search finds to be near-duplicates, by the one that stands for them."""
    far: dict[bytes | str, dict[str, float]] = field(default_factory=dict)
    """Similarities of products that only a search for them alone finds."""
    created: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, Rejection] = field(default_factory=dict)
    """Why products do not pass the callers' filters."""
    sold_out: set[str] = field(default_factory=set)
    cancelling: set[str] = field(default_factory=set)
    """Blends whose parts cancel out, as `spelt`."""

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | Blend,
        scope: Scope,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> Found:
        key = spelt(near) if isinstance(near, Blend) else content(near)
        active = self.active.pop(0) if len(self.active) > 1 else self.active[0]
        await self._called("search", key, scope)
        nears = [each for _, each in near.parts] if isinstance(near, Blend) else [near]
        for each in nears:
            if isinstance(each, Vector) and each.space_version != active.version:
                metadata = {"given": each.space_version, "held": active.version}
                raise FailedPrecondition(
                    "stale", reason="INDEX_VERSION_MISMATCH", metadata=metadata
                )
        missing = [
            place
            for place, each in enumerate(nears)
            if isinstance(each, str) and each not in self.nearest
        ]
        if missing:
            paths = [FieldViolation(f"blend.parts[{place}].product_id", "") for place in missing]
            blended = isinstance(near, Blend)
            raise NotFound(
                "no such product", reason="PRODUCT_NOT_FOUND", violations=paths if blended else ()
            )
        if key in self.cancelling:
            told_of = FieldViolation("blend", "cancels out")
            raise InvalidArgument("blend", reason="VECTOR_INVALID", violations=[told_of])
        found = {
            item: score for item, score in self.nearest.get(key, {}).items() if item not in exclude
        }
        if scope.created_micros is not None:
            near_or_far = {**found, **self.far.get(key, {})}
            ids = [item for item in near_or_far if self.created.get(item) == scope.created_micros]
            found = {item: near_or_far[item] for item in ids}
        ids = list(found)[:top_k]
        return Found(
            columns=self._columns(ids),
            similarities=tuple(found[item] for item in ids),
            image_ids=tuple(f"image of {item}" for item in ids),
            space=active,
            freshness=Freshness(index_token="t1", index_time_micros=1),
            plan="flat",
            work=0.002,
            collapsed=[self.collapsed.get(item, ()) for item in ids],
            own=self._columns([each for each in nears if isinstance(each, str)])
            if any(isinstance(each, str) for each in nears)
            else None,
        )

    def _columns(self, ids: Sequence[str]) -> Columns:
        return replace(
            columns(*ids),
            parent_ids=[self.parents.get(item, "") for item in ids],
            image_hashes=[self.hashes.get(item, 0) for item in ids],
            create_time_micros=[self.created.get(item, place) for place, item in enumerate(ids)],
        )

    words_of: dict[str, dict[str, float]] = field(default_factory=dict)
    """How well products match, by text."""

    async def keywords(
        self, catalog_id: str, text: str, scope: Scope, *, top_k: int, exclude: Sequence[str]
    ) -> Found:
        await self._called("words", text, scope)
        found = {
            item: match
            for item, match in self.words_of.get(text, {}).items()
            if item not in exclude
            and (scope.created_micros is None or self.created.get(item) == scope.created_micros)
        }
        ids = list(found)[:top_k]
        return Found(
            columns=self._columns(ids),
            similarities=tuple(found[item] for item in ids),
            image_ids=(),
            space=None,
            freshness=None,
            plan="words",
            work=0.001,
        )

    async def columns(self, catalog_id: str, ids: Sequence[str], scope: Scope) -> Columns:
        await self._called("columns", tuple(ids), scope)
        return self._columns([item for item in ids if item in self.record])

    async def newest(self, catalog_id: str, scope: Scope, count: int) -> Columns:
        await self._called("newest", count, scope)
        return self._columns(self.record[:count])

    titled: list[tuple[str, ...]] = field(default_factory=list)
    """Whose titles each read of products asked for."""

    async def products(
        self, catalog_id: str, ids: Sequence[str], scope: Scope, titles: Sequence[str] = ()
    ) -> Rows:
        self.titled.append(tuple(titles))
        await self._called("products", tuple(ids), scope)
        return Rows(
            tuple(ProductRow(product_id=item) for item in ids if item in self.record),
            {item: f"Title of {item}" for item in titles if item in self.record},
        )

    async def rejection(self, catalog_id: str, product_id: str, scope: Scope) -> Rejection | None:
        await self._called("rejection", product_id, scope)
        if scope.filter is not None:
            return self.rejections.get(product_id)
        sold_out = Rejection(
            condition="availability != OUT_OF_STOCK", held=["availability: OUT_OF_STOCK"]
        )
        return sold_out if product_id in self.sold_out else None

    async def _called(self, name: str, what: object, scope: Scope) -> None:
        self.calls.append((name, what))
        self.scopes.append(scope)
        if name in self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
        if name in self.fails:
            raise self.fails[name]


def part_of(order: Order, offset: int, limit: int) -> Order:
    """A part of a whole order, as the ranker answers it; of no limit = all from there on."""
    end = offset + limit if limit else order.total
    parts = [(name, values[offset:end]) for name, values in order.parts]
    columns = {
        item.name: values[offset:end]
        for item in fields(Order)
        if isinstance(values := getattr(order, item.name), Sequence) and item.name != "parts"
    }
    return replace(order, **columns, parts=parts, offset=offset)  # type: ignore[arg-type]


def _grouped(candidates: Candidates, rows: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """By their places among these candidates, best first, those that stay and what collapses into
    each; by the rule for single products."""
    pairs = [pair for pair in candidates.same_pictures if {*pair} <= {*rows}]
    own, columns = candidates.own, candidates.columns

    def products(held: Columns, which: Sequence[int]) -> list[duplicates.Candidate]:
        return [
            duplicates.Candidate(
                held.product_ids[row],
                held.parent_ids[row] if held.parent_ids else "",
                held.image_hashes[row] if held.image_hashes else 0,
                [pair for pair in pairs if row in pair] if held is columns else (),
            )
            for row in which
        ]

    count = len(own.product_ids)
    groups = duplicates.collapse((*products(own, range(count)), *products(columns, rows)))
    return {group.place - count: group.collapsed for group in groups if group.place >= count}


@dataclass
class FakeRanker:
    """Ranks by similarity, else by the fused order; `generated` answers for each shopper's id."""

    generated: dict[str, tuple[Basis, tuple[str, ...]]] = field(default_factory=dict)
    """By shopper id; "" = for nobody in particular."""
    hidden: frozenset[str] = frozenset()
    vectors: tuple[Vector, ...] = ()
    """The shopper, for whoever accepts vectors."""
    neighbours: tuple[str, ...] = ()
    """What is named beside those vectors."""
    fails: dict[str, ServiceError] = field(default_factory=dict)
    hang: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    reasons_given: tuple[Reason, ...] = (Reason(code="LOOKS_LIKE_QUERY", text="alike"),)
    moves: tuple[tuple[Move, ...], ...] = ()
    records: dict[tuple[str, str], AnswerRecord] = field(default_factory=dict)
    calls: list[tuple[str, object]] = field(default_factory=list)

    async def generate(
        self,
        catalog_id: str,
        shopper: Shopper | None,
        session_id: str,
        *,
        top_k: int,
        exclude: Sequence[str],
        accept_vectors: bool = False,
    ) -> RankerCandidates:
        await self._called("generate", shopper)
        if accept_vectors and self.vectors:
            left_out = (*exclude, *self.hidden)
            kept = tuple(item for item in self.neighbours if item not in left_out)
            return RankerCandidates(
                kept, Basis.SESSION, "m1", vectors=self.vectors, exclude=left_out
            )
        nobody = (Basis.NOTHING, ())
        basis, ids = self.generated.get(shopper.id if shopper else "", nobody)
        named = tuple(item for item in ids if item not in exclude)[:top_k]
        return RankerCandidates(named, basis, "m1", history_token=self.history_token)

    full: bool = False
    """Whether it has no room for records."""
    history_token: str = ""

    async def rank(self, order: RankOrder) -> Ranked:
        await self._called("rank", order)
        unseen = self.seen if order.drop_seen else set()
        near, ids = order.candidates.nearest, order.candidates.columns.product_ids
        left = [row for row in order.candidates.order if ids[row] not in self.hidden]
        rows = [row for row in left if ids[row] not in unseen]
        rows.sort(key=lambda row: -(near[row] or 0.0))
        whole = self._whole(order, rows)
        if order.record is not None and not self.full:
            versions = Versions()
            versions.CopyFrom(order.record.versions)
            versions.model_version = "m1"
            hidden = len(ids) - len(left)
            kept = replace(order.record, order=whole, versions=versions, hidden_count=hidden)
            self.records.setdefault((order.catalog_id, kept.answer_id), kept)
        first = part_of(whole, 0, order.top_k)
        count = len(first.product_ids) if order.reason_count is None else order.reason_count
        taste = dict(first.parts)["taste"]
        return Ranked(
            order=replace(
                first,
                reasons=[self.reasons_given for _ in first.product_ids[:count]],
                contributions={"taste": [(("brand=b", value),) for value in taste[:count]]}
                if order.explain
                else {},
            ),
            hidden_count=len(ids) - len(left),
            seen_count=len(left) - len(rows),
            collapsed_count=len(rows) - whole.total,
            model_version="m1",
            work=0.003,
            recorded=order.record is not None and not self.full,
        )

    def _whole(self, order: RankOrder, rows: Sequence[int]) -> Order:
        """The whole order of the candidates in these rows, best first."""
        near, columns = order.candidates.nearest, order.candidates.columns
        groups = _grouped(order.candidates, rows) if order.collapse else None
        kept = list(groups or range(len(rows)))
        visual = [order.weights.get("visual", 0.0) * (near[rows[at]] or 0.0) for at in kept]
        taste = [order.weights.get("taste", 0.0) * 0.5 for _ in kept]
        return Order(
            product_ids=[columns.product_ids[rows[at]] for at in kept],
            raw_scores=[a + b for a, b in zip(visual, taste, strict=True)],
            parts=(("visual", visual), ("taste", taste)),
            image_ids=[order.candidates.image_ids[rows[at]] for at in kept],
            branches=[order.candidates.branches[rows[at]] for at in kept],
            collapsed=[groups[at] for at in kept] if groups else [],
            score_ranks=[at + 1 for at in kept],
            moves=[self.moves[at] if at < len(self.moves) else () for at in kept],
            total=len(kept),
        )

    async def reasons(self, order: ReasonOrder) -> Reasoned:
        await self._called("reasons", order)
        taste = dict(order.parts).get("taste", ())
        return Reasoned(
            [self.reasons_given for _ in order.rows],
            {"taste": [(("brand=b", value),) for value in taste]} if order.explain else {},
        )

    async def answer(
        self, catalog_id: str, answer_id: str, offset: int = 0, limit: int = 0
    ) -> AnswerRecord:
        await self._called("answer", answer_id)
        if (catalog_id, answer_id) not in self.records:
            raise AnswerMissing
        kept = self.records[catalog_id, answer_id]
        return replace(kept, shopper=None, order=part_of(kept.order, offset, limit))

    async def _called(self, name: str, what: object) -> None:
        self.calls.append((name, what))
        if name in self.hang:
            await asyncio.Event().wait()
        if name in self.fails:
            raise self.fails[name]

    @property
    def asked(self) -> list[str]:
        """The names of the calls made."""
        return [name for name, _ in self.calls]


@dataclass
class FakeScenes:
    """Scenes in a dictionary."""

    scenes: dict[str, Scene] = field(default_factory=lambda: {"default": DEFAULT})

    def get(self, name: str) -> Scene:
        if (name or "default") not in self.scenes:
            raise SceneNotFound
        return self.scenes[name or "default"]

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.scenes))


@dataclass
class FakeAnswers:
    """Hands records to the ranker at once, or has no room."""

    ranker: FakeRanker
    full: bool = False
    waiting: bool = False
    """Whether records stay here."""
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
    """A gateway's dependencies, with their fakes at hand."""

    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    retriever: FakeRetriever = field(default_factory=FakeRetriever)
    ranker: FakeRanker = field(default_factory=FakeRanker)
    scenes: FakeScenes = field(default_factory=FakeScenes)
    answers: FakeAnswers = field(init=False)
    seconds: float = 5.0

    def __post_init__(self) -> None:
        self.answers = FakeAnswers(self.ranker)

    @property
    def deps(self) -> Dependencies:
        return Dependencies(
            peers=Peers(self.embedder, self.retriever, self.ranker),
            scenes=self.scenes,
            answers=self.answers,
            catalogs=frozenset({"default", "other"}),
            service_version="1",
            default_seconds=self.seconds,
        )

    def scene(self, change: Callable[[Scene], Scene]) -> None:
        """Change the default scene."""
        self.scenes.scenes["default"] = change(self.scenes.scenes["default"])


def shop_with_photo() -> Shop:
    """A shop where the photo b"photo" is near to p3, p1, p4 and p2, in this order."""
    shop = Shop()
    shop.retriever.nearest[b"photo"] = {"p1": 0.8, "p2": 0.5, "p3": 0.9, "p4": 0.7}
    return shop


def by_photo(**fields: object) -> Query:
    """A query by the photo b"photo"."""
    return Query(**{"signals": (photo(),), **fields})  # type: ignore[arg-type]
