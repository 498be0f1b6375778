"""Suggestions: the places of each kind, past searches, corrections and losses."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.recommend.suggest import (
    SuggestAnswer,
    Suggestion,
    SuggestionKind,
    SuggestQuery,
    suggest,
)
from gateway.servicer import answers
from gateway.state.past_searches import AGAIN_SECONDS, MOST_SECONDS, SECONDS, PastSearches
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid
from sightline_core.degradations import DegradationCause
from sightline_core.search import CatalogSuggestions, SuggestedText
from tests.fakes.gateway_peers import Shop


def texts(*names: str) -> list[SuggestedText]:
    return [SuggestedText(name, [(0, 1)]) for name in names]


def shop_with(*past: str, corrected: bool = False, **found: int) -> Shop:
    """Return a shop with past searches, and as many suggestions of each kind as given."""
    shop = Shop()
    shop.ranker.searched = past
    shop.retriever.suggested = CatalogSuggestions(
        **{kind: texts(*(f"{kind} {n}" for n in range(count))) for kind, count in found.items()},
        corrected=corrected,
    )
    return shop


def query(prefix: str = "red", size: int = 10, language: str = "en") -> SuggestQuery:
    return SuggestQuery("default", prefix, size, language)


def shown(answer: SuggestAnswer) -> dict[str, int]:
    """Return the number of suggestions of each kind, in their order."""
    found = dict[str, int]()
    for each in answer.suggestions:
        found[each.kind.name] = found.get(each.kind.name, 0) + 1
    return found


@pytest.mark.parametrize(
    ("size", "kinds", "expected"),
    [
        (10, (20, 20, 20), [4, 3, 3]),
        (10, (2, 20, 20), [2, 5, 3]),
        (10, (0, 1, 20), [0, 1, 9]),
        (10, (20, 1, 0), [9, 1, 0]),
        (10, (20, 0, 0), [10, 0, 0]),
        (1, (5, 5, 5), [1, 0, 0]),
        (1, (0, 0, 5), [0, 0, 1]),
        (2, (5, 5, 5), [2, 0, 0]),
        (3, (5, 5, 5), [1, 1, 1]),
        (20, (20, 20, 20), [8, 6, 6]),
    ],
)
async def test_each_kind_has_its_places_and_those_that_others_leave(
    size: int, kinds: Sequence[int], expected: Sequence[int]
):
    completions, values, products = kinds
    shop = shop_with(completions=completions, facet_values=values, products=products)
    answer = await suggest(query(size=size), shop.deps)
    names = ("COMPLETION", "FACET_VALUE", "PRODUCT")
    wanted = {name: count for name, count in zip(names, expected, strict=True) if count}
    assert shown(answer) == wanted
    assert list(shown(answer)) == list(wanted), "in this order"


async def test_past_searches_come_first_and_their_texts_are_not_repeated():
    shop = shop_with("red wine", "redder", "white wine")
    shop.retriever.suggested = CatalogSuggestions(completions=texts("Red wine", "red rose"))
    answer = await suggest(query(), shop.deps)
    found = [(each.kind, each.found.text) for each in answer.suggestions]
    past, completion = SuggestionKind.PAST_SEARCH, SuggestionKind.COMPLETION
    assert found == [(past, "red wine"), (past, "redder"), (completion, "red rose")]
    assert answer.suggestions[0].found.marks == [(0, 3)]
    assert shop.retriever.calls == [("suggest", ("red", "en", 10))]


async def test_a_correction_is_dropped_where_the_other_source_has_the_words():
    shop = shop_with("barolo", completions=1, corrected=True)
    assert [each.found.text for each in (await suggest(query("baro"), shop.deps)).suggestions] == [
        "barolo"
    ]
    shop = shop_with("barolo", completions=1)
    answer = await suggest(query("barul"), shop.deps)
    assert (shown(answer), answer.corrected) == ({"COMPLETION": 1}, False)
    shop = shop_with("barolo", completions=1, corrected=True)
    answer = await suggest(query("barul"), shop.deps)
    assert (shown(answer), answer.corrected) == ({"PAST_SEARCH": 1, "COMPLETION": 1}, True)


async def test_either_source_alone_answers_and_the_answer_says_so():
    shop = shop_with("red wine", completions=1)
    shop.retriever.fails["suggest"] = PeerUnavailable(Peer.RETRIEVER)
    answer = await suggest(query(), shop.deps)
    assert shown(answer) == {"PAST_SEARCH": 1}
    assert [each.cause for each in answer.degradations] == [DegradationCause.RETRIEVER_UNAVAILABLE]
    shop = shop_with("red wine", completions=1)
    shop.ranker.fails["searches"] = PeerUnavailable(Peer.RANKER)
    answer = await suggest(query(), shop.deps)
    assert shown(answer) == {"COMPLETION": 1}
    assert [each.cause for each in answer.degradations] == [DegradationCause.RANKER_UNAVAILABLE]
    shop.retriever.fails["suggest"] = Unavailable("not read yet", reason="COLUMNS_UNAVAILABLE")
    with pytest.raises(NothingAvailable):
        await suggest(query(), shop.deps)


async def test_a_text_without_a_word_asks_nothing():
    shop = shop_with("red wine", completions=1)
    assert await suggest(query(" - "), shop.deps) == SuggestAnswer()
    assert shop.retriever.calls == shop.ranker.calls == []


async def test_fields_out_of_range_are_refused():
    for wrong in (query("x" * 257), query(size=0), query(size=21)):
        with pytest.raises(RequestInvalid):
            await suggest(wrong, Shop().deps)
    with pytest.raises(CatalogNotFound):
        await suggest(SuggestQuery("unknown", "red", 10), Shop().deps)
    shop = Shop()
    shop.retriever.fails["suggest"] = InvalidArgument("no", reason="INVALID_ARGUMENT")
    with pytest.raises(InvalidArgument):
        await suggest(query(), shop.deps)


async def test_past_searches_are_read_again_after_a_minute_and_sooner_after_an_error():
    now, reads = [0.0], list[str]()
    failing = [True]

    async def read(catalog_id: str) -> Sequence[str]:
        reads.append(catalog_id)
        if failing[0]:
            raise PeerUnavailable(Peer.RANKER)
        return ["red wine"]

    past = PastSearches(clock=lambda: now[0])
    assert await past.of("default", read) is None
    assert await past.of("default", read) is None, "not asked again at once"
    now[0], failing[0] = AGAIN_SECONDS, False
    known = await past.of("default", read)
    assert known is not None
    assert known.texts == ["red wine"]
    now[0] += SECONDS - 1
    await past.of("default", read)
    now[0] += 1
    failing[0] = True
    assert await past.of("default", read) is known, "read in the background"
    await asyncio.sleep(0)
    assert reads == ["default"] * 3
    assert await past.of("default", read) is known, "an error keeps what is known"
    now[0] += MOST_SECONDS
    assert await past.of("default", read) is None, "but not for ever"


def test_highlights_are_utf_16_code_units():
    text = "\U0001f377 wine"
    suggestion = SuggestedText(text, [(0, 1), (2, 4)])
    answer = SuggestAnswer([Suggestion(SuggestionKind.COMPLETION, suggestion)])
    (message,) = answers.suggestions(answer, "r").suggestions
    encoded = text.encode("utf-16-le")
    marked = [encoded[2 * each.start : 2 * each.end] for each in message.highlights]
    assert [each.decode("utf-16-le") for each in marked] == ["\U0001f377", "wi"]
