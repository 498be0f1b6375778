"""Texts: results by meaning, by looks and by words, and results when one of them fails."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import NothingAvailable, PeerUnavailable
from gateway.model.explanation import ProductOutcome
from gateway.model.query import RequestQuery, Signal, SignalKind
from gateway.model.response import CorrectedQuery
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from servicekit.errors import FailedPrecondition
from sightline_core.branch import Branch
from sightline_core.degradations import DegradationCause
from sightline_core.search import UsedSynonym
from sightline_core.versions import SpaceVersion
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import words

TEXT = b"a red wine"


def by_text(*more: Signal) -> RequestQuery:
    return RequestQuery(signals=(words(), *more))


def shop_with_words() -> Shop:
    """Return a shop where p1 and p2 are near to the text by meaning, and p3 and p1 have its
    words."""
    shop = Shop()
    shop.retriever.nearest[TEXT] = {"p1": 0.5, "p2": 0.4}
    shop.retriever.words_of["a red wine"] = {"p3": 0.8, "p1": 0.6}
    return shop


def named(found):
    return {item.row.product_id: item.answered.branches for item in found.results}


async def test_lists_of_a_text_are_fused_by_their_places():
    found = await search(by_text(), shop_with_words().deps)

    assert [item.product.product_id for item in found.results] == ["p1", "p3", "p2"]
    assert [item.similarity for item in found.results] == pytest.approx([0.5, 0.0, 0.4])
    assert not found.degradations


async def test_words_are_a_branch_and_a_part_of_their_own():
    shop = shop_with_words()
    answer = await recommend(by_text(), shop.deps)

    assert named(answer) == {
        "p1": ("text", "keywords"),
        "p3": ("keywords",),
        "p2": ("text",),
    }
    (order,) = [call for name, call in shop.ranker.calls if name == "rank"]
    matches = order.candidates.similarities[Branch.KEYWORDS]
    held = order.candidates.columns.product_ids
    assert [matches[list(held).index(each)] for each in ("p1", "p3")] == [0.6, 0.8]
    assert order.weights["visual"] == 1.0  # the signals named candidates
    assert not answer.no_good_match


async def test_words_still_answer_when_the_embedder_is_unavailable():
    shop = shop_with_words()
    shop.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    answer = await recommend(by_text(), shop.deps)

    assert [item.row.product_id for item in answer.results] == ["p3", "p1"]
    (degradation,) = answer.degradations
    assert (degradation.stage, degradation.cause) == ("text", DegradationCause.EMBEDDER_UNAVAILABLE)
    assert degradation.substitute == "products that have words of the text"
    assert not answer.no_good_match


async def test_meaning_still_answers_when_words_are_unavailable():
    shop = shop_with_words()
    shop.retriever.fails["words"] = PeerUnavailable(Peer.RETRIEVER)
    found = await search(by_text(), shop.deps)

    assert [item.product.product_id for item in found.results] == ["p1", "p2"]
    (degradation,) = found.degradations
    assert (degradation.stage, degradation.cause) == (
        "keywords",
        DegradationCause.RETRIEVER_UNAVAILABLE,
    )


async def test_when_all_is_unavailable_nothing_is_made_up():
    shop = shop_with_words()
    shop.retriever.fails = dict.fromkeys(("words", "search"), PeerUnavailable(Peer.RETRIEVER))

    with pytest.raises(NothingAvailable):
        await search(by_text(), shop.deps)


async def test_words_that_are_not_wanted_put_products_further_down():
    shop = shop_with_words()
    shop.retriever.words_of["leather"] = {"p1": 0.9}
    leather = Signal(1, SignalKind.TEXT, text="leather", negative=True)
    found = await search(by_text(leather), shop.deps)

    assert [item.product.product_id for item in found.results] == ["p3", "p1", "p2"]


async def test_a_scene_may_do_without_words():
    shop = shop_with_words()
    shop.scene(lambda scene: replace(scene, branches={**scene.branches, Branch.KEYWORDS: 0.0}))
    found = await search(by_text(), shop.deps)

    assert [item.product.product_id for item in found.results] == ["p1", "p2"]


async def test_what_no_shopper_words_name_is_an_empty_answer():
    shop = Shop()
    shop.embedder.items[TEXT] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")
    found = await search(by_text(), shop.deps)

    assert not found.results


async def test_each_list_of_a_text_has_its_verdict():
    shop = shop_with_words()
    shop.retriever.far[TEXT] = {"p3": 0.1}
    shop.retriever.created = {"p3": 3}
    explanation = await explain(by_text(), "p3", shop.deps)

    assert explanation.outcome is ProductOutcome.SHOWN
    verdicts = {verdict.branch: verdict for verdict in explanation.branches}
    assert verdicts[Branch.KEYWORDS].named
    assert verdicts[Branch.KEYWORDS].similarity == pytest.approx(0.8)
    assert not verdicts[Branch.TEXT].named


# Texts into the visual space


def shop_that_takes_texts(version: str = "f1") -> Shop:
    """Return a shop whose visual space was fitted with titles."""
    shop = shop_with_words()
    shop.embedder.served, shop.embedder.take_texts = ("v1", version), (version,)
    shop.retriever.active = [SpaceVersion(space="visual", version=version, generation="g2")]
    return shop


def asked(shop: Shop) -> list[str]:
    """Return the versions that texts were embedded with, in order."""
    return shop.embedder.versions


async def test_texts_find_looks_where_the_visual_space_was_fitted_with_titles():
    shop = shop_that_takes_texts()
    shop.embedder.items = {}
    answer = await recommend(by_text(), shop.deps)

    assert Branch.TEXT_VISUAL in {branch for item in named(answer).values() for branch in item}
    assert "f1" in asked(shop)


async def test_a_visual_space_without_titles_is_not_asked_and_nothing_is_degraded():
    shop = shop_with_words()
    found = await search(by_text(), shop.deps)

    assert not found.degradations
    assert len(asked(shop)) == 1


async def test_an_index_of_a_version_that_takes_no_texts_is_learned_and_no_failure():
    shop = shop_that_takes_texts()
    shop.retriever.active = [SpaceVersion(space="visual", version="v1", generation="g1")]
    deps = shop.deps
    first = await search(by_text(), deps)
    before = len(asked(shop))
    second = await search(by_text(), deps)

    assert not first.degradations
    assert not second.degradations
    assert deps.versions.of("default", "visual") == "v1"
    assert len(asked(shop)) == before + 1  # the text space alone


MISTYPED = Signal(0, SignalKind.TEXT, text="a rde wien")


def shop_that_corrects() -> Shop:
    shop = shop_with_words()
    shop.retriever.nearest[b"a rde wien"] = {"p4": 0.3}
    shop.retriever.corrections["a rde wien"] = "a red wine"
    return shop


async def test_a_corrected_text_is_searched_by_meaning_too():
    shop = shop_that_corrects()
    found = await search(RequestQuery(signals=(MISTYPED,)), shop.deps)

    assert [item.product.product_id for item in found.results] == ["p1", "p3", "p2"]
    assert found.corrected == (CorrectedQuery(0, "a rde wien", "a red wine"),)
    answer = await recommend(RequestQuery(signals=(MISTYPED,)), shop.deps)
    assert answer.corrected == found.corrected
    assert set(named(answer)) == {"p1", "p2", "p3"}


async def test_a_text_that_is_to_be_searched_as_typed_is_not_corrected():
    shop = shop_that_corrects()
    query = RequestQuery(signals=(MISTYPED,), as_typed=True)
    found = await search(query, shop.deps)

    assert [item.product.product_id for item in found.results] == ["p4"]
    assert not found.corrected


async def test_a_long_text_is_not_corrected():
    shop = shop_that_corrects()
    long = "a rde wien" + " " * 250
    shop.retriever.corrections[long] = "a red wine"
    query = RequestQuery(signals=(replace(MISTYPED, text=long),))
    found = await search(query, shop.deps)

    assert not found.corrected


async def test_a_text_that_is_not_wanted_is_not_corrected():
    shop = shop_that_corrects()
    unwanted = replace(MISTYPED, index=1, negative=True)
    found = await search(by_text(unwanted), shop.deps)

    assert not found.corrected


async def test_a_space_that_fails_for_the_corrected_text_keeps_its_first_result():
    shop = shop_that_corrects()
    shop.embedder.items[TEXT] = FailedPrecondition("no", reason="SPACE_UNAVAILABLE")
    found = await search(RequestQuery(signals=(MISTYPED,)), shop.deps)

    assert {item.product.product_id for item in found.results} == {"p1", "p3", "p4"}
    assert not found.degradations


async def test_a_reason_names_the_synonym_by_which_a_product_was_found():
    shop = shop_with_words()
    shop.retriever.synonyms["p3"] = UsedSynonym("wine", "vino")
    answer = await recommend(by_text(), shop.deps)

    by_product = {item.row.product_id: item.answered.reasons for item in answer.results}
    texts = [reason.text for reason in by_product["p3"] if reason.code == "MATCHES_WORDS"]
    assert texts == ["Has “vino”, which means “wine” here"]
    assert all("vino" not in reason.text for reason in by_product["p1"])
