"""Suggestions for a search box, and what shoppers search for."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.answers import Degradation
from sightline_client.values.filters import Filter


class SuggestionKind(StrEnum):
    """Kind of a suggestion."""

    UNKNOWN = "UNKNOWN"
    """Newer than this client."""
    PAST_SEARCH = "PAST_SEARCH"
    """A text that many shoppers searched for."""
    COMPLETION = "COMPLETION"
    """The typed text with its last word completed, or a value of a tag or an attribute."""
    FACET_VALUE = "FACET_VALUE"
    """A brand or a category, with the filter for its products."""
    PRODUCT = "PRODUCT"
    """A product, with its title."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggestion."""

    kind: SuggestionKind
    text: str
    """Text to show; a past search or a completion is also the text to search for."""
    highlights: tuple[slice, ...]
    """Parts of ``text`` that were typed: ``text[highlights[0]]``."""
    product_count: int
    """Number of products of a completion or facet value; otherwise 0."""
    field: str
    """"brand" or "category" for a facet value; otherwise ""."""
    filter: Filter | None
    """Filter that the products of a facet value pass."""
    filter_text: str
    """Text of the same filter, in the syntax of the command line; otherwise ""."""
    product_id: str
    """Id of a product; otherwise ""."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Past searches and completions, then facet values, then products, each best first."""

    suggestions: tuple[Suggestion, ...]
    corrected: bool
    """True if nothing has the words as typed: the unknown ones were replaced by near ones."""
    degradations: tuple[Degradation, ...]
    """Degradations; empty if there are none."""
    request_id: str
    """Id of this request in logs."""


@dataclass(frozen=True, slots=True)
class TopSearch:
    """A text that many shoppers searched for."""

    text: str
    """Lower case, with single spaces."""
    shopper_count: int
    """Number of different shoppers."""
    product_count: int
    """Number of products that are found now by the text's words, at most 1,000."""


@dataclass(frozen=True, slots=True)
class TopSearches:
    """Searches of the last 90 days, those of most shoppers first."""

    searches: tuple[TopSearch, ...]
    least_shoppers: int
    """Minimum number of shoppers of a text."""
    count_time: datetime | None
    """Time at which the searches were counted."""
