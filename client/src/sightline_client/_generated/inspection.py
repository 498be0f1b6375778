"""Inspection: references of good pieces, and photos compared with them.

Made from api/inspection.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable

from sightline_client._generated.base import SyncConnected
from sightline_client.values.inspection import InspectedPiece, InspectionReference
from sightline_client.values.operations import Job
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

    def start_reference_fit(
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
        return self._loop.run(
            self._client.start_reference_fit(
                reference_id, product_id=product_id, request_id=request_id, timeout=timeout
            )
        )

    def fit_reference(
        self, reference_id: str, *, product_id: str = "", timeout: float | None = None
    ) -> InspectionReference:
        """Fit the draft of a reference as ``start_reference_fit`` does, while the call waits.

        FailedPrecondition (REFERENCE_TOO_FEW_PHOTOS, REFERENCE_MIXED).

        Args:
            reference_id: Name of the reference.
            product_id: The product that the pieces are; "" = none.
            timeout: Seconds; None = the client's ``batch_timeout``.
        """
        return self._loop.run(
            self._client.fit_reference(reference_id, product_id=product_id, timeout=timeout)
        )

    def list_references(
        self, reference_id: str = "", *, timeout: float | None = None
    ) -> list[InspectionReference]:
        """Return drafts and versions of references: drafts first, then the newest.
        ``reference_id``: those of one reference; "" = of all."""
        return self._loop.run(self._client.list_references(reference_id, timeout=timeout))

    def promote_reference(
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
        return self._loop.run(
            self._client.promote_reference(reference_id, version, force=force, timeout=timeout)
        )

    def delete_reference(
        self, reference_id: str, version: str = "", *, timeout: float | None = None
    ) -> int:
        """Delete a reference, or one version of it. Return how many versions and drafts that were.
        ``version``: "" = all of them."""
        return self._loop.run(self._client.delete_reference(reference_id, version, timeout=timeout))
