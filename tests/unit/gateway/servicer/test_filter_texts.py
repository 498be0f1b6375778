"""Filters as text are replaced by their expressions in every request that has filters."""

import threading
from types import SimpleNamespace

import pytest

from gateway.model import filters
from gateway.model.errors import FilterInvalid
from gateway.servicer import filter_texts
from servicekit.rpc.server import Binding
from sightline.common.v1.filter_pb2 import Filter, FilterList
from sightline.gateway.v1 import catalog_service_pb2, control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb

CHEAP = filters.expression("price < 30 EUR")
TEXT = Filter(text="price < 30 EUR")


def nested(levels: int, inner: Filter) -> Filter:
    for _ in range(levels):
        inner = Filter(**{"not": inner})
    return inner


async def replaced(filter_: Filter) -> Filter:
    request = pb.RecommendRequest(filter=filter_)
    await filter_texts.replace(request)
    return request.filter


async def refused(request) -> list[tuple[str, str]]:
    with pytest.raises(FilterInvalid) as caught:
        await filter_texts.replace(request)
    assert caught.value.reason == "FILTER_INVALID"
    return [(each.field, each.description) for each in caught.value.violations]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TEXT, CHEAP),
        (CHEAP, CHEAP),
        (Filter(), Filter()),
        (Filter(text="  "), Filter()),
        (nested(1, TEXT), nested(1, CHEAP)),
        (
            Filter(any=FilterList(filters=[TEXT, Filter(all=FilterList(filters=[TEXT, CHEAP]))])),
            Filter(any=FilterList(filters=[CHEAP, Filter(all=FilterList(filters=[CHEAP, CHEAP]))])),
        ),
    ],
)
async def test_a_text_becomes_its_expression_wherever_it_stands(given, expected) -> None:
    assert await replaced(given) == expected


async def test_an_empty_text_within_not_keeps_the_not() -> None:
    assert (await replaced(nested(1, Filter(text="")))).WhichOneof("expression") == "not"


async def test_texts_of_controls_and_of_an_explained_request_are_replaced() -> None:
    control = control_pb2.Control(name="a", filter=TEXT)
    request = pb.ExplainRecommendationRequest(
        request=pb.RecommendRequest(filter=TEXT, controls=[control, control])
    )
    await filter_texts.replace(request)
    found = [request.request.filter, *(each.filter for each in request.request.controls)]
    assert found == [CHEAP] * 3


async def test_an_error_has_the_path_the_position_and_a_caret() -> None:
    bad = control_pb2.Control(name="a", filter=nested(1, Filter(text="price < 30")))
    problem = "missing currency: write 30 EUR, at character 9\n  price < 30\n          ^"
    request = pb.RecommendRequest(controls=[control_pb2.Control(), bad])
    path = "controls[1].filter.not.text"
    assert await refused(request) == [(path, problem)]
    assert await refused(pb.ExplainRecommendationRequest(request=request)) == [(path, problem)]
    purge = catalog_service_pb2.PurgeProductsRequest(filter=Filter(text="price < 30"))
    assert await refused(purge) == [("filter.text", problem)]


async def test_the_texts_of_a_request_are_bounded_together() -> None:
    half = Filter(text="brand = a" + " " * 40_000)
    request = pb.RecommendRequest(filter=Filter(all=FilterList(filters=[half, half])))
    ((path, problem),) = await refused(request)
    assert (path, "65,536" in problem) == ("filter.all.filters[1].text", True)


async def test_a_text_below_the_deepest_level_is_refused() -> None:
    assert (await replaced(nested(8, TEXT))) == nested(8, CHEAP)
    ((path, problem),) = await refused(pb.RecommendRequest(filter=nested(9, TEXT)))
    assert (path, problem) == ("filter." + "not." * 9 + "text", "is nested deeper than 8 levels")


async def test_long_texts_are_parsed_beside_the_event_loop(monkeypatch) -> None:
    seen = list[bool]()

    def expression(_: str) -> Filter:
        seen.append(threading.current_thread() is threading.main_thread())
        return CHEAP

    monkeypatch.setattr(filter_texts, "expression", expression)
    for size in (filter_texts.BESIDE, filter_texts.BESIDE + 1):
        assert await replaced(Filter(text="x" * size)) == CHEAP
    assert seen == [True, False]


def test_all_calls_whose_requests_have_filters_read_texts() -> None:
    found = dict[str, list[str]]()
    for name, calls in {
        "RecommendationService": [
            *("Recommend", "Search", "List"),
            *("RecommendValues", "RecommendShelves", "ExplainRecommendation"),
        ],
        "CatalogService": ["ListProducts", "PurgeProducts"],
        "UserEventService": [],
    }.items():
        full = f"sightline.gateway.v1.{name}"
        servicer = SimpleNamespace(**dict.fromkeys(calls))
        filter_texts.serve(Binding(lambda *_: None, servicer, full))
        found[name] = [call for call in vars(servicer) if getattr(servicer, call) is not None]
        assert found[name] == calls
