"""Requests of RecommendationService as values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clients import messages
from gateway.model.controls import ControlRule
from gateway.model.filters import carried
from gateway.model.query import (
    ALONE,
    DEFAULT_LANGUAGE,
    GivenCandidate,
    Question,
    RequestQuery,
    Signal,
    SignalKind,
    ValueGrouping,
)
from gateway.recommend.heat_map import HeatMapQuery
from gateway.recommend.shelves import ShelfKind, ShelfQuery
from gateway.recommend.suggest import DEFAULT_SUGGESTIONS, SuggestQuery
from servicekit.config import DEFAULT_CATALOG
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid
from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_rules.controls import ControlKind
from sightline_rules.fields import FIELDS, check_orders
from sightline_rules.texts import composed

KINDS = {control_pb2.Control.Kind.Value(f"KIND_{kind.name}"): kind for kind in ControlKind}
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Seconds since 1970 of the years 1 to 9999."""


def question(request: pb.ClassifyRequest) -> Question:
    """Return the query of a Classify request."""
    return Question(
        photo=_photo(request),
        catalog_id=request.catalog_id or DEFAULT_CATALOG,
        request_id=request.request_id,
        top_k=request.top_k,
    )


def recommend_query(request: pb.RecommendRequest) -> RequestQuery:
    """Return the query of a Recommend request. Raises RequestInvalid."""
    return RequestQuery(
        **_plain(request),
        shopper=messages.shopper(request.shopper),
        controls=controls_of(request.controls),
        anchors=tuple(request.anchor_product_ids),
        candidates=tuple(map(_candidate, request.candidates)),
    )


_SORTS = {number: name.removeprefix("SORT_") for name, number in pb.Sort.items()} | {0: ""}
check_orders(FIELDS, {*_SORTS.values()})


def search_query(request: pb.SearchRequest) -> RequestQuery:
    """Return the query of a Search request."""
    sort = _SORTS.get(request.sort, str(request.sort))
    return RequestQuery(**{**_plain(request), "sort": sort}, facets=tuple(request.facets))


def list_query(request: pb.ListRequest) -> RequestQuery:
    """Return the query of a List request. Raises RequestInvalid."""
    return RequestQuery(
        **{**_plain(request), "sort": _SORTS.get(request.sort, str(request.sort))},
        shopper=messages.shopper(request.shopper),
        controls=controls_of(request.controls),
        facets=tuple(request.facets),
        listed=True,
    )


def values_query(request: pb.RecommendValuesRequest) -> tuple[RequestQuery, ValueGrouping]:
    """Return the query and the grouping of a RecommendValues request. Raises RequestInvalid."""
    below, products = tuple(request.category_path), request.products_per_value
    return recommend_query(request.request), ValueGrouping(request.field, below, products)


def shelf_queries(request: pb.RecommendShelvesRequest) -> tuple[RequestQuery, list[ShelfQuery]]:
    """Return what the request has for all shelves, and the query of each shelf."""
    shared = RequestQuery(
        catalog_id=request.catalog_id or DEFAULT_CATALOG,
        request_id=request.request_id,
        language_code=request.language_code,
        shopper=messages.shopper(request.shopper),
        session_id=request.session_id,
        not_personal=request.not_personal,
        priority=request.priority,
    )
    return shared, [_shelf(shelf, shared) for shelf in request.shelves]


_SHARED = (
    *("catalog_id", "request_id", "language_code", "shopper", "session_id", "not_personal"),
    "priority",
)
_OF_PAGES = ("page_token", "if_none_match")


def _shelf(shelf: pb.Shelf, shared: RequestQuery) -> ShelfQuery:
    kind = ShelfKind(shelf.WhichOneof("query") or ShelfKind.NOTHING)
    try:
        return ShelfQuery(shelf.shelf_id, kind, _shelf_query(shelf, kind, shared))
    except RequestInvalid as error:
        return ShelfQuery(shelf.shelf_id, kind, error=error)


def _shelf_query(shelf: pb.Shelf, kind: ShelfKind, shared: RequestQuery) -> RequestQuery:
    """Return the query of a shelf, with what is shared. Raises RequestInvalid."""
    if kind is ShelfKind.NOTHING:
        raise RequestInvalid.at("query", "recommend, search or list is required")
    message = getattr(shelf, kind)
    given = {each.name for each, _ in message.ListFields()}
    violations = [
        FieldViolation(name, "must be unset: the request sets it for all shelves")
        for name in _SHARED
        if name in given
    ]
    violations += [
        FieldViolation(name, "must be empty: a shelf is a first page")
        for name in _OF_PAGES
        if name in given
    ]
    if violations:
        raise RequestInvalid(*violations)
    query = _SHELF_READERS[kind](message)
    known = [name for name in _SHARED if name in message.DESCRIPTOR.fields_by_name]
    return replace(query, **{name: getattr(shared, name) for name in known})


_SHELF_READERS: Mapping[ShelfKind, Callable[[Any], RequestQuery]] = {
    ShelfKind.RECOMMEND: recommend_query,
    ShelfKind.SEARCH: search_query,
    ShelfKind.LIST: list_query,
}


_OF_QUERY = frozenset(each.name for each in fields(RequestQuery))


@cache
def _copied(kind: Descriptor) -> Mapping[str, bool]:
    """Return the fields (texts, numbers, flags) that a message and RequestQuery have under the same
    name and with the same default, each with whether it is repeated."""
    return {
        each.name: each.is_repeated
        for each in kind.fields
        if each.message_type is None and each.name in _OF_QUERY
    }


def _plain(request: pb.RecommendRequest | pb.SearchRequest | pb.ListRequest) -> dict[str, Any]:
    """Return the fields of a query: those of equal name, and those converted for every query."""
    copied = _copied(request.DESCRIPTOR)
    return {
        **{
            each.name: tuple(value) if copied[each.name] else value
            for each, value in request.ListFields()
            if each.name in copied
        },
        "catalog_id": request.catalog_id or DEFAULT_CATALOG,
        "signals": ()
        if isinstance(request, pb.ListRequest)
        else tuple(_signal(index, item) for index, item in enumerate(request.signals)),
        "filter": carried(request.filter) if request.HasField("filter") else None,
    }


_SIGNALS: Mapping[str | None, SignalKind] = {str(each): each for each in SignalKind} | {
    None: SignalKind.NOTHING
}


def _signal(index: int, message: pb.QuerySignal) -> Signal:
    return Signal(
        index=index,
        kind=_SIGNALS[message.WhichOneof("content")],
        image=message.image,
        image_uri=message.image_uri,
        text=composed(message.text),
        product_id=message.product_id,
        weight=message.weight,
        negative=message.negative,
        box=message.box if message.HasField("box") else None,
    )


def _candidate(message: pb.GivenCandidate) -> GivenCandidate:
    return GivenCandidate(message.product_id, message.score if message.HasField("score") else None)


def suggest_query(request: pb.SuggestRequest, catalog_id: str, language: str) -> SuggestQuery:
    """Return the query of a Suggest request. `language`: the catalog's; empty: none."""
    return SuggestQuery(
        catalog_id,
        request.prefix,
        request.page_size or DEFAULT_SUGGESTIONS,
        request.language_code or language or DEFAULT_LANGUAGE,
    )


def comparison(request: pb.DrawHeatMapRequest) -> HeatMapQuery:
    """Return the query of a DrawSimilarity request."""
    return HeatMapQuery(
        request.catalog_id or DEFAULT_CATALOG,
        _photo(request),
        request.product_id,
        request.image_id,
    )


def _photo(request: pb.ClassifyRequest | pb.DrawHeatMapRequest) -> Signal:
    return Signal(
        index=ALONE,
        kind=SignalKind(request.WhichOneof("photo") or SignalKind.NOTHING),
        image=request.image,
        image_uri=request.image_uri,
        box=request.box if request.HasField("box") else None,
    )


def controls_of(messages: Sequence[control_pb2.Control]) -> tuple[ControlRule, ...]:
    """Return the controls; their content is validated later. Raises RequestInvalid."""
    violations = [
        FieldViolation(f"controls[{index}].{field}", problem)
        for index, message in enumerate(messages)
        for field, problem in _control_problems(message)
    ]
    if violations:
        raise RequestInvalid(*violations)
    return tuple(_control(message) for message in messages)


def _control_problems(message: control_pb2.Control) -> list[tuple[str, str]]:
    found = []
    if message.kind not in KINDS:
        found.append(("kind", "is required: pin, boost, bury or exclude"))
    for name in ("start_time", "end_time"):
        time = getattr(message, name)
        if not (FIRST_SECOND <= time.seconds <= LAST_SECOND and 0 <= time.nanos < 10**9):
            found.append((name, "must be a time of the years 1 to 9999"))
    return found


def _control(message: control_pb2.Control) -> ControlRule:
    return ControlRule(
        name=message.name,
        kind=KINDS[message.kind],
        product_ids=tuple(message.product_ids),
        filter=carried(message.filter) if message.HasField("filter") else None,
        place=message.place,
        boost=message.boost,
        start_time=_micros(message.start_time),
        end_time=_micros(message.end_time),
        daily_budget=message.daily_budget,
    )


def _micros(time: Timestamp) -> int:
    return time.seconds * 1_000_000 + time.nanos // 1_000
