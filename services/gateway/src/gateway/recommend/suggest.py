"""Suggestions for a search box: past searches, completions, facet values and products.

The retriever suggests from the catalog, the ranker counts past searches. Either alone still
answers, which the answer says.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import ceil

import numpy as np

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable
from gateway.model.peer_failures import cause_of
from gateway.model.price import suggestion_price
from gateway.model.query import DEFAULT_LANGUAGE
from gateway.recommend.validate import check_suggestion
from gateway.state.past_searches import KnownSearches
from gateway.state.request_context import RequestDependencies
from servicekit.errors import ServiceError
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.search import CatalogSuggestions, SuggestedText
from sightline_rules.evaluation.work import finish
from sightline_rules.phrases import TypedText
from sightline_rules.stems import stemmer_of
from sightline_rules.words import words_of

STAGE = "suggest"
DEFAULT_SUGGESTIONS = 10
_SHARE = 0.3
"""Share of the places that facet values have, and products."""


class SuggestionKind(IntEnum):
    """Kind of a suggestion, by the numbers of Suggestion.Kind."""

    PAST_SEARCH = 1
    COMPLETION = 2
    FACET_VALUE = 3
    PRODUCT = 4


@dataclass(frozen=True, slots=True)
class SuggestQuery:
    """Request for suggestions."""

    catalog_id: str
    prefix: str
    page_size: int
    language_code: str = DEFAULT_LANGUAGE


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggestion of a kind."""

    kind: SuggestionKind
    found: SuggestedText


@dataclass(frozen=True, slots=True)
class SuggestAnswer:
    """Response of Suggest."""

    suggestions: Sequence[Suggestion] = ()
    corrected: bool = False
    degradations: Sequence[Degradation] = ()


async def suggest(query: SuggestQuery, deps: RequestDependencies) -> SuggestAnswer:
    """Return suggestions for what was typed so far.

    Raises RequestInvalid, CatalogNotFound, NothingAvailable and errors of the caller.
    """
    check_suggestion(query.catalog_id, query.prefix, query.page_size, deps.catalogs)
    typed = TypedText.of(query.prefix)
    if typed is None:
        return SuggestAnswer()
    with deps.in_time():
        async with deps.prices.charged(suggestion_price(), query.catalog_id):
            known, (found, lost) = await asyncio.gather(
                deps.past_searches.of(query.catalog_id, deps.peers.ranker.searches),
                _of_catalog(query, deps),
            )
    if known is None:
        substitute = "the catalog's completions"
        lost += (Degradation(STAGE, DegradationCause.RANKER_UNAVAILABLE, substitute),)
        if found is None:
            raise NothingAvailable(each.cause for each in lost)
    return _merged(query, typed, known, found or CatalogSuggestions(), lost)


async def _of_catalog(
    query: SuggestQuery, deps: RequestDependencies
) -> tuple[CatalogSuggestions | None, tuple[Degradation, ...]]:
    """Return what the catalog suggests; None with the degradation if it can't be read."""
    try:
        found = await deps.peers.retriever.suggest(
            query.catalog_id, query.prefix, query.language_code, query.page_size
        )
    except ServiceError as error:
        cause = cause_of(Peer.RETRIEVER, error)
        return None, (Degradation(STAGE, cause, "past searches"),)
    return found, ()


def _merged(
    query: SuggestQuery,
    typed: TypedText,
    known: KnownSearches | None,
    found: CatalogSuggestions,
    lost: tuple[Degradation, ...],
) -> SuggestAnswer:
    """Return the page. Corrections of one source are dropped if the other has the words as
    typed."""
    past = _past(query, typed, known, tolerant=False)
    exact = past or (found and not found.corrected)
    if exact and found.corrected:
        found = CatalogSuggestions()
    corrected = not exact and bool(found)
    if not exact:
        past = _past(query, typed, known, tolerant=True)
        corrected = corrected or bool(past)
    return SuggestAnswer(_page(query.page_size, past, found), corrected, lost)


def _past(
    query: SuggestQuery, typed: TypedText, known: KnownSearches | None, *, tolerant: bool
) -> list[SuggestedText]:
    """Return the past searches that have all words, most shoppers first."""
    if known is None:
        return []
    index = known.index
    meaning = index.meaning(typed, stemmer_of(query.language_code), tolerant=tolerant)
    if meaning is None:
        return []
    rows = finish(index.matching(meaning, np.ones(len(index), np.bool_)))
    texts = [known.texts[row] for row in rows[: query.page_size].tolist()]
    return [SuggestedText(text, meaning.marks(text, index.lexicon)) for text in texts]


def _page(
    size: int, past: Sequence[SuggestedText], found: CatalogSuggestions
) -> tuple[Suggestion, ...]:
    """Return past searches and completions, facet values, and products.

    Of the places, a share is for facet values and one for products; places that one of them leaves
    are for the others: texts first, then facet values.
    """
    texts = list(_texts(past, found.completions))
    values = [Suggestion(SuggestionKind.FACET_VALUE, each) for each in found.facet_values]
    products = [Suggestion(SuggestionKind.PRODUCT, each) for each in found.products]
    share = min(ceil(_SHARE * size), (size - 1) // 2)
    reserved = min(share, len(values)) + min(share, len(products))
    text_count = min(len(texts), size - reserved)
    value_count = min(len(values), size - text_count - min(share, len(products)))
    product_count = size - text_count - value_count
    return (*texts[:text_count], *values[:value_count], *products[:product_count])


def _texts(
    past: Iterable[SuggestedText], completions: Iterable[SuggestedText]
) -> Iterable[Suggestion]:
    """Yield past searches, then completions, each text once."""
    known = set[tuple[str, ...]]()
    for kind, given in (
        (SuggestionKind.PAST_SEARCH, past),
        (SuggestionKind.COMPLETION, completions),
    ):
        for each in given:
            words = tuple(words_of(each.text))
            if words not in known:
                known.add(words)
                yield Suggestion(kind, each)
