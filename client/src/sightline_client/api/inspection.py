"""Inspection: references of good pieces, and photos compared with them."""

from collections.abc import Iterable

from sightline.embedder.v1 import inspection_service_pb2 as pb
from sightline.retriever.v1 import fit_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests, to_wire
from sightline_client.errors import from_status
from sightline_client.values.inspection import InspectedPiece, InspectionReference
from sightline_client.values.operations import Job
from sightline_client.values.photos import Photo, Uri, load
from sightline_client.values.reports import AddedPhotos

MOST_AT_ONCE = 16
"""Photos of one request, at most."""
MOST_BYTES = 28 * 2**20
"""Bytes of the photos of one request, at most."""


class InspectionCalls(Connected):
    """Calls about references of good pieces, and comparisons with them."""

    async def inspect(
        self,
        image: Photo,
        *,
        reference_id: str = "",
        product_id: str = "",
        version: str = "",
        false_alarm_rate: float | None = None,
        heat_map: bool = False,
        timeout: float | None = None,
    ) -> InspectedPiece:
        """Compare the photo of a piece with photos of good pieces.

        NotFound (REFERENCE_NOT_FOUND) if no version of the reference serves.

        Args:
            image: The photo, taken as those of the reference.
            reference_id: The reference; or give ``product_id``.
            product_id: The product, whose reference was promoted last.
            version: Of the reference; "" = the one that serves.
            false_alarm_rate: Share of good pieces that may be called unlike, above 0, at most 0.5;
                None = 0.05.
            heat_map: Also draw the anomalous parts.
        """
        photo = await load(image)
        with to_wire.sendable("request"):
            request = pb.InspectRequest(
                catalog_id=self.catalog,
                version=version,
                false_alarm_rate=false_alarm_rate,
                include_heat_map=heat_map,
            )
            if reference_id:
                request.reference_id = reference_id
            elif product_id:
                request.product_id = product_id
            if isinstance(photo, Uri):
                request.image_uri = photo
            else:
                request.image = photo
        method = self.calls.inspection.Inspect
        return from_wire.inspected_piece(await self._call(method, request, timeout))

    async def add_reference_photos(
        self, reference_id: str, images: Iterable[Photo], *, timeout: float | None = None
    ) -> AddedPhotos:
        """Add photos of good pieces to the draft of a reference, 16 a call. Photos that were added
        before are not added again, so that it may be repeated.

        ResourceExhausted (REFERENCES_FULL) if the catalog has too many references or drafts.

        Args:
            reference_id: Name of the reference: a-z, 0-9, - and _, up to 64 characters.
            images: The photos; addresses are not taken.
            timeout: Seconds of each call; None = the client's ``batch_timeout``.
        """
        failures: list[tuple[int, str]] = []
        count, sent, batch, size = 0, 0, list[bytes](), 0
        seconds = self.batch_timeout if timeout is None else timeout

        async def send() -> None:
            nonlocal count, sent, size
            with to_wire.sendable("request"):
                request = pb.AddReferencePhotosRequest(
                    catalog_id=self.catalog, reference_id=reference_id, images=batch
                )
            answer = await self._call(self.calls.inspection.AddReferencePhotos, request, seconds)
            for place, status in enumerate(answer.statuses, sent):
                if status.code:
                    failures.append((place, str(from_status(status))))
            count, sent, size = answer.photo_count, sent + len(batch), 0
            batch.clear()

        for image in images:
            photo = await load(image)
            if isinstance(photo, Uri):
                raise TypeError("photos of a reference are files, not addresses")
            if batch and (len(batch) == MOST_AT_ONCE or size + len(photo) > MOST_BYTES):
                await send()
            batch.append(photo)
            size += len(photo)
        if batch:
            await send()
        return AddedPhotos(count, tuple(failures))

    async def start_reference_fit(
        self,
        reference_id: str,
        *,
        product_id: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that fits the draft of a reference, or return the one that is running; follow
        it with ``watch_job``. Its results name the ``version``, a candidate, and the ``verdict`` of
        its comparison with the version that serves, if one does.

        The job fails with REFERENCE_TOO_FEW_PHOTOS, REFERENCE_MIXED or REFERENCE_NOT_FOUND.

        Args:
            reference_id: Name of the reference.
            product_id: The product that the pieces are; "" = none.
            request_id: The same id returns the same job.
        """
        with to_wire.sendable("request"):
            request = fit_service_pb2.StartReferenceFitRequest(
                catalog_id=self.catalog,
                request_id=requests.own_id(request_id),
                reference_id=reference_id,
                product_id=product_id,
            )
        method = self.calls.inspection.StartReferenceFit
        return from_wire.job(await self._call(method, request, timeout))

    async def fit_reference(
        self, reference_id: str, *, product_id: str = "", timeout: float | None = None
    ) -> InspectionReference:
        """Fit the draft of a reference as ``start_reference_fit`` does, while the call waits.

        FailedPrecondition (REFERENCE_TOO_FEW_PHOTOS, REFERENCE_MIXED).

        Args:
            reference_id: Name of the reference.
            product_id: The product that the pieces are; "" = none.
            timeout: Seconds; None = the client's ``batch_timeout``.
        """
        with to_wire.sendable("request"):
            request = pb.FitReferenceRequest(
                catalog_id=self.catalog, reference_id=reference_id, product_id=product_id
            )
        method = self.calls.inspection.FitReference
        seconds = self.batch_timeout if timeout is None else timeout
        return from_wire.inspection_reference(await self._call(method, request, seconds))

    async def list_references(
        self, reference_id: str = "", *, timeout: float | None = None
    ) -> list[InspectionReference]:
        """Return drafts and versions of references: drafts first, then the newest.
        ``reference_id``: those of one reference; "" = of all."""
        with to_wire.sendable("request"):
            request = pb.ListReferencesRequest(catalog_id=self.catalog, reference_id=reference_id)
        answer = await self._call(self.calls.inspection.ListReferences, request, timeout)
        return [from_wire.inspection_reference(each) for each in answer.references]

    async def promote_reference(
        self,
        reference_id: str,
        version: str = "",
        *,
        force: bool = False,
        timeout: float | None = None,
    ) -> InspectionReference:
        """Have photos compared with a version of a reference. ``version``: "" = the newest.

        FailedPrecondition (PROMOTION_REFUSED) if its ``evaluation`` says that it is worse than the
        one that serves, unless ``force``.
        """
        with to_wire.sendable("request"):
            request = pb.PromoteReferenceRequest(
                catalog_id=self.catalog, reference_id=reference_id, version=version, force=force
            )
        method = self.calls.inspection.PromoteReference
        return from_wire.inspection_reference(await self._call(method, request, timeout))

    async def delete_reference(
        self, reference_id: str, version: str = "", *, timeout: float | None = None
    ) -> int:
        """Delete a reference, or one version of it. Return how many versions and drafts that were.
        ``version``: "" = all of them."""
        with to_wire.sendable("request"):
            request = pb.DeleteReferenceRequest(
                catalog_id=self.catalog, reference_id=reference_id, version=version
            )
        answer = await self._call(self.calls.inspection.DeleteReference, request, timeout)
        return answer.deleted_count
