"""The gateway's values and errors.

What peers say that is only passed on or looked into stays the message that it came as; such
messages are named here, and nothing else here knows of the wire. Errors, each with its reason::

    ServiceError
    ├── InvalidArgument
    │   └── ImageRefused        IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, URI_FORBIDDEN, BOX_INVALID
    ├── NotFound
    │   ├── SceneNotFound       SCENE_NOT_FOUND
    │   ├── ProductNotFound     PRODUCT_NOT_FOUND
    │   └── AnswerMissing       ANSWER_RECORD_MISSING
    ├── FailedPrecondition
    │   ├── ImageUnreadable     URI_UNREADABLE
    │   ├── SpaceInUse          SPACE_IN_USE
    │   └── SpaceMissing        SPACE_UNAVAILABLE
    ├── Unavailable
    │   ├── PeerUnavailable     EMBEDDER_UNAVAILABLE, RETRIEVER_UNAVAILABLE, RANKER_UNAVAILABLE
    │   └── NothingAvailable    NOTHING_AVAILABLE
    └── DeadlineExceeded
        └── StageLate           STAGE_DEADLINE
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum
from functools import cache, reduce
from operator import or_
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import AfterValidator, ConfigDict, Field
from pydantic import dataclasses as checked

from gateway.model.diversity import Addends, Diversity, Move
from servicekit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ServiceError,
    Unavailable,
)
from sightline.common.v1 import answer_pb2, photo_pb2, product_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2
from sightline.retriever.v1 import product_service_pb2, vector_service_pb2
from sightline_rules import duplicates

T = TypeVar("T")

Box = photo_pb2.Box
Subject = photo_pb2.Subject
Classification = photo_pb2.Classification
CategoryGuess = photo_pb2.CategoryGuess
Vector = vector_pb2.Vector
Reason = answer_pb2.Reason
ProductRow = product_pb2.Product
SpaceVersion = answer_pb2.SpaceVersion
Freshness = answer_pb2.IndexFreshness
Versions = answer_pb2.Versions
Timing = answer_pb2.StageTiming
Degradation = answer_pb2.Degradation

Space = embedding_service_pb2.Space
"""A version of a space as the embedder has it."""

Rejection = product_service_pb2.Rejection
"""Why a product does not pass a filter. Its path is within the caller's filter; empty = it is not
the caller's."""

IndexState = vector_service_pb2.CountResponse
"""What record and index hold of a space."""

RETRY_AFTER = timedelta(seconds=1)
"""When a caller may try again after something was unavailable."""


ALONE = -1
"""The place of a photo that a request is about, which has no list of signals."""


def photo_path(index: int, part: str) -> str:
    """The path of a field of the signal at this place, or of a request about one photo."""
    return part if index == ALONE else f"signals[{index}].{part}"


class ImageRefused(InvalidArgument):
    """A photo can't be used, or must not be fetched."""

    def __init__(self, index: int, kind: str, reason: str, description: str) -> None:
        """`index`: of the signal, or ALONE. `kind` is the field that
        gave the photo."""
        path = photo_path(index, kind)
        super().__init__(
            f"{path}: {description}",
            reason=reason,
            violations=(FieldViolation(path, description),),
        )


class ImageUnreadable(FailedPrecondition):
    """The address of a photo gave no file."""

    def __init__(self, index: int, description: str) -> None:
        """`index`: as of ImageRefused."""
        path = photo_path(index, "image_uri")
        super().__init__(
            f"{path}: {description}",
            reason="URI_UNREADABLE",
            violations=(FieldViolation(path, description),),
        )


class SceneNotFound(NotFound):
    """There is no scene of this name."""

    def __init__(self) -> None:
        description = "there is no scene of this name; GetStatus lists them"
        super().__init__(
            description,
            reason="SCENE_NOT_FOUND",
            violations=(FieldViolation("scene", description),),
        )


class ProductNotFound(NotFound):
    """The catalogue does not hold the products that are asked for."""

    def __init__(self, *paths: str) -> None:
        super().__init__(
            "the catalogue does not hold this product",
            reason="PRODUCT_NOT_FOUND",
            violations=[FieldViolation(path, "is not in the catalogue") for path in paths],
        )


class SpaceMissing(FailedPrecondition):
    """No signal can be followed: their spaces do not exist, or nothing is indexed in them yet."""

    def __init__(self, places: Iterable[int]) -> None:
        description = "has no space to be searched in, or nothing is indexed in it yet"
        super().__init__(
            f"what is asked for {description}",
            reason="SPACE_UNAVAILABLE",
            violations=[FieldViolation(f"signals[{place}]", description) for place in places],
        )


class SpaceInUse(FailedPrecondition):
    """Index generations that are not dropped hold vectors of the space."""

    def __init__(self, generations: Sequence[str]) -> None:
        names = ", ".join(generations)
        super().__init__(
            f"index generations stand on this space: {names}; drop them first",
            reason="SPACE_IN_USE",
            metadata={"generations": ",".join(generations)},
        )


class AnswerMissing(NotFound):
    """The answer's record was lost, has expired or was never handed over."""

    def __init__(self) -> None:
        super().__init__(
            "no record of this answer is kept: ask for the first page again",
            reason="ANSWER_RECORD_MISSING",
        )


class Peer(StrEnum):
    """The services that the gateway calls."""

    EMBEDDER = "embedder"
    RETRIEVER = "retriever"
    RANKER = "ranker"


class PeerUnavailable(Unavailable):
    """A service behind the gateway does not answer."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(
            f"the {peer} does not answer",
            reason=f"{peer.upper()}_UNAVAILABLE",
            retry_after=RETRY_AFTER,
        )


class NothingAvailable(Unavailable):
    """So much is lost that there is nothing to answer with."""

    def __init__(self, causes: Iterable["Cause"]) -> None:
        super().__init__(
            "what an answer could rest on is unavailable",
            reason="NOTHING_AVAILABLE",
            retry_after=RETRY_AFTER,
            metadata={"causes": ",".join(sorted({cause.name for cause in causes}))},
        )


class StageLate(DeadlineExceeded):
    """A stage used up its part of the deadline."""

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"{stage} took longer than its part of the deadline", reason="STAGE_DEADLINE"
        )


class Cause(IntEnum):
    """Why quality was lost, by the numbers of Degradation.Cause."""

    EMBEDDER_UNAVAILABLE = Degradation.CAUSE_EMBEDDER_UNAVAILABLE
    INDEX_UNAVAILABLE = Degradation.CAUSE_INDEX_UNAVAILABLE
    RETRIEVER_UNAVAILABLE = Degradation.CAUSE_RETRIEVER_UNAVAILABLE
    RANKER_UNAVAILABLE = Degradation.CAUSE_RANKER_UNAVAILABLE
    PROFILE_UNAVAILABLE = Degradation.CAUSE_PROFILE_UNAVAILABLE
    STAGE_DEADLINE = Degradation.CAUSE_STAGE_DEADLINE
    SPACE_UNAVAILABLE = Degradation.CAUSE_SPACE_UNAVAILABLE
    MODEL_NOT_READY = Degradation.CAUSE_MODEL_NOT_READY
    ANSWER_RECORD_DROPPED = Degradation.CAUSE_ANSWER_RECORD_DROPPED


class Branch(StrEnum):
    """Where candidates come from."""

    VISUAL = "visual"
    TEXT = "text"
    TEXT_VISUAL = "text_visual"
    KEYWORDS = "keywords"
    COLLABORATIVE = "collaborative"
    POPULAR = "popular"
    NEW = "new"


SIMILARITY_BRANCHES = (Branch.VISUAL, Branch.TEXT, Branch.TEXT_VISUAL, Branch.KEYWORDS)
"""Branches that follow signals. Their scores are cosine similarities to these, but for KEYWORDS,
which tells how well words match, 0 to 1."""

SPACES: Mapping[Branch, str] = MappingProxyType(
    {Branch.VISUAL: "visual", Branch.TEXT: "text", Branch.TEXT_VISUAL: "visual"}
)
"""In which space a branch that follows signals searches; KEYWORDS searches the record."""


class Fusion(StrEnum):
    """How several signals of one branch become one list."""

    RANK = "rank"
    """Each is searched for by itself, and the lists are fused by their places."""
    VECTOR = "vector"
    """Those that are wanted are put together in the space, and searched for at once."""


class Identity(StrEnum):
    """What kind of id a shopper is known by."""

    USER = "user"
    VISITOR = "visitor"


@dataclass(frozen=True, slots=True)
class Shopper:
    """Who is asking, by the caller's own id. Never logged."""

    kind: Identity
    id: str = field(repr=False)


class SignalKind(StrEnum):
    """What a signal is."""

    IMAGE = "image"
    IMAGE_URI = "image_uri"
    TEXT = "text"
    PRODUCT = "product_id"
    NOTHING = "content"
    """No content given: refused."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing to be near to, or far from. Never logged."""

    index: int
    """Its place in the request, for error paths; ALONE = the request is about it."""
    kind: SignalKind
    image: bytes = field(default=b"", repr=False)
    text: str = field(default="", repr=False)
    image_uri: str = field(default="", repr=False)
    product_id: str = ""
    weight: float = 0.0
    """As given; 0 = 1."""
    negative: bool = False
    """Whether it says what is not wanted."""
    box: Box | None = None
    """Of a photo: the part that is meant; None = all of it."""
    find_subject: bool = False
    """Of a photo: whether to look for its subject and search by that."""

    @property
    def strength(self) -> float:
        """The weight that counts."""
        return self.weight or 1.0

    @property
    def is_photo(self) -> bool:
        """Whether it is a photo, or the address of one."""
        return self.kind in (SignalKind.IMAGE, SignalKind.IMAGE_URI)


@dataclass(frozen=True, slots=True)
class CallersFilter:
    """A caller's filter. The retriever judges and evaluates it; here it is carried through."""

    message: object
    """As it came, untouched."""
    content: bytes
    """Its canonical bytes, for digests."""
    speaks_of_availability: bool
    """Whether some condition in it names the field `availability`."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which products may be in an answer."""

    filter: CallersFilter | None = None
    buyable_only: bool = False
    """Leave out what is OUT_OF_STOCK."""
    created_micros: int | None = None
    """Only products that the catalogue first stored at this instant, microseconds since 1970 (UTC);
    None = at any."""


@dataclass(frozen=True, slots=True)
class Query:
    """What Recommend or Search is asked. Limits are those of the messages; see validate.py."""

    catalog_id: str = "default"
    language_code: str = ""
    scene: str = ""
    signals: tuple[Signal, ...] = ()
    shopper: Shopper | None = None
    session_id: str = field(default="", repr=False)
    filter: CallersFilter | None = None
    page_size: int = 0
    page_token: str = ""
    min_index_token: str = ""
    priority: int = 0
    """The number of the Priority, carried through."""
    min_quality: float = 0.0
    exclude_product_ids: tuple[str, ...] = ()
    explain: bool = False
    """Whether parts are split by feature."""
    request_id: str = ""
    """As given in the message."""

    @property
    def results_a_page(self) -> int:
        """How many results a page has."""
        return self.page_size or 20

    @property
    def wanted(self) -> tuple[Signal, ...]:
        """The signals that say what is wanted."""
        return tuple(signal for signal in self.signals if not signal.negative)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Products that are never answered: the query's own and the excluded ones."""
        own = (signal.product_id for signal in self.signals if signal.product_id)
        return tuple(dict.fromkeys((*own, *self.exclude_product_ids)))


Part = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
_FILES = ConfigDict(extra="forbid")
_BEHAVIOUR = ("taste", "session", "item_item", "bought_together", "trend", "popularity")
_SEARCHED = (*SIMILARITY_BRANCHES, Branch.COLLABORATIVE)


def _each_branch(weights: Mapping[Branch, float]) -> Mapping[Branch, float]:
    if unknown := weights.keys() - set(_SEARCHED):
        raise ValueError(
            f"{sorted(map(str, unknown))} have no weight; there are {list(map(str, _SEARCHED))}"
        )
    return {branch: weights.get(branch, 1.0) for branch in _SEARCHED}


def _known_parts(weights: Mapping[str, float]) -> Mapping[str, float]:
    known = {*_SEARCHED, *_BEHAVIOUR}
    if unknown := weights.keys() - known:
        raise ValueError(f"unknown parts {sorted(unknown)}; there are {sorted(map(str, known))}")
    return weights


Parts = Annotated[Mapping[str, Weight], AfterValidator(_known_parts)]


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class Budgets:
    """By which share of a request's time each stage has to be over; 0 to 1, rising."""

    embed: Part = 0.5
    candidates: Part = 0.65
    fallback: Part = 0.8
    rank: Part = 0.9

    def __post_init__(self) -> None:
        if not self.embed <= self.candidates <= self.fallback <= self.rank:
            raise ValueError("must rise: embed ≤ candidates ≤ fallback ≤ rank")


@checked.dataclass(frozen=True, slots=True, config=_FILES)
class Scene:
    """A named way to answer, as a file describes it; see scenes/default.toml for what each entry
    does."""

    name: str
    version: str
    """Hash of the content."""
    over_fetch: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 5.0
    least_candidates: Annotated[int, Field(ge=1, le=1000)] = 100
    most_candidates: Annotated[int, Field(ge=1, le=2000)] = 1000
    buyable_only: bool = True
    drop_seen: bool = False
    min_quality: Annotated[float, Field(ge=0, le=1)] = 0.0
    popular_fallback: bool = True
    new_fallback: bool = True
    branches: Annotated[Mapping[Branch, Weight], AfterValidator(_each_branch)] = field(
        default_factory=lambda: _each_branch({})
    )
    """Weight of each branch in the fusion; 0 = not used."""
    parts_with_signals: Parts = field(default_factory=lambda: {"visual": 1.0})
    """How much each part of the raw score counts when the signals named candidates."""
    parts_without_signals: Parts = field(default_factory=lambda: dict.fromkeys(_BEHAVIOUR, 1.0))
    """The same when they did not."""
    budgets: Budgets = field(default_factory=Budgets)
    diversity: Diversity = field(default_factory=Diversity)
    fusion: Fusion = Fusion.VECTOR
    """How several signals of one branch become one list."""
    views: Annotated[int, Field(ge=0, le=4)] = 0
    """Views of each photo that are embedded and averaged, 1 to 4; 0 = the space's own number."""


@dataclass(frozen=True, slots=True)
class Blend:
    """Vectors and products of one space, put together into one query by the retriever."""

    space: str
    parts: tuple[tuple[float, Vector | str], ...]
    """Each with its weight, below 0 = away from it; a text is a product's id."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What became of several signals, in their order."""

    items: tuple[Vector | ServiceError, ...]
    work: float | None
    """Seconds of work in the peer; None = not said."""
    subjects: tuple[Subject | None, ...] = ()
    """Where the subjects are of photos that were to be looked for; empty = of none."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Categories to search in."""

    paths: tuple[tuple[str, ...], ...]
    probability: float
    """The chance that what the photo shows is in one of them, as far as the guesses tell."""


@dataclass(frozen=True, slots=True)
class Question:
    """What Classify is asked. Limits are those of the message; see validate.py."""

    photo: Signal
    catalog_id: str = "default"
    request_id: str = ""
    top_k: int = 0

    @property
    def guess_count(self) -> int:
        """How many guesses are answered."""
        return self.top_k or 5


@dataclass(frozen=True, slots=True)
class Classified:
    """What Classify answers."""

    classification: Classification
    proposals: tuple[Proposal, ...] = ()
    subject: Subject | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """What the record says of products; entry i of every column speaks of the same product.

    What is empty is not known of any of them.
    """

    product_ids: Sequence[str] = ()
    parent_ids: Sequence[str] = ()
    image_hashes: Sequence[int] = ()
    """See sightline_rules.duplicates; 0 = none."""
    create_time_micros: Sequence[int] = ()
    blocks: Sequence[tuple[object, Sequence[int]]] = ()
    """Everything that is said of them: whole columns, as they came, with the rows of each, rising,
    that are meant."""


def gathered(parts: Sequence[tuple[Columns, Sequence[int]]]) -> Columns:
    """Rows, rising, of several columns behind each other."""
    parts = [(columns, rows) for columns, rows in parts if len(rows)]
    if len(parts) == 1 and len(parts[0][1]) == len(parts[0][0].product_ids):
        return parts[0][0]  # as it came: nothing of it has to be made anew
    return Columns(
        product_ids=_column(parts, "product_ids", ""),
        parent_ids=_column(parts, "parent_ids", ""),
        image_hashes=_column(parts, "image_hashes", duplicates.NO_HASH),
        create_time_micros=_column(parts, "create_time_micros", 0),
        blocks=[block for columns, rows in parts for block in _blocks(columns, rows)],
    )


def _column(parts: Sequence[tuple[Columns, Sequence[int]]], name: str, unknown: T) -> list[T]:
    column: list[T] = []
    for columns, rows in parts:
        held = getattr(columns, name)
        if not len(held):
            column += [unknown] * len(rows)
        else:
            column += held if len(held) == len(rows) else [held[row] for row in rows]
    return column


def _blocks(columns: Columns, rows: Sequence[int]) -> Iterator[tuple[object, Sequence[int]]]:
    if len(rows) == len(columns.product_ids):
        yield from columns.blocks
        return
    begin = 0
    for source, held in columns.blocks:
        end = begin + len(held)
        if inside := [held[row - begin] for row in rows if begin <= row < end]:
            yield source, inside
        begin = end


@dataclass(frozen=True, slots=True)
class Found:
    """The products nearest to a vector or product, nearest first."""

    columns: Columns
    similarities: Sequence[float]
    """Cosine, −1 to 1, one a product."""
    image_ids: Sequence[str]
    """The photo that matched best, one a product."""
    space: SpaceVersion | None
    freshness: Freshness | None
    plan: str
    work: float | None
    collapsed: Sequence[Sequence[str]] = ()
    """Near-duplicates of each, among the products found; empty = none has any."""
    own: Columns | None = None
    """The query's product, whose near-duplicates were left out; None = it has none."""
    degradations: tuple[Degradation, ...] = ()
    """What the retriever lost on the way."""


class Basis(StrEnum):
    """What nominees were chosen by."""

    NOTHING = "nothing"
    LONG_TERM = "long-term"
    SESSION = "session"
    POPULARITY = "popularity"


@dataclass(frozen=True, slots=True)
class Nominees:
    """Products by behaviour, best first."""

    product_ids: tuple[str, ...]
    """With `vectors`: only those that a search with them can't see."""
    basis: Basis
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    vectors: tuple[Vector, ...] = ()
    """Of a large catalogue: the shopper in the collaborative space, by the serving model, then by
    the one before it."""
    exclude: tuple[str, ...] = ()
    """With `vectors`: products to leave out."""
    history_token: str = ""
    """Marks the history that was read, for a ranking of the same request."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates as columns: entry i of every column speaks of the same product.

    They lie as they were named, the first list first; `order` says which are the best.
    """

    columns: Columns
    fused: Sequence[float]
    """Reciprocal-rank fusion of the branches; what is near to a negative signal lowers it."""
    order: Sequence[int]
    """Places of the candidates, best first by `fused`."""
    branches: Sequence[int]
    """Which branches named each: bit i stands for the i-th Branch."""
    nearest: Sequence[float | None]
    """Best cosine similarity to what is wanted; None = not named by it, or by its words alone."""
    image_ids: Sequence[str]
    """The photo of that best match; empty = none."""
    similarities: Mapping[Branch, Sequence[float]]
    """By similarity branch: the weighted mean of the cosines to what is wanted, less what it has of
    what is not; NaN = the branch did not name it."""
    own: Columns = field(default_factory=Columns)
    """The query's own products."""
    same_pictures: Sequence[tuple[int, int]] = ()
    """Places of pairs that a search found to show the same picture."""

    @property
    def named(self) -> tuple[Branch, ...]:
        """The branches that named a candidate."""
        return branches_of(reduce(or_, self.branches, 0))

    @property
    def places(self) -> Mapping[str, int]:
        """Where each product lies."""
        return {product_id: place for place, product_id in enumerate(self.columns.product_ids)}

    def picked(self, places: Sequence[int]) -> "Candidates":
        """Only the candidates at these places, in this order."""
        at = {place: number for number, place in enumerate(places)}
        pairs = ((at.get(one), at.get(other)) for one, other in self.same_pictures)
        return Candidates(
            columns=gathered([(self.columns, places)]),
            fused=[self.fused[place] for place in places],
            order=[at[place] for place in self.order if place in at],
            branches=[self.branches[place] for place in places],
            nearest=[self.nearest[place] for place in places],
            image_ids=[self.image_ids[place] for place in places],
            similarities={
                branch: [values[place] for place in places]
                for branch, values in self.similarities.items()
            },
            own=self.own,
            same_pictures=[
                (one, other) for one, other in pairs if one is not None and other is not None
            ],
        )


@cache
def branches_of(bits: int) -> tuple[Branch, ...]:
    """The branches that bits stand for, in the order of Branch."""
    return tuple(branch for bit, branch in enumerate(Branch) if bits >> bit & 1)


@dataclass(frozen=True, slots=True)
class Score:
    """A raw score as a chance, as the ranker learned it on impressions."""

    chance: float
    """0 to 1, that a shopper to whom the product is shown does `event` with it."""
    event: int
    """The event's type, by its number in the contract."""


@dataclass(slots=True)  # not frozen: a page makes dozens, three times as fast
class AnsweredProduct:
    """One product of an answer's final order."""

    product_id: str
    raw_score: float
    """The sum of the parts."""
    parts: tuple[tuple[str, float], ...]
    reasons: tuple[Reason, ...]
    matched_image_id: str
    branches: tuple[Branch, ...] = ()
    """Branches that named it."""
    collapsed: tuple[str, ...] = ()
    """Ids of the near-duplicates that it stands for, best first."""
    score: Score | None = None
    """None = not calibrated."""
    score_rank: int = 0
    """Place by raw score alone, from 1; 0 = not known."""
    moves: tuple[Move, ...] = ()
    """Why its place in the ranker's order is another one."""
    addends: Mapping[str, Addends] = field(default_factory=dict)
    """By part what it is made of; only where asked for, and never in a record."""


FUSED = "fusion"
"""The only part of a score that no ranker made."""


@dataclass(frozen=True, slots=True)
class Order:
    """A final order, or a part of it, as columns, best first.

    Entry i of every column speaks of the same product; a column that is empty is so for all.
    """

    product_ids: Sequence[str] = ()
    raw_scores: Sequence[float] = ()
    parts: Sequence[tuple[str, Sequence[float]]] = ()
    """Name of each part with its values."""
    image_ids: Sequence[str] = ()
    """The photos that matched best."""
    branches: Sequence[int] = ()
    """Which branches named each; see Candidates."""
    collapsed: Sequence[Sequence[str]] = ()
    """Near-duplicates that each stands for, best first."""
    score_ranks: Sequence[int] = ()
    """Places by raw score alone, from 1; empty = the order is that of the scores."""
    moves: Sequence[Sequence[Move]] = ()
    """Why the places in the ranker's order are others."""
    chances: Sequence[float] = ()
    """Calibrated scores, 0 to 1; empty = the model is not calibrated."""
    event: int = 0
    """Of which event `chances` are the chance; see Score."""
    reasons: Sequence[tuple[Reason, ...]] = ()
    """Of the first products; of the others nobody asked."""
    addends: Mapping[str, Sequence[Addends]] = field(default_factory=dict)
    """By part, of the first products, what it is made of; only where asked for."""
    offset: int = 0
    """Place of its first product in the whole order, from 0."""
    total: int = 0
    """Length of the whole order."""

    @property
    def end(self) -> int:
        """Place in the whole order behind its last product."""
        return self.offset + len(self.product_ids)

    @property
    def is_fused(self) -> bool:
        """Whether no ranker made it."""
        return [name for name, _ in self.parts] == [FUSED]

    def branches_at(self, place: int) -> tuple[Branch, ...]:
        """The branches that named the product at this place of the whole order."""
        return branches_of(self.branches[place - self.offset]) if self.branches else ()

    def reasons_at(self, place: int) -> tuple[Reason, ...] | None:
        """Why the product at this place of the whole order is there, as the ranker says it; None =
        nobody asked."""
        row = place - self.offset
        if row < len(self.reasons):
            return self.reasons[row]
        return () if self.is_fused else None

    def product(
        self,
        place: int,
        reasons: tuple[Reason, ...] = (),
        addends: Mapping[str, Addends] | None = None,
    ) -> AnsweredProduct:
        """The product at this place of the whole order, with these reasons."""
        row = place - self.offset
        return AnsweredProduct(
            product_id=self.product_ids[row],
            raw_score=self.raw_scores[row],
            parts=tuple([(name, values[row]) for name, values in self.parts]),
            reasons=reasons,
            matched_image_id=self.image_ids[row] if self.image_ids else "",
            branches=self.branches_at(place),
            collapsed=tuple(self.collapsed[row]) if self.collapsed else (),
            score=Score(self.chances[row], self.event) if self.chances else None,
            score_rank=self.score_ranks[row] if self.score_ranks else place + 1,
            moves=tuple(self.moves[row]) if self.moves else (),
            addends={
                part: column[row] for part, column in self.addends.items() if row < len(column)
            }
            if addends is None
            else addends,
        )


@dataclass(frozen=True, slots=True)
class RankOrder:
    """What the ranker is asked."""

    catalog_id: str
    language_code: str
    shopper: Shopper | None
    session_id: str = field(repr=False)
    candidates: Candidates
    weights: Mapping[str, float]
    drop_seen: bool
    seed: int
    diversity: Diversity = field(default_factory=Diversity)
    time_micros: int = 0
    """When the request was made, microseconds since 1970 (UTC); 0 = now."""
    explain: bool = False
    """Whether parts are split by feature."""
    top_k: int = 0
    """How many of the first products are wanted; 0 = all."""
    reason_count: int | None = None
    """Of how many of the first products reasons are wanted; None = of all."""
    collapse: bool = True
    """Whether near-duplicates collapse."""
    record: "AnswerRecord | None" = None
    """What the ranker is to keep of the answer, without its order; None = nothing."""
    history_token: str = ""
    """Nominees.history_token of the same request."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """What the ranker answers."""

    order: Order
    hidden_count: int
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    work: float | None = None
    seen_count: int = 0
    collapsed_count: int = 0
    """Candidates that stand behind another one, or behind the query's own products."""
    recorded: bool = False
    """Whether the answer's record will be kept."""


@dataclass(frozen=True, slots=True)
class ReasonOrder:
    """Of which ranked products reasons are asked, after the answer."""

    catalog_id: str
    language_code: str
    shopper: Shopper | None
    session_id: str = field(repr=False)
    rows: Sequence[ProductRow]
    parts: Sequence[tuple[str, Sequence[float]]]
    """The parts of their scores."""
    weights: Mapping[str, float]
    explored: Sequence[int] = ()
    """Which of them, from 0, were given a place to be seen at."""
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Reasoned:
    """Reasons of ranked products, in the order asked."""

    reasons: Sequence[tuple[Reason, ...]]
    addends: Mapping[str, Sequence[Addends]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What was served and everything needed to serve its later pages."""

    answer_id: str
    request_digest: bytes
    """SHA-256 of the request without shopper and page; see tokens.py."""
    shopper: Shopper | None
    versions: Versions
    seed: int
    degradations: tuple[Degradation, ...]
    answer_micros: int
    """When it was asked for, microseconds since 1970 (UTC)."""
    expire_micros: int
    """When record and token may go; 0 = the ranker's own time."""
    order: Order = field(default_factory=Order)
    """The whole final order, or the part of it that was asked for."""
    hidden_count: int = 0
    arms: tuple[str, ...] = ()
    """The arms of experiments that made it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Products as the record has them now, and titles of others."""

    rows: tuple[ProductRow, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    """By product id; what can't be had is missing."""


@dataclass(slots=True)  # not frozen: a page makes dozens, three times as fast
class Result:
    """A product in an answer."""

    row: ProductRow
    rank: int
    """Place in the whole answer, from 1."""
    answered: AnsweredProduct

    @property
    def moves(self) -> tuple[Move, ...]:
        """Why it stands here and not at its score rank: they sum to the difference."""
        told = self.answered.moves
        if not self.answered.score_rank:
            return told
        if told:
            told = tuple(move for move in told if move.cause != Move.CAUSE_COLLAPSE)
        # What stands above it in the ranker's order and is not shown lets it move up.
        place = self.answered.score_rank - sum([move.places for move in told])
        gained = place - self.rank
        return (*told, Move(cause=Move.CAUSE_COLLAPSE, places=gained)) if gained else told


@dataclass(frozen=True, slots=True)
class Answer:
    """What Recommend answers."""

    results: tuple[Result, ...]
    no_good_match: bool
    degradations: tuple[Degradation, ...]
    timings: tuple[Timing, ...]
    versions: Versions
    freshness: Freshness | None
    missing_product_ids: tuple[str, ...]
    hidden_count: int
    attribution_token: str
    next_page_token: str
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    """By the place of the signal in the request."""


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A product that Search found."""

    row: ProductRow
    rank: int
    similarity: float
    image_id: str
    collapsed: tuple[str, ...] = ()
    """Ids of the near-duplicates that it stands for, best first."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What Search answers."""

    results: tuple[FoundProduct, ...]
    degradations: tuple[Degradation, ...]
    timings: tuple[Timing, ...]
    versions: Versions
    freshness: Freshness | None
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    """By the place of the signal in the request."""
