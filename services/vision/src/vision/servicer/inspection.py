"""InspectionService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from contextlib import aclosing
from dataclasses import dataclass, replace

from google.rpc import status_pb2
from prometheus_client import Counter

from servicekit.admission import costs
from servicekit.jobs.queue import Jobs
from servicekit.rpc.job_service import job_message
from servicekit.rpc.messages import MessageWriter, timings, value_of
from servicekit.rpc.requests import duration, enter, take_request_id
from servicekit.rpc.server import Context
from servicekit.status import to_status
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2, job_pb2
from sightline.vision.v1 import inspection_service_pb2 as pb
from vision.domain.catalog_keys import KeyOf
from vision.domain.inspection import GivenPhoto, PieceVerdict, least_rate
from vision.domain.references import ListedReference
from vision.inspection import fits
from vision.inspection.fits import ReferencePlan
from vision.inspection.inspect_piece import InspectedPiece, InspectionQuery, Inspector
from vision.inspection.references import References

JOB_OWNER = "vision/"
MOST_LISTED = 500
FIT_SECONDS = 13.0
"""Processor seconds that are charged for a fit in a job: those of a hundred photos beside other
work."""
INSPECTIONS = Counter(
    "sightline_vision_inspections_total",
    "Photos that Inspect compared with a reference, by verdict: like, unlike, cannot_say.",
    ("verdict",),
)
for _verdict in PieceVerdict:
    INSPECTIONS.labels(_verdict.lower())  # start at 0: rates miss the first value
message_of = MessageWriter(
    {
        "photo_count": "photos",
        "defect_count": "defects",
        "least_false_alarm_rate": "least_rate",
    }
)
"""Converts values to messages; see MessageWriter."""


@dataclass(frozen=True)
class InspectionServicer:
    """Servicer of inspection_service.proto."""

    catalogs: Collection[str]
    references: References
    inspector: Inspector
    jobs: Jobs
    key_of: KeyOf

    async def AddReferencePhotos(
        self, request: pb.AddReferencePhotosRequest, context: Context
    ) -> pb.AddReferencePhotosResponse:
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        outcomes, count = await self.references.add(
            catalog, request.reference_id, request.images, stages
        )
        return pb.AddReferencePhotosResponse(
            statuses=[
                status_pb2.Status() if error is None else to_status(error) for error in outcomes
            ],
            photo_count=count,
            decoding_time=duration(stages.decoding_seconds),
        )

    async def StartReferenceFit(
        self, request: pb.StartReferenceFitRequest, context: Context
    ) -> job_pb2.Job:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        wanted = value_of(ReferencePlan, request)
        fits.check(wanted)
        key = self.key_of(catalog)
        job = await fits.ask(key, wanted, self.jobs, request_id=request.request_id)
        costs.add(FIT_SECONDS)
        return job_message(replace(job, catalog_id=catalog), JOB_OWNER)

    async def FitReference(
        self, request: pb.FitReferenceRequest, context: Context
    ) -> pb.InspectionReference:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        wanted = value_of(ReferencePlan, request)
        fits.check(wanted)
        asked = catalog, wanted.reference_id, wanted.product_id
        async with aclosing(self.references.fit(*asked, Stages())) as steps:
            *_, last = [each async for each in steps]
        return _reference(last.fitted)

    async def ListReferences(
        self, request: pb.ListReferencesRequest, context: Context
    ) -> pb.ListReferencesResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found = await self.references.listed(catalog, request.reference_id)
        return pb.ListReferencesResponse(references=map(_reference, found[:MOST_LISTED]))

    async def PromoteReference(
        self, request: pb.PromoteReferenceRequest, context: Context
    ) -> pb.InspectionReference:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        return _reference(
            await self.references.promote(
                catalog, request.reference_id, request.version, force=request.force
            )
        )

    async def DeleteReference(
        self, request: pb.DeleteReferenceRequest, context: Context
    ) -> pb.DeleteReferenceResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        count = await self.references.delete(catalog, request.reference_id, request.version)
        return pb.DeleteReferenceResponse(deleted_count=count)

    async def Inspect(self, request: pb.InspectRequest, context: Context) -> pb.InspectResponse:
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found = await self.inspector.inspect(
            InspectionQuery(
                catalog=catalog,
                photo=_photo(request),
                reference_id=request.reference_id,
                product_id=request.product_id,
                version=request.version,
                rate=request.false_alarm_rate if request.HasField("false_alarm_rate") else None,
                heat_map=request.include_heat_map,
            ),
            stages,
        )
        INSPECTIONS.labels(found.comparison.verdict.lower()).inc()
        request_id = take_request_id(request.request_id)
        return _inspected(
            found,
            request_id=request_id,
            stage_timings=[answer_pb2.StageTiming(**each) for each in timings(stages.finished)],
            decoding_time=round(stages.decoding_seconds * 1e6),
        )


def _photo(request: pb.InspectRequest) -> GivenPhoto | None:
    if request.WhichOneof("photo") is None:
        return None
    return GivenPhoto(request.image, request.image_uri, priority=request.priority)


def _inspected(found: InspectedPiece, **given: object) -> pb.InspectResponse:
    reference = found.reference
    return message_of(
        pb.InspectResponse,
        found.comparison,
        false_alarm_rate=found.rate,
        heat_map_png=found.png,
        reference_id=reference.reference_id,
        version=reference.version,
        product_id=reference.product_id,
        **given,
    )


def _reference(listed: ListedReference | None) -> pb.InspectionReference:
    if listed is None or (found := listed.manifest) is None:
        return message_of(pb.InspectionReference, listed)
    return message_of(
        pb.InspectionReference,
        found,
        state=listed.state,
        least_false_alarm_rate=least_rate(found.photos),
    )
