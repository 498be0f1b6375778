"""The language of a request's texts, over real gRPC."""

import pytest

from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.fakes.gateway_wire import Suite
from tests.wire.gateway_calls import PHOTO, refused, suite

__all__ = ["suite"]  # fixtures

TEXT = [pb.QuerySignal(text="Karotten")]
SEARCH, RECOMMEND = pb.SearchRequest(signals=TEXT), pb.RecommendRequest(signals=TEXT)


def embedded(suite: Suite) -> set[str]:
    """Return the languages of the texts that the embedder was asked for."""
    requests = suite.embedder.script.requests("BatchEmbed")
    return {item.query_language for request in requests for item in request.items}


def by_words(suite: Suite) -> set[str]:
    return {each.language_code for each in suite.retriever.script.requests("SearchKeywords")}


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("Search", pb.SearchRequest(signals=TEXT, language_code="de")),
        ("Recommend", pb.RecommendRequest(signals=TEXT, language_code="de")),
        (
            "RecommendShelves",
            pb.RecommendShelvesRequest(
                language_code="de", shelves=[pb.Shelf(shelf_id="a", search=SEARCH)]
            ),
        ),
        (
            "RecommendShelves",
            pb.RecommendShelvesRequest(
                language_code="de", shelves=[pb.Shelf(shelf_id="a", recommend=RECOMMEND)]
            ),
        ),
    ],
)
async def test_texts_are_embedded_and_compared_by_words_in_the_language_of_the_request(
    suite: Suite, call: str, request_: object
) -> None:
    await getattr(suite.recommendation, call)(request_)
    assert embedded(suite) == by_words(suite) == {"de"}


async def test_a_search_without_a_language_has_that_of_its_catalog(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite.catalogs, "language_code", {"default": "zh"}.__getitem__)
    await suite.recommendation.Search(SEARCH)
    assert embedded(suite) == by_words(suite) == {"zh"}
    photo = [pb.QuerySignal(image=PHOTO)]
    ours = await suite.recommendation.Search(pb.SearchRequest(signals=photo))
    english = await suite.recommendation.Search(pb.SearchRequest(signals=photo, language_code="en"))
    assert ours.match.text != english.match.text
    assert english.match.text.isascii()


async def test_a_shelf_has_no_language_of_its_own(suite: Suite) -> None:
    own = pb.Shelf(shelf_id="a", search=pb.SearchRequest(signals=TEXT, language_code="de"))
    error = await refused(
        suite.recommendation.RecommendShelves(pb.RecommendShelvesRequest(shelves=[own]))
    )
    assert [each.field for each in error.violations] == ["language_code"]


async def test_a_language_that_is_too_long_is_refused_with_its_field(suite: Suite) -> None:
    request = pb.SearchRequest(signals=TEXT, language_code="x" * 65)
    error = await refused(suite.recommendation.Search(request))
    assert [each.field for each in error.violations] == ["language_code"]
