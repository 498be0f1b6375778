"""DetectionService on the wire."""

from collections.abc import Mapping
from typing import cast

from prometheus_client import Counter

from gateway.clients import messages
from gateway.detect.shelf import detect_on_shelf
from gateway.model.detections import (
    MIN_PROBABILITY,
    Detection,
    DetectionAnswer,
    DetectionQuery,
    HeatMapChoice,
)
from gateway.model.filters import carried
from gateway.model.peers import HeatMap
from gateway.model.query import ALONE, Signal, SignalKind
from gateway.servicer.requests import admit
from gateway.servicer.shelf_plans import add_report, question_of
from gateway.state.request_context import RequestDependencies
from servicekit import tracing
from servicekit.admission.access import Role, caller
from servicekit.rpc.requests import take_request_id
from servicekit.rpc.server import Context
from sightline.common.v1 import photo_pb2, product_pb2
from sightline.gateway.v1 import detection_service_pb2 as pb
from sightline.gateway.v1 import detection_service_pb2_grpc

DETECTIONS = Counter(
    "sightline_gateway_detections_total",
    "Objects that DetectProducts found in photos, by outcome: named (a product of the catalog) or"
    " unknown.",
    ("outcome",),
)
_OUTCOMES: Mapping[bool, Counter] = {
    True: DETECTIONS.labels("named"),
    False: DETECTIONS.labels("unknown"),
}
"""By whether a product was found; both start at 0, as rates miss the first value."""

_DRAWERS = frozenset({Role.READ})
"""Roles that may have heat maps drawn, as in DrawHeatMap: they show photos of products."""


class DetectionServicer(detection_service_pb2_grpc.DetectionServiceServicer):
    """Servicer that finds products in photos."""

    def __init__(self, deps: RequestDependencies) -> None:
        self._deps = deps

    async def DetectProducts(
        self, request: pb.DetectProductsRequest, context: Context
    ) -> pb.DetectProductsResponse:
        """Find the products in a photo."""
        catalog_id = admit(request, self._deps.catalogs)
        question = question_of(request, catalog_id)
        found, report = await detect_on_shelf(_query(request, catalog_id), question, self._deps)
        tracing.note("sightline.detections", len(found.detections))
        for each in found.detections:
            _OUTCOMES[bool(each.product_id)].inc()
        response = answer(found, take_request_id(request.request_id))
        add_report(report, response)
        return response


def _query(request: pb.DetectProductsRequest, catalog_id: str) -> DetectionQuery:
    given = request.HasField("min_probability")
    return DetectionQuery(
        catalog_id=catalog_id,
        photo=Signal(
            index=ALONE,
            kind=SignalKind(request.WhichOneof("photo") or SignalKind.NOTHING),
            image=request.image,
            image_uri=request.image_uri,
        ),
        filter=carried(request.filter) if request.HasField("filter") else None,
        min_probability=request.min_probability if given else MIN_PROBABILITY,
        max_detections=request.max_detections,
        priority=request.priority,
        heat_maps=_heat_maps(request),
    )


def _heat_maps(request: pb.DetectProductsRequest) -> HeatMapChoice | None:
    """Return the detections that get a heat map. Raises RoleMissing."""
    if not request.HasField("heat_maps"):
        return None
    caller.get().check(_DRAWERS)
    asked = request.heat_maps
    return HeatMapChoice(tuple(asked.product_ids), asked.max_heat_maps)


def answer(value: DetectionAnswer, request_id: str) -> pb.DetectProductsResponse:
    """Return the answer to DetectProducts."""
    response = pb.DetectProductsResponse(
        detections=map(detection, value.detections),
        counts=[pb.ProductCount(product_id=name, count=count) for name, count in value.counts],
        unknown_count=value.unknown_count,
        products=[cast(product_pb2.Product, row) for row in value.rows],
        space=None if value.space is None else messages.space_version_message(value.space),
        degradations=messages.degradation_messages(value.degradations),
        stage_timings=messages.timing_messages(value.timings),
        truncated=value.truncated,
        small_objects=value.small,
        request_id=request_id,
    )
    for product in response.products:
        product.ClearField("markets")
    return response


def detection(value: Detection) -> pb.ProductDetection:
    """Return the message of a detection."""
    return pb.ProductDetection(
        box=cast(photo_pb2.Box, value.box),
        product_id=value.product_id,
        probability=value.probability,
        similarity=value.similarity,
        alternatives=[
            pb.AlternativeProduct(product_id=each.product_id, similarity=each.similarity)
            for each in value.alternatives
        ],
        matched_image_id=value.matched_image_id,
        objectness=value.objectness,
        heat_map=None if value.heat_map is None else _heat_map(value.heat_map),
    )


def _heat_map(value: HeatMap) -> pb.DetectionHeatMap:
    return pb.DetectionHeatMap(png=value.png, similarity=value.similarity, unplaced=value.unplaced)
