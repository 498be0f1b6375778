"""Servicer of sightline.embedder.v1.InspectionService."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import Any

from google.rpc import status_pb2

from embedder.domain.inspection import least_rate
from embedder.domain.references import ListedReference
from embedder.inspection.inspect_piece import InspectedPiece, InspectionQuery, Inspector
from embedder.inspection.references import References
from embedder.servicer import messages
from servicekit.rpc.requests import RequestInvalid, enter, take_request_id
from servicekit.status import to_status
from servicekit.telemetry import Stages
from sightline.embedder.v1 import inspection_service_pb2 as pb
from sightline.embedder.v1 import inspection_service_pb2_grpc

MOST_PRODUCT_ID = 128
MOST_LISTED = 500


class InspectionServicer(inspection_service_pb2_grpc.InspectionServiceServicer):
    """Implementation of InspectionService."""

    def __init__(
        self, references: References, inspector: Inspector, catalogs: Collection[str]
    ) -> None:
        self._references, self._inspector = references, inspector
        self._catalogs = catalogs

    async def AddReferencePhotos(
        self, request: pb.AddReferencePhotosRequest, _context: Any
    ) -> pb.AddReferencePhotosResponse:
        """Add photos to a draft; each has its own status."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        outcomes, count = await self._references.add(
            catalog, request.reference_id, request.images, stages
        )
        return pb.AddReferencePhotosResponse(
            statuses=[
                status_pb2.Status() if error is None else to_status(error) for error in outcomes
            ],
            photo_count=count,
            decoding_time=messages.duration(stages.decoding_seconds),
        )

    async def FitReference(
        self, request: pb.FitReferenceRequest, _context: Any
    ) -> pb.InspectionReference:
        """Fit the draft of a reference."""
        *_, last = [each async for each in self._fit(request)]
        return last.reference

    async def RunReferenceFit(
        self, request: pb.RunReferenceFitRequest, _context: Any
    ) -> AsyncIterator[pb.RunReferenceFitResponse]:
        """Fit the draft of a reference, and report progress."""
        async with aclosing(self._fit(request)) as steps:
            async for step in steps:
                yield step

    async def _fit(
        self, request: pb.FitReferenceRequest | pb.RunReferenceFitRequest
    ) -> AsyncGenerator[pb.RunReferenceFitResponse, None]:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        if len(request.product_id) > MOST_PRODUCT_ID:
            raise RequestInvalid.at("product_id", f"has more than {MOST_PRODUCT_ID} characters")
        wanted = catalog, request.reference_id, request.product_id
        async with aclosing(self._references.fit(*wanted, Stages())) as steps:
            async for step in steps:
                found = None if step.fitted is None else _reference(step.fitted)
                yield pb.RunReferenceFitResponse(done=step.done, total=step.total, reference=found)

    async def ListReferences(
        self, request: pb.ListReferencesRequest, _context: Any
    ) -> pb.ListReferencesResponse:
        """List drafts and versions."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        found = await self._references.listed(catalog, request.reference_id)
        return pb.ListReferencesResponse(references=map(_reference, found[:MOST_LISTED]))

    async def PromoteReference(
        self, request: pb.PromoteReferenceRequest, _context: Any
    ) -> pb.InspectionReference:
        """Make a version serve."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        return _reference(
            await self._references.promote(
                catalog, request.reference_id, request.version, force=request.force
            )
        )

    async def DeleteReference(
        self, request: pb.DeleteReferenceRequest, _context: Any
    ) -> pb.DeleteReferenceResponse:
        """Delete a reference, or a version of it."""
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        count = await self._references.delete(catalog, request.reference_id, request.version)
        return pb.DeleteReferenceResponse(deleted_count=count)

    async def Inspect(self, request: pb.InspectRequest, _context: Any) -> pb.InspectResponse:
        """Compare a photo with a reference."""
        stages = Stages()
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        photo = request.WhichOneof("photo")
        found = await self._inspector.inspect(
            InspectionQuery(
                catalog=catalog,
                photo=request.image if photo == "image" else None,
                uri=request.image_uri if photo == "image_uri" else None,
                reference_id=request.reference_id,
                product_id=request.product_id,
                version=request.version,
                rate=request.false_alarm_rate if request.HasField("false_alarm_rate") else None,
                heat_map=request.include_heat_map,
                priority=messages.priority(request.priority),
            ),
            stages,
        )
        request_id = take_request_id(request.request_id)
        return _inspected(found, request_id=request_id, **messages.measured(stages))


def _inspected(found: InspectedPiece, **given: object) -> pb.InspectResponse:
    reference = found.reference
    return messages.message_of(
        pb.InspectResponse,
        found.comparison,
        false_alarm_rate=found.rate,
        heat_map_png=found.png,
        reference_id=reference.reference_id,
        version=reference.version,
        product_id=reference.product_id,
        **given,
    )


def _reference(listed: ListedReference) -> pb.InspectionReference:
    if (found := listed.manifest) is None:
        return messages.message_of(pb.InspectionReference, listed)
    return messages.message_of(
        pb.InspectionReference,
        found,
        state=listed.state,
        least_false_alarm_rate=least_rate(found.photos),
    )
