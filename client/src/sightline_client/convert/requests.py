"""Requests of the recommendation calls, from options."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Unpack, cast

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert import to_wire
from sightline_client.convert.writing import ids, options_writer
from sightline_client.errors import invalid
from sightline_client.values.requests import (
    ListOptions,
    QueryOptions,
    RecommendOptions,
    SearchOptions,
    Shelf,
    ShelvesOptions,
)

__all__ = ["ids", "listing", "own_id", "recommend", "search", "shelves", "values"]

Q = TypeVar("Q", rec.RecommendRequest, rec.SearchRequest, rec.ListRequest)

_SIGNALS = ("image", "images", "text", "products", "unlike", "box")
_SHOPPER = ("user", "visitor")
_ELSEWHERE = {*_SIGNALS, *_SHOPPER, "market", "candidates", "timeout"}
"""Options that are no field of a request by themselves."""

_recommend_fields = options_writer(
    RecommendOptions.__annotations__.keys() - _ELSEWHERE,
    rec.RecommendRequest,
    session="session_id",
    language="language_code",
    exclude="exclude_product_ids",
    anchors="anchor_product_ids",
)
_search_fields = options_writer(
    SearchOptions.__annotations__.keys() - _ELSEWHERE,
    rec.SearchRequest,
    language="language_code",
)

_list_fields = options_writer(
    ListOptions.__annotations__.keys() - {*_SHOPPER, "market", "timeout"},
    rec.ListRequest,
    session="session_id",
    language="language_code",
    exclude="exclude_product_ids",
)

_shelves_fields = options_writer(
    ShelvesOptions.__annotations__.keys() - {*_SHOPPER, "market", "timeout"},
    rec.RecommendShelvesRequest,
    session="session_id",
    language="language_code",
)


def own_id(request_id: str = "") -> str:
    """Return the id given, else a new one: a call that starts a job may be sent twice, and must not
    start a second job."""
    return request_id or str(uuid.uuid4())


def recommend(
    *, catalog: str = "", page_token: str = "", **options: Unpack[RecommendOptions]
) -> rec.RecommendRequest:
    """Return the request for these options, whose photos are loaded. InvalidRequest for a value
    that no message can hold, and for a user and a visitor at once."""
    _check(options, RecommendOptions)
    with to_wire.sendable("request"):
        request = rec.RecommendRequest(
            catalog_id=catalog,
            page_token=page_token,
            signals=_signals(options),
            shopper=to_wire.shopper(options.get("user"), options.get("visitor")),
            candidates=_candidates(options.get("candidates", ())),
            **_recommend_fields(options),
        )
        return _in_market(request, options.get("market", ""))


def search(*, catalog: str = "", **options: Unpack[SearchOptions]) -> rec.SearchRequest:
    """Return the request for these options, whose photos are loaded. InvalidRequest for a value
    that no message can hold."""
    _check(options, SearchOptions)
    with to_wire.sendable("request"):
        request = rec.SearchRequest(
            catalog_id=catalog, signals=_signals(options), **_search_fields(options)
        )
        return _in_market(request, options.get("market", ""))


def listing(
    *, catalog: str = "", page_token: str = "", **options: Unpack[ListOptions]
) -> rec.ListRequest:
    """Return the request for these options. InvalidRequest for a value that no message can hold,
    and for a user and a visitor at once."""
    _check(options, ListOptions)
    with to_wire.sendable("request"):
        request = rec.ListRequest(
            catalog_id=catalog,
            page_token=page_token,
            shopper=to_wire.shopper(options.get("user"), options.get("visitor")),
            **_list_fields(options),
        )
        return _in_market(request, options.get("market", ""))


def values(
    field: str,
    *,
    catalog: str = "",
    below: Iterable[str] = (),
    products_per_value: int = 0,
    **options: Unpack[RecommendOptions],
) -> rec.RecommendValuesRequest:
    """Return the request for the values of a field; see ``recommend``."""
    request = recommend(catalog=catalog, **options)
    with to_wire.sendable("request"):
        return rec.RecommendValuesRequest(
            request=request,
            field=field,
            category_path=ids(below),
            products_per_value=products_per_value,
        )


def shelves(
    given: Iterable[Shelf], *, catalog: str = "", **options: Unpack[ShelvesOptions]
) -> rec.RecommendShelvesRequest:
    """Return the request for shelves, whose photos are loaded. InvalidRequest as ``recommend``, and
    for a shelf without exactly one query."""
    _check(options, ShelvesOptions)
    market = options.get("market", "")
    made = [_shelf(place, shelf, market) for place, shelf in enumerate(given)]
    with to_wire.sendable("request"):
        return rec.RecommendShelvesRequest(
            catalog_id=catalog,
            shopper=to_wire.shopper(options.get("user"), options.get("visitor")),
            shelves=made,
            **_shelves_fields(options),
        )


def _in_market(request: Q, market: str) -> Q:
    """Set the market of a request, unless it has one."""
    if market and not request.filter.market_id:
        request.filter.market_id = market
    return request


def _shelf(place: int, shelf: Shelf, market: str) -> rec.Shelf:
    queries = (shelf.recommend, shelf.search, shelf.listing)
    if sum(query is not None for query in queries) != 1:
        problem = "must have exactly one of recommend, search and listing"
        raise invalid(f"shelves[{place}]", problem)
    with to_wire.sendable(f"shelves[{place}].shelf_id"):
        made = rec.Shelf(shelf_id=shelf.shelf_id)
    if shelf.recommend is not None:
        made.recommend.CopyFrom(_in_market(recommend(**shelf.recommend), market))
    elif shelf.search is not None:
        made.search.CopyFrom(_in_market(search(**shelf.search), market))
    elif shelf.listing is not None:
        made.list.CopyFrom(_in_market(listing(**shelf.listing), market))
    return made


def _check(options: Mapping[str, Any], kind: type) -> None:
    """Raise TypeError for an option that does not exist, as Python does for a parameter."""
    for name in options:
        if name not in kind.__annotations__:
            raise TypeError(f"got an unexpected keyword argument {name!r}")


def _candidates(
    given: Mapping[str, float | None] | Iterable[str],
) -> list[rec.GivenCandidate]:
    if not isinstance(given, Mapping):
        return [rec.GivenCandidate(product_id=each) for each in ids(given)]
    return [rec.GivenCandidate(product_id=each, score=score) for each, score in given.items()]


def _signals(options: QueryOptions) -> list[rec.QuerySignal]:
    image = options.get("image")
    photos = [*([] if image is None else [image]), *options.get("images", ())]
    return to_wire.signals(
        cast("list[Any]", photos),
        options.get("text"),
        ids(options.get("products", ())),
        unlike=options.get("unlike"),
        box=options.get("box"),
    )
