"""Requests of RecommendationService as values."""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clients import messages
from gateway.model.controls import ControlRule
from gateway.model.filters import carried
from gateway.model.query import ALONE, GivenCandidate, Question, RequestQuery, Signal, SignalKind
from gateway.recommend.heat_map import HeatMapQuery
from gateway.recommend.suggest import DEFAULT_LANGUAGE, DEFAULT_SUGGESTIONS, SuggestQuery
from servicekit.config import DEFAULT_CATALOG
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid
from sightline.gateway.v1 import control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_rules.controls import ControlKind
from sightline_rules.fields import FIELDS, check_orders

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


_OF_QUERY = frozenset(each.name for each in fields(RequestQuery))


@cache
def _copied(kind: Descriptor) -> tuple[tuple[str, bool], ...]:
    """Return the fields (texts, numbers, flags) that a message and RequestQuery have under the same
    name, each with whether it is repeated."""
    return tuple(
        (each.name, each.is_repeated)
        for each in kind.fields
        if each.message_type is None and each.name in _OF_QUERY
    )


def _plain(request: pb.RecommendRequest | pb.SearchRequest | pb.ListRequest) -> dict[str, Any]:
    """Return the fields of a query: those of equal name, and those converted for every query."""
    values = {name: getattr(request, name) for name, _ in _copied(request.DESCRIPTOR)}
    lists = {name: tuple(values[name]) for name, several in _copied(request.DESCRIPTOR) if several}
    return {
        **values,
        **lists,
        "catalog_id": request.catalog_id or DEFAULT_CATALOG,
        "signals": ()
        if isinstance(request, pb.ListRequest)
        else tuple(_signal(index, item) for index, item in enumerate(request.signals)),
        "filter": carried(request.filter) if request.HasField("filter") else None,
    }


def _signal(index: int, message: pb.QuerySignal) -> Signal:
    return Signal(
        index=index,
        kind=SignalKind(message.WhichOneof("content") or SignalKind.NOTHING),
        image=message.image,
        image_uri=message.image_uri,
        text=message.text,
        product_id=message.product_id,
        weight=message.weight,
        negative=message.negative,
        box=message.box if message.HasField("box") else None,
        find_subject=message.find_subject,
    )


def _candidate(message: pb.GivenCandidate) -> GivenCandidate:
    return GivenCandidate(message.product_id, message.score if message.HasField("score") else None)


def suggest_query(request: pb.SuggestRequest, catalog_id: str) -> SuggestQuery:
    """Return the query of a Suggest request."""
    return SuggestQuery(
        catalog_id,
        request.prefix,
        request.page_size or DEFAULT_SUGGESTIONS,
        request.language_code or DEFAULT_LANGUAGE,
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
        find_subject=request.find_subject,
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
