"""Inspection: references of good pieces, and photos compared with them."""

from collections.abc import Iterable

from sightline.vision.v1 import inspection_service_pb2 as pb
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import from_status
from sightline_client.values.inspection import InspectedPiece
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
        fields = to_wire.photo(await load(image))
        if reference_id or product_id:
            fields |= {"reference_id": reference_id} if reference_id else {"product_id": product_id}
        answer = await self._ask(
            self.calls.inspection.Inspect,
            pb.InspectRequest,
            timeout,
            version=version,
            false_alarm_rate=false_alarm_rate,
            include_heat_map=heat_map,
            **fields,
        )
        return from_wire.inspected_piece(answer)

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
