"""Calls of InspectionService.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from sightline.vision.v1 import inspection_service_pb2
from sightline_client.api.base import Connected
from sightline_client.convert import from_wire, requests
from sightline_client.values.inspection import InspectionReference
from sightline_client.values.operations import Job


class InspectionServiceCalls(Connected):
    """Calls of InspectionService."""

    async def start_reference_fit(
        self,
        reference_id: str,
        *,
        product_id: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job of kind "fit_reference" (``done`` and ``total`` count photos, those with a
        drawn defect included) in which the draft of a reference is fitted. Results: "reference_id",
        "version" and, if another version served, "verdict". If such a job is running for this
        reference, returns it. The job fails with the reason of ``fit_reference``, e.g. Fails with
        REFERENCE_MIXED. Jobs run one after another. Fails with FIT_IN_PROGRESS if 8 references of
        the catalog are being fitted.

        Args:
            reference_id: Name of the reference: 1 to 64 lower-case letters, digits, "-" and
                "_", a letter or digit first.
            product_id: Product that the pieces are, up to 128 characters: photos are inspected
                by its id too. Empty: none.
            request_id: The same id returns the same job.

        Raises:
            FailedPrecondition: REFERENCE_MIXED.
            Unavailable: FIT_IN_PROGRESS.
        """
        return from_wire.job(
            await self._ask(
                self.calls.inspection.StartReferenceFit,
                inspection_service_pb2.StartReferenceFitRequest,
                timeout,
                reference_id=reference_id,
                product_id=product_id,
                request_id=requests.own_id(request_id),
            )
        )

    async def fit_reference(
        self, reference_id: str, *, product_id: str = "", timeout: float | None = None
    ) -> InspectionReference:
        """Fit the draft of a reference as ``start_reference_fit`` does, while the call waits: 4
        seconds for a hundred photos and 11 for three hundred, three times as long on a busy
        machine. Set a deadline of a minute. The result is a candidate. Fails with
        REFERENCE_TOO_FEW_PHOTOS, REFERENCE_MIXED (the photos show two different things),
        REFERENCE_NOT_FOUND, FIT_IN_PROGRESS, MODEL_NOT_READY, EMBEDDER_UNAVAILABLE. After an error
        the draft is as before.

        Args:
            reference_id: Name of the reference.
            product_id: Product that the pieces are: photos are inspected by its id too. Empty:
                none.
            timeout: Seconds; None = the client's ``batch_timeout``.

        Raises:
            FailedPrecondition: REFERENCE_TOO_FEW_PHOTOS, REFERENCE_MIXED, MODEL_NOT_READY.
            NotFound: REFERENCE_NOT_FOUND.
            Unavailable: FIT_IN_PROGRESS, EMBEDDER_UNAVAILABLE.
        """
        return from_wire.inspection_reference(
            await self._ask(
                self.calls.inspection.FitReference,
                inspection_service_pb2.FitReferenceRequest,
                self._batch_deadline(timeout),
                reference_id=reference_id,
                product_id=product_id,
            )
        )

    async def list_references(
        self, reference_id: str = "", *, timeout: float | None = None
    ) -> list[InspectionReference]:
        """Return the references of a catalog with all their versions: drafts first, then the
        newest.

        Args:
            reference_id: If set, only this reference.
        """
        return [
            from_wire.inspection_reference(each)
            for each in (
                await self._ask(
                    self.calls.inspection.ListReferences,
                    inspection_service_pb2.ListReferencesRequest,
                    timeout,
                    reference_id=reference_id,
                )
            ).references
        ]

    async def promote_reference(
        self,
        reference_id: str,
        version: str = "",
        *,
        force: bool = False,
        timeout: float | None = None,
    ) -> InspectionReference:
        """Make a version of a reference the one that photos are compared with. The version that
        served before is retired, and can be promoted again. Fails with REFERENCE_NOT_FOUND.
        Rejected with PROMOTION_REFUSED if the version is a candidate whose evaluation says that it
        is worse than the version that serves, unless ``force`` is set.

        Args:
            version: Version. Default: the newest.
            reference_id: Name of the reference.
            force: If true, promotes the version regardless of its evaluation. Logged.

        Raises:
            NotFound: REFERENCE_NOT_FOUND.
            FailedPrecondition: PROMOTION_REFUSED.
        """
        return from_wire.inspection_reference(
            await self._ask(
                self.calls.inspection.PromoteReference,
                inspection_service_pb2.PromoteReferenceRequest,
                timeout,
                version=version,
                reference_id=reference_id,
                force=force,
            )
        )

    async def delete_reference(
        self, reference_id: str, version: str = "", *, timeout: float | None = None
    ) -> int:
        """Delete a reference, or one version of it. Without it, 0 versions are deleted.

        Args:
            version: Version to delete. If empty, the reference is deleted with all versions and
                its draft.
            reference_id: Name of the reference.
        """
        return (
            await self._ask(
                self.calls.inspection.DeleteReference,
                inspection_service_pb2.DeleteReferenceRequest,
                timeout,
                version=version,
                reference_id=reference_id,
            )
        ).deleted_count
