"""Inspection: references of good pieces, and photos compared with them.

Made by generate_sync.py from
api/inspection.py: change that one and run it.
"""

from collections.abc import Iterable

from sightline_client._generated.base import SyncConnected
from sightline_client.values.inspection import InspectedPiece
from sightline_client.values.photos import Photo
from sightline_client.values.reports import AddedPhotos


class SyncInspectionCalls(SyncConnected):
    """Inspection: references of good pieces, and photos compared with them."""

    def inspect(
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
        return self._loop.run(
            self._client.inspect(
                image,
                reference_id=reference_id,
                product_id=product_id,
                version=version,
                false_alarm_rate=false_alarm_rate,
                heat_map=heat_map,
                timeout=timeout,
            )
        )

    def add_reference_photos(
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
        return self._loop.run(
            self._client.add_reference_photos(reference_id, images, timeout=timeout)
        )
