"""Controls of merchandisers that override scores: pins, boosts, burials, exclusions.

Controls of scene files and of requests have the same entries and are validated here.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic import dataclasses as checked

from gateway.model import filters
from gateway.model.filters import CallersFilter
from sightline_rules.controls import ControlKind
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.ids import IdInvalidError, check_id
from sightline_rules.messages import read
from sightline_rules.rejections import words
from sightline_rules.words import typed_words

MOST_CONTROLS = 50
MOST_FILTERS = 8
"""Maximum number of filters in one list: each needs a read of all candidates."""
MOST_PRODUCTS = 100
MOST_PINNED = 20
"""Maximum number of products of one pin."""
LAST_PLACE = 200
MOST_BOOST = 10.0
MOST_BUDGET = 10**12
NAME = re.compile(r"[a-z0-9_-]{1,64}")
AUDIENCE = re.compile(r"[a-z0-9_.:-]{1,64}")
AUDIENCE_WANTED = "must be 1 to 64 characters of a-z, 0-9, _, ., : and -"
MOST_AUDIENCES = 16
"""Maximum number of audiences of a request."""

REQUEST = "."
"""Name used instead of a scene for controls of requests."""

_ROUNDING = 1e-9
FIRST_MICROS, LAST_MICROS = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first and the last microsecond of the years 1 to 9999, since 1970 (UTC)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Problem = tuple[str, str]
"""A field and its error."""


def micros_of(value: object) -> object:
    """Convert a time to microseconds since 1970 (UTC); other values stay. Raises ValueError."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("must have a time zone: append Z for UTC")
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def within_years(micros: int) -> int:
    """Return a time that can be shown. Raises ValueError."""
    if not FIRST_MICROS <= micros <= LAST_MICROS:
        raise ValueError("must be a time of the years 1 to 9999")
    return micros


Moment = Annotated[int, BeforeValidator(micros_of), AfterValidator(within_years)]


def filter_of(value: object) -> object:
    """Parse the filter of a file's text; filters and None stay. Raises ValueError."""
    if value is None or isinstance(value, CallersFilter):
        return value
    if isinstance(value, str):
        return filters.of_words(value)
    raise ValueError("must be a text: 'brand = Aurora'")


Terms = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=50)
]


@checked.dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class RequestCondition:
    """Requests that a control of a scene applies to: those that meet each part that is set."""

    words: Terms = ()
    """Terms: a text of the request has all words of one of them."""
    markets: Terms = ()
    """Ids: the request's market is one of them."""
    audiences: Terms = ()
    """The request names one of them."""
    filter: Annotated[CallersFilter | None, BeforeValidator(filter_of)] = None
    """The request's filter has each of its conditions."""

    @property
    def said(self) -> str:
        """The parts that are set, as text."""
        lists = {name: getattr(self, name) for name in ("words", "markets", "audiences")}
        parts = [f"{name}: {', '.join(each)}" for name, each in lists.items() if each]
        if self.filter is not None:
            parts.append(f"filter: {words(read(self.filter.message), most=None)}")
        return "; ".join(parts)


@checked.dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class ControlRule:
    """One control; protos/sightline/gateway/v1/control.proto documents its limits."""

    name: str
    kind: ControlKind
    product_ids: tuple[str, ...] = ()
    filter: Annotated[CallersFilter | None, BeforeValidator(filter_of)] = None
    place: int = 0
    """For a pin: place of its first product, from 1."""
    boost: float = 0.0
    least_share: float = 0.0
    """For a boost of a scene, in place of `boost`: share of the exposure that its products get at
    least, over many answers; the boost follows from what they lack. 0: not a goal."""
    by_merit: bool = False
    """For a boost of a scene, in place of `boost`: the share is that of its products' relevance."""
    start_time: Moment = 0
    """When it starts to apply, microseconds since 1970 (UTC); 0: no lower bound."""
    end_time: Moment = 0
    """When it ceases to apply, exclusive, microseconds since 1970 (UTC); 0: no upper bound."""
    daily_budget: int = 0
    """0: no limit."""
    when: RequestCondition | None = None
    """For a control of a scene: the requests that it applies to; None: all."""

    @property
    def content(self) -> bytes:
        """Its content, for digests."""
        shown = (self.name, self.kind, self.product_ids, self.place, self.boost)
        asked = (self.filter and self.filter.content, self.start_time, self.end_time)
        goal = (self.least_share, self.by_merit) if self.is_goal else ()
        return repr((*shown, *asked, self.daily_budget, *goal)).encode("utf-8", "surrogatepass")

    @property
    def is_goal(self) -> bool:
        """Whether its boost follows from a goal of exposure."""
        return bool(self.least_share) or self.by_merit

    @property
    def said(self) -> dict[str, str]:
        """Its entries as text, by name."""
        held = self.filter and words(read(self.filter.message), most=None)
        times = {"start_time": self.start_time, "end_time": self.end_time}
        since = {name: _EPOCH + timedelta(microseconds=at) for name, at in times.items() if at}
        entries = {
            "kind": self.kind,
            "product_ids": ", ".join(self.product_ids),
            "filter": held,
            "place": self.place,
            "boost": self.boost,
            "least_share": self.least_share,
            "by_merit": self.by_merit or "",
            **since,
            "daily_budget": self.daily_budget,
            "when": self.when and self.when.said,
        }
        return {name: str(value) for name, value in entries.items() if value}


class ControlState(IntEnum):
    """Effect of a control, by the numbers of ControlOutcome.Outcome."""

    APPLIED = 1
    NOT_YET = 2
    ENDED = 3
    OUT_OF_BUDGET = 4
    NOT_FOUND = 5
    FILTERED = 6
    OUT_OF_STOCK = 7
    EXCLUDED = 8
    HIDDEN = 9
    SEEN = 10
    COLLAPSED = 11
    UNAVAILABLE = 12
    UNMET = 13


@fast_dataclass(frozen=True, slots=True)
class ControlOutcome:
    """Effect of a control, or of a control on one product that it pins."""

    control: str
    scene: str
    """Scene of the control; empty for one of the request."""
    product_id: str
    """The pinned product; empty for the outcome of the whole control."""
    state: ControlState


ControlOutcomes = tuple[ControlOutcome, ...]
NO_OUTCOMES: ControlOutcomes = ()


@fast_dataclass(frozen=True, slots=True)
class ActiveControl:
    """A control of a request or of its scene."""

    control: ControlRule
    scene: str
    """Scene of the control; empty for one of the request."""

    @property
    def key(self) -> str:
        """The name that its exposures are counted under."""
        return f"{self.scene or REQUEST}/{self.control.name}"

    def outcome(self, state: ControlState, product_id: str = "") -> ControlOutcome:
        """Return the outcome of the control, or of one product that it pins."""
        return ControlOutcome(self.control.name, self.scene, product_id, state)


def consistent(controls: tuple[ControlRule, ...]) -> tuple[ControlRule, ...]:
    """Return the controls. Raises ValueError with the invalid or contradicting fields."""
    if found := [f"{path} {problem}" for path, problem in problems(controls)]:
        raise ValueError("; ".join(found))
    return controls


def problems(controls: Sequence[ControlRule]) -> Iterator[Problem]:
    """Yield the problems of a list of controls, by field: "[0].place"."""
    if len(controls) > MOST_CONTROLS:
        yield f"[{MOST_CONTROLS}]", f"exceeds the limit of {MOST_CONTROLS} controls"
    names = Counter(control.name for control in controls)
    for index, control in enumerate(controls):
        if not NAME.fullmatch(control.name) or names[control.name] > 1:
            yield f"[{index}].name", "must be 1 to 64 characters of a-z, 0-9, _ and -, and unique"
        for field, problem in (*_own(control), *_subject(control), *_condition(control)):
            yield f"[{index}].{field}", problem
    yield from _contradictions(controls)
    yield from _goals(controls)
    filtered = [index for index, control in enumerate(controls) if control.filter is not None]
    if len(filtered) > MOST_FILTERS:
        yield f"[{filtered[MOST_FILTERS]}].filter", f"exceeds the limit of {MOST_FILTERS} filters"
    excluding = [index for index in filtered if controls[index].kind is ControlKind.EXCLUDE]
    without = [controls[index].filter for index in excluding]
    if problem := filters.too_large([each for each in without if each is not None]):
        yield f"[{excluding[-1]}].filter", f"{problem}, together with the other exclusions"


def _own(control: ControlRule) -> Iterator[Problem]:
    """Yield the problems of a control's numbers and times."""
    pins, boosts = control.kind is ControlKind.PIN, control.kind is ControlKind.BOOST
    last = LAST_PLACE + 1 - len(control.product_ids)
    if pins and not 1 <= control.place <= last:
        yield "place", f"must be 1 to {last}: the last product's place is at most {LAST_PLACE}"
    if boosts and not control.is_goal and not 0 < control.boost <= MOST_BOOST:
        yield "boost", f"must be more than 0 and at most {MOST_BOOST:g}"
    yield from _own_goal(control)
    if control.place and not pins:
        yield "place", "is valid for pin only"
    if control.boost != 0 and not boosts:
        yield "boost", "is valid for boost only"
    if control.end_time and control.end_time <= control.start_time:
        yield "end_time", "must be after start_time"
    if not 0 <= control.daily_budget <= MOST_BUDGET:
        yield "daily_budget", f"must be 0 to {MOST_BUDGET}"
    elif control.daily_budget and not (pins or boosts):
        yield "daily_budget", "is valid for pin and boost only"


def _own_goal(control: ControlRule) -> Iterator[Problem]:
    """Yield the problems of a goal of exposure."""
    if not 0 <= control.least_share <= 1:
        yield "least_share", "must be more than 0 and at most 1"
    if not control.is_goal:
        return
    if control.kind is not ControlKind.BOOST:
        yield "least_share" if control.least_share else "by_merit", "is valid for boost only"
    elif control.boost or (control.least_share and control.by_merit):
        yield "least_share", "must not be set together with boost or by_merit"
    if control.daily_budget:
        yield "daily_budget", "must not be set for a goal of exposure"


def _condition(control: ControlRule) -> Iterator[Problem]:
    """Yield the problems of a control's condition on requests."""
    if (when := control.when) is None:
        return
    if not when.said:
        yield "when", "must have words, markets, audiences or a filter"
    if control.is_goal:
        yield "when", "must not be set for a goal of exposure"
    for index, term in enumerate(when.words):
        if not typed_words(term):
            yield f"when.words[{index}]", "must contain a word"
    for index, name in enumerate(when.audiences):
        if not AUDIENCE.fullmatch(name):
            yield f"when.audiences[{index}]", AUDIENCE_WANTED
    if when.filter is not None:
        yield from filters.problems(when.filter, "when.filter", negated=False)


def _goals(controls: Sequence[ControlRule]) -> Iterator[Problem]:
    """Yield goals that can't be reached together."""
    floors = [(place, one) for place, one in enumerate(controls) if 0 < one.least_share <= 1]
    for place, one in floors:
        together = [other for _, other in floors if other is one or _meet(one, other)]
        if (total := sum(other.least_share for other in together)) > 1 + _ROUNDING:
            problem = f"makes the shares of goals add up to {total:g}, more than 1"
            yield f"[{place}].least_share", problem


def _subject(control: ControlRule) -> Iterator[Problem]:
    """Yield the problems of a control's products or filter."""
    ids, pins = control.product_ids, control.kind is ControlKind.PIN
    most = MOST_PINNED if pins else MOST_PRODUCTS
    if control.filter is not None:
        if pins or ids:
            yield "filter", "must not be set with product_ids or for pin"
        negated = control.kind is ControlKind.EXCLUDE
        yield from filters.problems(control.filter, "filter", negated=negated)
    elif not 1 <= len(ids) <= most:
        yield (
            "product_ids",
            f"must contain 1 to {most} ids" + ("" if pins else ", or give a filter"),
        )
    elif len(set(ids)) < len(ids):
        yield "product_ids", "contains a product twice"
    for index, product_id in enumerate(ids):
        try:
            check_id(product_id)
        except IdInvalidError as error:
            yield f"product_ids[{index}]", str(error)


_AGAINST = {
    (ControlKind.PIN, ControlKind.PIN): "is pinned",
    (ControlKind.PIN, ControlKind.BURY): "is pinned",
    (ControlKind.PIN, ControlKind.EXCLUDE): "is pinned",
    (ControlKind.BURY, ControlKind.PIN): "is buried",
    (ControlKind.BURY, ControlKind.BOOST): "is buried",
    (ControlKind.BOOST, ControlKind.BURY): "is boosted",
    (ControlKind.BOOST, ControlKind.EXCLUDE): "is boosted",
    (ControlKind.EXCLUDE, ControlKind.PIN): "is excluded",
    (ControlKind.EXCLUDE, ControlKind.BOOST): "is excluded",
}
"""Actions that contradict each other on the same product."""


def _contradictions(controls: Sequence[ControlRule]) -> Iterator[Problem]:
    """Yield controls that are active at the same time and contradict each other on a product or
    place."""
    having: defaultdict[str, list[ControlRule]] = defaultdict(list)
    pins: list[ControlRule] = []
    for index, control in enumerate(controls):
        for place, product_id in enumerate(control.product_ids):
            for other in having[product_id]:
                said = _AGAINST.get((other.kind, control.kind))
                if said and _meet(control, other):
                    yield f"[{index}].product_ids[{place}]", f"{said} by {other.name}"
        for product_id in frozenset(control.product_ids):
            having[product_id].append(control)
        if control.kind is ControlKind.PIN:
            for other in pins:
                if _overlap(control, other) and _meet(control, other):
                    yield f"[{index}].place", f"is taken by {other.name}"
            pins.append(control)


def _meet(one: ControlRule, other: ControlRule) -> bool:
    """Return whether two controls may be active together: their periods overlap, for the same
    requests. Of others the order of the list decides."""
    if one.when != other.when:
        return False
    ends = [each.end_time for each in (one, other) if each.end_time]
    return not ends or max(one.start_time, other.start_time) < min(ends)


def _overlap(one: ControlRule, other: ControlRule) -> bool:
    return one.place < other.place + len(other.product_ids) and other.place < one.place + len(
        one.product_ids
    )
