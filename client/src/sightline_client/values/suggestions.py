"""Suggestions for a search box, and what shoppers search for.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sightline_client.values.answers import Degradation
from sightline_client.values.filters import Filter


class SuggestionKind(StrEnum):
    """What is suggested."""

    UNKNOWN = "UNKNOWN"
    """Not set, or a value that this client is too old to know."""
    PAST_SEARCH = "PAST_SEARCH"
    """A text that many shoppers searched for: at least RANKER_LEAST_SHOPPERS different ones in the
    last 90 days."""
    COMPLETION = "COMPLETION"
    """The typed text, with its last word completed as products have it, or the value of a tag or an
    attribute."""
    FACET_VALUE = "FACET_VALUE"
    """A brand or a category, with the filter for its products."""
    PRODUCT = "PRODUCT"
    """A product, with its title."""


@dataclass(frozen=True, slots=True)
class TopSearch:
    """A text that shoppers searched for."""

    text: str
    """The text in lower case, with single spaces."""
    shopper_count: int
    """Number of different shoppers."""
    product_count: int
    """Number of products that are found now by the text's words, at most 1,000. 0: a search by
    words finds nothing; one by meaning may."""


@dataclass(frozen=True, slots=True)
class TopSearches:
    """Texts that most shoppers searched for in the last 90 days, as counted in the last ten
    minutes."""

    searches: tuple[TopSearch, ...]
    """Texts, by descending number of shoppers, then by text."""
    least_shoppers: int
    """Minimum number of shoppers of a text."""
    count_time: datetime | None
    """When the searches were counted (UTC)."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggestion."""

    kind: SuggestionKind
    text: str
    """The text to show, and to search for if the kind is PAST_SEARCH or COMPLETION."""
    highlights: tuple[slice, ...]
    """the parts of ``text`` that were typed, as slices of it."""
    product_count: int
    """Number of products, each variant counted, for COMPLETION and FACET_VALUE; otherwise 0. As of
    the last seconds, in catalogs of a million products of the last minutes."""
    field: str
    """For FACET_VALUE: "brand" or "category". Otherwise empty."""
    filter: Filter | None
    """the filter that the products pass; None for a suggestion without one."""
    filter_text: str
    """The same filter in the syntax of the command line: ``category = "Wine > Red"``."""
    product_id: str
    """For PRODUCT: id of the product. Otherwise empty."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Suggestions."""

    suggestions: tuple[Suggestion, ...]
    """Past searches and completions first, then facet values, then products, each best first. Equal
    requests on an unchanged catalog have equal responses."""
    corrected: bool
    """True if nothing has the words as typed: the unknown ones were then replaced by the nearest
    known ones. Words of up to three letters are never replaced, words of up to seven letters may
    have one wrong, missing, superfluous or exchanged letter, longer ones two; the first letter is
    always kept."""
    degradations: tuple[Degradation, ...]
    """Degradations: RETRIEVER_UNAVAILABLE (past searches only; also while a large catalog is read
    after a start, and for catalogs of more than a million products) and RANKER_UNAVAILABLE (no past
    searches). Empty if there are none."""
    request_id: str
    """Id of this request in logs."""
