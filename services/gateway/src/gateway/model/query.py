"""Requests of callers, as values."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import NamedTuple

from gateway.model.controls import ControlRule
from gateway.model.filters import CallersFilter
from sightline_core.changed import changed
from sightline_core.opaque_messages import Box, FacetRequest
from sightline_core.shoppers import Shopper
from sightline_rules.fast_dataclass import fast_dataclass
from sightline_rules.filters import (
    ATTRIBUTES,
    Availability,
    Comparison,
    Filter,
    Membership,
    Not,
    Operator,
    Time,
)

MOST_ANCHORS = 50
"""Maximum number of anchors of a request."""

MOST_ALIKE = 8
"""Maximum number of anchors searched by visual similarity, equal to that of signals."""

MOST_CORRECTED = 256
"""Maximum number of characters of a text that is corrected."""

ALONE = -1
"""Index of the photo of a request without a list of signals."""


def photo_path(index: int, part: str) -> str:
    """Return the path of a field of the signal at this place, or of a request about one photo."""
    return part if index == ALONE else f"signals[{index}].{part}"


MOST_LABELLED = 3
"""Photos of a request whose labels are read, at most."""
MOST_IN_PHOTO = 20
"""Products that are found in the photo that gives a request's anchors, at most."""
FIRST_ANCHOR = -2
"""Index of the first anchor when used as a signal; those of further anchors descend."""

FIRST_GROUP = -1_000
"""Index of the first group of a shopper's last products when used as a signal."""


def asked_at(place: int) -> str:
    """Return the path of the product that a request names at this place."""
    if place <= FIRST_ANCHOR:
        return f"anchor_product_ids[{FIRST_ANCHOR - place}]"
    return f"signals[{place}].product_id"


class SignalKind(StrEnum):
    """Kind of a signal."""

    IMAGE = "image"
    IMAGE_URI = "image_uri"
    TEXT = "text"
    PRODUCT = "product_id"
    NOTHING = "content"
    """No content given; rejected."""


PHOTO_KINDS = frozenset({SignalKind.IMAGE, SignalKind.IMAGE_URI})
"""A photo, or an address of one."""

DEFAULT_LANGUAGE = "en"
"""Language of texts of requests that name none, in a catalog without a language."""


@fast_dataclass(frozen=True, slots=True)
class Signal:
    """An example of what is wanted or not wanted. Never logged."""

    index: int
    """Index in the request, for error paths; ALONE for a photo that is the whole request."""
    kind: SignalKind
    image: bytes = field(default=b"", repr=False)
    text: str = field(default="", repr=False)
    image_uri: str = field(default="", repr=False)
    product_id: str = ""
    weight: float = 0.0
    """As given; 0: 1."""
    negative: bool = False
    """True if it describes what is not wanted."""
    box: Box | None = None
    """For a photo: the part to search by; `None`: the whole photo."""

    @property
    def strength(self) -> float:
        """The effective weight."""
        return self.weight or 1.0

    @property
    def is_photo(self) -> bool:
        """True for a photo or an address of one."""
        return self.kind in PHOTO_KINDS


@fast_dataclass(frozen=True, slots=True)
class GivenCandidate:
    """A product that the caller wants ranked."""

    product_id: str
    score: float | None = None
    """The caller's own, higher is better; `None`: none."""


@fast_dataclass(frozen=True, slots=True)
class ValueGrouping:
    """Field by whose values the ranked products are grouped."""

    field: str
    below: tuple[str, ...] = ()
    """For a category: the one whose subcategories are the values; empty: the topmost ones."""
    products: int = 0
    """Number of products for each value, as given; 0: 4."""

    @property
    def products_a_value(self) -> int:
        """Number of products for each value."""
        return self.products or 4


_BUYABLE = Comparison("availability", Operator.NOT_EQUAL, Availability.OUT_OF_STOCK)


class AnswerScope(NamedTuple):
    """Conditions on the products of an answer. A tuple: what is read of one is kept by it."""

    filter: CallersFilter | None = None
    buyable_only: bool = False
    """If true, excludes products that are OUT_OF_STOCK."""
    created_micros: int | None = None
    """Only products that the catalog first stored at this time, microseconds since 1970 (UTC);
    `None`: at any time."""
    other_categories: tuple[str, ...] = ()
    """Only products outside of these categories and those below them, each a written path."""
    attribute: tuple[str, tuple[str, ...]] | None = None
    """Only products whose attribute of this key has one of these values; `None`: all."""
    category: str = ""
    """Only products of this category or below it; empty: all."""
    without: tuple[CallersFilter, ...] = ()
    """Excludes products that pass one of these filters."""
    market_id: str = ""
    """Market whose values conditions and products have; empty: the products' own."""

    @property
    def conditions(self) -> list[Filter]:
        """Conditions other than the callers' filters."""
        found: list[Filter] = [_BUYABLE] if self.buyable_only else []
        if self.created_micros is not None:
            created = Time(self.created_micros)
            found.append(Comparison("create_time", Operator.EQUAL, created))
        if self.category:
            found.append(Comparison("category", Operator.EQUAL, self.category))
        if self.other_categories:
            found.append(Not(Membership("category", self.other_categories)))
        if self.attribute is not None:
            key, values = self.attribute
            found.append(Membership(f"{ATTRIBUTES}{key}", values))
        return found


@fast_dataclass(frozen=True, slots=True)
class RequestQuery:
    """Request of Recommend or Search. Limits are those of the messages; see validate.py."""

    catalog_id: str = "default"
    language_code: str = ""
    says_language: bool = True
    """False if the code is the catalog's, as the request has none."""
    scene: str = ""
    signals: tuple[Signal, ...] = ()
    shopper: Shopper | None = None
    session_id: str = field(default="", repr=False)
    filter: CallersFilter | None = None
    page_size: int = 0
    page_token: str = ""
    min_index_token: str = ""
    priority: int = 0
    """Number of the Priority, passed through."""
    min_quality: float = 0.0
    min_answer_quality: int = 0
    """Number of an AnswerQuality; 0: use the scene's."""
    exclude_product_ids: tuple[str, ...] = ()
    explain: bool = False
    """If true, parts are split by feature."""
    controls: tuple[ControlRule, ...] = ()
    """Controls of the request, without those of the scene."""
    request_id: str = ""
    """As given in the message."""
    facets: tuple[FacetRequest, ...] = ()
    """For a search: facets to count. The retriever validates them; the gateway passes them on."""
    sort: str = ""
    """For a search: name of the Sort, or the invalid value given; empty: nearest first."""
    anchors: tuple[str, ...] = ()
    """Products that the request is about, as given, most important first."""
    followed: tuple[str, ...] = ()
    """Attribute values that the shopper follows."""
    audiences: tuple[str, ...] = ()
    """Groups of visits that the request belongs to, as the caller names them."""
    candidates: tuple[GivenCandidate, ...] = ()
    """The only products that may be in the answer; empty: all of the catalog."""
    not_personal: bool = False
    """If true, the request is answered as for an unknown shopper."""
    as_typed: bool = False
    """If true, texts are not corrected."""
    listed: bool = False
    """If true, all products that pass are ordered: a request of List."""
    read_labels: bool = False
    """True if labels of photos are read although the scene does not ask for it."""
    text: str = ""
    """Text whose words the products of a List request must have; empty: all are listed."""
    if_none_match: str = ""
    """Etag of the page of a List request that the caller has already; empty: none."""
    grouping: ValueGrouping | None = None
    """If set, the answer has the values of a field, `page_size` of them, with their products."""

    @property
    def about(self) -> tuple[str, ...]:
        """The products that it is about: its anchors, then its positive product signals."""
        found = dict.fromkeys(self.anchors)
        for each in self.signals:
            if each.product_id and not each.negative:
                found[each.product_id] = None
        return tuple(found)[:MOST_ANCHORS]

    def corrects(self, signal: Signal) -> bool:
        """Return whether a signal is a text that may be corrected, and then is searched again."""
        typed = signal.kind is SignalKind.TEXT and len(signal.text) <= MOST_CORRECTED
        return typed and not (self.as_typed or signal.negative)

    def with_texts(self, texts: Mapping[int, str]) -> "RequestQuery":
        """Return the query with other texts, by index of the signal."""
        return changed(
            self,
            signals=tuple(
                changed(each, text=texts.get(each.index, each.text)) for each in self.signals
            ),
        )

    def near_to(self, anchors: tuple[str, ...]) -> "RequestQuery":
        """Return the query with the first of these anchors as product signals."""
        known = {signal.product_id for signal in self.signals}
        near = [
            Signal(FIRST_ANCHOR - place, SignalKind.PRODUCT, product_id=product_id)
            for place, product_id in enumerate(anchors[:MOST_ALIKE])
            if product_id not in known
        ]
        return changed(self, signals=(*self.signals, *near))

    @property
    def market_id(self) -> str:
        """Market of the request; empty: none."""
        return self.filter.market_id if self.filter is not None else ""

    @property
    def results_a_page(self) -> int:
        """Number of results of a page."""
        return self.page_size or 20

    @property
    def labelled(self) -> tuple[Signal, ...]:
        """The photos whose labels are wanted where scene or request ask for it. Those that are
        read are the first ones; see RequestPlan."""
        return tuple(signal for signal in self.wanted if signal.is_photo)

    @property
    def pictured(self) -> Signal | None:
        """The photo in which products may be found: the first wanted one that is searched whole."""
        whole = (each for each in self.wanted if not each.box)
        return next((each for each in whole if each.is_photo), None)

    @property
    def wanted(self) -> tuple[Signal, ...]:
        """The positive signals."""
        return tuple([signal for signal in self.signals if not signal.negative])

    @property
    def as_answered(self) -> "RequestQuery":
        """The query, without shopper and visit if it is not personal."""
        return changed(self, shopper=None, session_id="") if self.not_personal else self

    @property
    def names_nothing_wanted(self) -> bool:
        """True if all signals are negative and no shopper is named."""
        for each in self.signals:
            if not each.negative:
                return False
        return bool(self.signals) and self.as_answered.shopper is None

    @property
    def given_ids(self) -> frozenset[str]:
        """Ids of the request's own candidates."""
        return frozenset(each.product_id for each in self.candidates)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Products that are never in the answer: the query's own and the excluded ones."""
        own = [signal.product_id for signal in self.signals if signal.product_id]
        return tuple(dict.fromkeys((*own, *self.exclude_product_ids)))


@fast_dataclass(frozen=True, slots=True)
class Question:
    """Request of Classify. Limits are those of the message; see validate.py."""

    photo: Signal
    catalog_id: str = "default"
    request_id: str = ""
    top_k: int = 0

    @property
    def guess_count(self) -> int:
        """Number of returned categories."""
        return self.top_k or 5
