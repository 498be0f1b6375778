"""A recorded answer and its recomputation by the ranker."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from sightline_core.answer import AnsweredProduct
from sightline_core.degradations import Degradation
from sightline_core.versions import Versions


class DifferenceKind(IntEnum):
    """Kind of a difference, by the numbers of ReplayDifference.Kind; other numbers are the
    ranker's."""

    UNSPECIFIED = 0
    SCENE_CHANGED = 9
    SPACE_CHANGED = 10
    SERVICE_CHANGED = 11
    PRODUCT_CHANGED = 12
    PRODUCT_GONE = 13


@dataclass(frozen=True, slots=True)
class Difference:
    """A change since an answer was given."""

    subject: str
    text: str
    kind: int = DifferenceKind.UNSPECIFIED
    """A DifferenceKind, or a kind of the ranker."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An answer as it was recorded, with its first products."""

    answer_id: str
    products: Sequence[AnsweredProduct] = ()
    versions: Versions = Versions()  # noqa: RUF009  # frozen
    degradations: tuple[Degradation, ...] = ()
    arms: tuple[str, ...] = ()
    request_digest: bytes = b""
    answer_micros: int = 0
    """When it was requested, microseconds since 1970 (UTC)."""
    seed: int = 0
    total_count: int = 0


@dataclass(frozen=True, slots=True)
class ExpectedOutcome:
    """Expected clicks, purchases and amounts of the first products; `None` if unknown."""

    clicks: float | None = None
    purchases: float | None = None
    revenue: float | None = None
    margin: float | None = None
    currency: str = ""
    """ISO 4217 code of revenue and margin."""


@dataclass(frozen=True, slots=True)
class RankerReplay:
    """The ranker's recomputation of an answer."""

    record: RecordedAnswer
    recomputed: Sequence[AnsweredProduct] = ()
    """First products as computed now."""
    equal: bool = False
    differences: tuple[Difference, ...] = ()
    model_version: str = ""
    changed: Sequence[AnsweredProduct] = ()
    """First products by changed rules, if given."""
    outcome: ExpectedOutcome | None = None
    """Of `recomputed`; `None` if the ranker has learned no probabilities."""
    changed_outcome: ExpectedOutcome | None = None
    """Of `changed`."""
