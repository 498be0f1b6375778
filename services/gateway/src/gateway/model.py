"""The gateway's values and errors.

Nothing here knows of the wire. Errors, each with its reason on the wire::

    ServiceError
    ├── InvalidArgument
    │   └── ImageRefused        IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, URI_FORBIDDEN, BOX_INVALID
    ├── NotFound
    │   ├── SceneNotFound       SCENE_NOT_FOUND
    │   ├── ProductNotFound     PRODUCT_NOT_FOUND
    │   ├── JobNotFound         JOB_NOT_FOUND
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

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from gateway.moving import Addends, Diversity, Move, MoveCause
from servicekit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ServiceError,
    Unavailable,
)
from sightline_rules import duplicates

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


class JobNotFound(NotFound):
    """There is no job of this id in this catalog."""

    def __init__(self) -> None:
        super().__init__("this catalog has no such job", reason="JOB_NOT_FOUND")


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

    def __init__(self, causes: Iterable[str]) -> None:
        super().__init__(
            "what an answer could rest on is unavailable",
            reason="NOTHING_AVAILABLE",
            retry_after=RETRY_AFTER,
            metadata={"causes": ",".join(sorted(set(causes)))},
        )


class StageLate(DeadlineExceeded):
    """A stage used up its part of the deadline."""

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"{stage} took longer than its part of the deadline", reason="STAGE_DEADLINE"
        )


class Cause(StrEnum):
    """Why quality was lost; the names are those of Degradation.Cause without its prefix."""

    EMBEDDER_UNAVAILABLE = "EMBEDDER_UNAVAILABLE"
    INDEX_UNAVAILABLE = "INDEX_UNAVAILABLE"
    RETRIEVER_UNAVAILABLE = "RETRIEVER_UNAVAILABLE"
    RANKER_UNAVAILABLE = "RANKER_UNAVAILABLE"
    PROFILE_UNAVAILABLE = "PROFILE_UNAVAILABLE"
    STAGE_DEADLINE = "STAGE_DEADLINE"
    SPACE_UNAVAILABLE = "SPACE_UNAVAILABLE"
    MODEL_NOT_READY = "MODEL_NOT_READY"
    ANSWER_RECORD_DROPPED = "ANSWER_RECORD_DROPPED"


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
class Box:
    """A rectangle within a photo that stands upright, in shares of its sides, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Subject:
    """What a photo shows most of."""

    box: Box
    alternatives: tuple[Box, ...] = ()
    """What else may be meant, the most salient first."""


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
class Rejection:
    """Why a product does not pass a filter, as the retriever says it."""

    path: str
    """Of the condition that decides, within the caller's filter; empty = it is not the caller's."""
    condition: str
    held: tuple[str, ...]
    """What the product has in the fields that the condition names."""


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


@dataclass(frozen=True, slots=True)
class Budgets:
    """By which share of a request's time each stage has to be over; 0 to 1, rising."""

    embed: float
    candidates: float
    fallback: float
    rank: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A named way to answer; see scenes/default.toml for what each entry does."""

    name: str
    version: str
    """Hash of the content."""
    over_fetch: float
    least_candidates: int
    most_candidates: int
    buyable_only: bool
    drop_seen: bool
    min_quality: float
    popular_fallback: bool
    new_fallback: bool
    branches: Mapping[Branch, float]
    """Weight of each branch in the fusion; 0 = not used."""
    parts_with_signals: Mapping[str, float]
    """How much each part of the raw score counts when the signals named candidates."""
    parts_without_signals: Mapping[str, float]
    """The same when they did not."""
    budgets: Budgets
    diversity: Diversity = field(default_factory=Diversity)
    fusion: Fusion = Fusion.VECTOR
    """How several signals of one branch become one list."""
    views: int = 0
    """Views of each photo that are embedded and averaged, 1 to 4; 0 = the space's own number."""


@dataclass(frozen=True, slots=True)
class SpaceVersion:
    """A space and the index generation that was searched."""

    space: str
    version: str
    generation: str


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh an index is against the record."""

    index_token: str
    lag_seconds: float
    time_micros: int
    pending: int


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector, carried from the embedder to the retriever."""

    space: str
    space_version: str
    dimension: int
    data: bytes = field(repr=False)


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
class CategoryGuess:
    """A category that a photo may be of."""

    path: tuple[str, ...]
    """From the root down."""
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What a photo is of, as a head learned from the catalogue tells it; see photo.proto."""

    guesses: tuple[CategoryGuess, ...]
    """Full paths, the likeliest first."""
    unknown_probability: float
    unknown: bool
    sure: CategoryGuess | None
    space_version: str


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
    """What the record says of products; entry i of every column speaks of the same product."""

    product_ids: Sequence[str] = ()
    parent_ids: Sequence[str] = ()
    category_paths: Sequence[str] = ()
    brands: Sequence[str] = ()
    price_micros: Sequence[int] = ()
    currencies: Sequence[str] = ()
    availabilities: Sequence[int] = ()
    tags: Sequence[object] = ()
    """Carried through untouched, as `attributes` are."""
    attributes: Sequence[object] = ()
    create_time_micros: Sequence[int] = ()
    image_hashes: Sequence[int] = ()
    """See sightline_rules.duplicates; 0 = none."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """What a lost dependency cost."""

    stage: str
    cause: Cause
    substitute: str


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


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a product is in the answer."""

    code: str
    parameters: tuple[tuple[str, str], ...]
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product that branches named."""

    product_id: str
    fused: float
    """Reciprocal-rank fusion of the branches; what is near to a negative signal lowers it."""
    branches: tuple[Branch, ...]
    """In the order of Branch."""
    similarity: float | None
    """Best cosine similarity to what is wanted; None = not named by it, or by its words alone."""
    image_id: str
    """The photo of that best match; empty = none."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The fused candidates, best first."""

    rows: tuple[Candidate, ...]
    similarities: Mapping[Branch, tuple[float, ...]]
    """For each similarity branch one value a row: the weighted mean of its cosines to what is
    wanted, less what it has of what is not; NaN = the branch did not name it."""
    columns: Columns
    """What the record says of them, in the same order."""
    own: tuple[duplicates.Candidate, ...] = ()
    """The query's own products."""
    marks: Mapping[str, Sequence[Hashable]] = field(default_factory=dict)
    """Of products that a search found to be near-duplicates: each two share one."""

    @property
    def named_by_signals(self) -> bool:
        """Whether any signal named a candidate."""
        return any(branch in SIMILARITY_BRANCHES for row in self.rows for branch in row.branches)


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
    reason_count: int | None = None
    """Of how many of the first products reasons are wanted; None = of all."""


@dataclass(frozen=True, slots=True)
class Score:
    """A raw score as a chance, as the ranker learned it on impressions."""

    chance: float
    """0 to 1, that a shopper to whom the product is shown does `event` with it."""
    event: int
    """The event's type, by its number in the contract."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Ordered candidates, best first; entry i of every column speaks of the same product."""

    product_ids: tuple[str, ...]
    raw_scores: tuple[float, ...]
    parts: tuple[tuple[str, tuple[float, ...]], ...]
    """Name of each part with its values."""
    reasons: tuple[tuple[Reason, ...], ...]
    hidden_count: int
    model_version: str
    degradations: tuple[Degradation, ...] = ()
    work: float | None = None
    scores: tuple[Score, ...] = ()
    """Empty = the model is not calibrated."""
    score_ranks: tuple[int, ...] = ()
    """Places by raw score alone, from 1; empty = the order is that of the scores."""
    moves: tuple[tuple[Move, ...], ...] = ()
    """Empty = nothing was moved."""
    propensities: tuple[float, ...] = ()
    """The probability of each to stand where it stands; empty = 1 for all."""
    addends: Mapping[str, tuple[Addends, ...]] = field(default_factory=dict)
    """By part, of the first products, what it is made of; only where asked for."""
    seen_count: int = 0


@dataclass(frozen=True, slots=True)
class AnsweredProduct:
    """One product of an answer's final order."""

    product_id: str
    raw_score: float
    """The sum of the parts."""
    parts: tuple[tuple[str, float], ...]
    reasons: tuple[Reason, ...]
    matched_image_id: str
    branches: tuple[str, ...] = ()
    """Branches that named it."""
    collapsed: tuple[str, ...] = ()
    """Ids of the near-duplicates that it stands for, best first."""
    score: Score | None = None
    """None = not calibrated."""
    score_rank: int = 0
    """Place by raw score alone, from 1; 0 = not known."""
    moves: tuple[Move, ...] = ()
    """Why its place in the ranker's order is another one."""
    propensity: float = 0.0
    """The probability to stand at that place; 0 = not known."""
    addends: Mapping[str, Addends] = field(default_factory=dict)
    """By part what it is made of; only where asked for, and never in a record."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Which versions made an answer."""

    spaces: tuple[SpaceVersion, ...]
    model_version: str
    scene: str
    scene_version: str
    plan: str
    service_version: str


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What was served and everything needed to serve its later pages."""

    answer_id: str
    request_digest: bytes
    """SHA-256 of the request without shopper and page; see tokens.py."""
    shopper: Shopper | None
    versions: Versions
    seed: int
    products: tuple[AnsweredProduct, ...]
    """The whole final order."""
    degradations: tuple[Degradation, ...]
    answer_micros: int
    """When it was asked for, microseconds since 1970 (UTC)."""
    expire_micros: int
    """When record and token may go; 0 = the ranker's own time."""
    hidden_count: int
    arms: tuple[str, ...] = ()
    """The arms of experiments that made it."""


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A product as the record has it now."""

    product_id: str
    message: object
    """The whole product, carried through untouched."""
    title: str = ""


@dataclass(frozen=True, slots=True)
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
        # What stands above it in the ranker's order and is not shown lets it move up.
        place = self.answered.score_rank - sum(move.places for move in told)
        gained = place - self.rank
        return (*told, Move(MoveCause.COLLAPSE, gained)) if gained else told


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a stage took; all in seconds."""

    stage: str
    start: float
    """Since the request's start."""
    total: float
    work: float | None = None
    """In the peer, by its own clock; None = not known."""


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


@dataclass(frozen=True, slots=True)
class SpaceState:
    """A version of a space as the embedder has it."""

    space: str
    version: str
    ready: bool
    """Whether an item would be embedded now."""
    default: bool = False
    """Whether items are embedded with it that name no version."""
    model: str = ""
    """The model behind it."""
    dimension: int = 0
    """Components of its vectors; 0 = not known yet."""
    takes_texts: bool = False
    """Whether texts can be embedded into it."""


@dataclass(frozen=True, slots=True)
class RecallEstimate:
    """How much live searches found lately; see RecallEstimate in answer.proto."""

    plan: str
    filter_class: str
    k: int
    recall: float
    lower: float
    upper: float
    search_count: int
    row_count: int
    below_floor: bool
    ef_factor: float


@dataclass(frozen=True, slots=True)
class IndexState:
    """What record and index hold of the visual space."""

    products: int
    indexed: int
    """Rows as the engine counts them; -1 = it does not answer, or lost them all."""
    pending: int
    failed: int
    space: SpaceVersion | None
    freshness: Freshness | None
    recall: tuple[RecallEstimate, ...] = ()
    """By plan and class of filter."""
