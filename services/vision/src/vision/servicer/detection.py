"""DetectionService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from prometheus_client import Counter

from servicekit import tracing
from servicekit.rpc.messages import MessageWriter, timings
from servicekit.rpc.requests import duration, enter, take_request_id
from servicekit.rpc.server import Context
from servicekit.telemetry import Stages
from sightline.common.v1.detection_pb2 import DetectionHeatMap
from sightline.vision.v1 import detection_service_pb2 as pb
from sightline_rules.photo_products import MIN_PROBABILITY
from vision.detection.shelf import ShelfReport, detect_on_shelf
from vision.domain.detections import DetectionAnswer, DetectionQuery, HeatMapChoice, SentPhoto
from vision.ports.detecting import DetectionPeers
from vision.servicer.shelf_plans import add_report, question_of

DETECTIONS = Counter(
    "sightline_vision_detections_total",
    "Objects that DetectProducts found in photos, by outcome: named (a product of the catalog) or"
    " unknown.",
    ("outcome",),
)
_OUTCOMES: Mapping[bool, Counter] = {
    True: DETECTIONS.labels("named"),
    False: DETECTIONS.labels("unknown"),
}
"""By whether a product was found; both start at 0, as rates miss the first value."""

_message_of = MessageWriter({"embedded_view_count": "embedded_views", "small_objects": "small"})


@dataclass(frozen=True)
class DetectionServicer:
    """Servicer of detection_service.proto."""

    catalogs: Collection[str]
    peers: DetectionPeers

    async def DetectProducts(
        self, request: pb.DetectProductsRequest, context: Context
    ) -> pb.DetectProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        query, question, stages = _query(request, catalog), question_of(request), Stages()
        found, report = await detect_on_shelf(query, question, self.peers, stages)
        tracing.note("sightline.detections", len(found.detections))
        for each in found.detections:
            _OUTCOMES[bool(each.product_id)].inc()
        return _answer(found, report, stages, take_request_id(request.request_id))


def _query(request: pb.DetectProductsRequest, catalog_id: str) -> DetectionQuery:
    given = request.HasField("min_probability")
    photo = SentPhoto(request.image, request.image_uri, request.WhichOneof("photo") or "photo")
    asked = request.heat_maps
    choice = HeatMapChoice(tuple(asked.product_ids), asked.max_heat_maps)
    return DetectionQuery(
        catalog_id,
        photo,
        request.filter if request.HasField("filter") else None,
        request.min_probability if given else MIN_PROBABILITY,
        request.max_detections,
        request.priority,
        choice if request.HasField("heat_maps") else None,
    )


def _answer(
    found: DetectionAnswer, report: ShelfReport, stages: Stages, request_id: str
) -> pb.DetectProductsResponse:
    response = _message_of(
        pb.DetectProductsResponse,
        found,
        counts=[pb.ProductCount(product_id=name, count=count) for name, count in found.counts],
        products=[each.row for each in (*found.products, *report.missing)],
        degradations=(*found.degradations, *report.degradations),
        stage_timings=timings(stages.finished),
        decoding_time=duration(stages.decoding_seconds),
        request_id=request_id,
    )
    for place, drawn in found.heat_maps.items():
        response.detections[place].heat_map.CopyFrom(_message_of(DetectionHeatMap, drawn))
    for product in response.products:
        product.ClearField("markets")
    add_report(report, response)
    return response
