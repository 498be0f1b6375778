"""The index: generations and rebuilds.

Made from api/index.py by generate_sync.py: change that one and run it.
"""

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import Generation, IndexMetric, IndexParameters, Job


class SyncIndexCalls(SyncConnected):
    """The index: generations and rebuilds."""

    def create_generation(
        self,
        *,
        name: str = "",
        space: str = "",
        space_version: str = "",
        metric: IndexMetric = IndexMetric.COSINE,
        parameters: IndexParameters | None = None,
        timeout: float | None = None,
    ) -> Generation:
        """Register an index generation. Every later write reaches it; a backfill adds what the
        catalog holds already.

        AlreadyExists (GENERATION_EXISTS), FailedPrecondition (SPACE_UNAVAILABLE). Never retried
        automatically.

        Args:
            name: "" = the suite makes one.
            space: "" = "visual".
            space_version: "" = the embedder's default version.
            metric: How the distance of two vectors is measured.
            parameters: How the generation is searched; None = flat.
        """
        return self._loop.run(
            self._client.create_generation(
                name=name,
                space=space,
                space_version=space_version,
                metric=metric,
                parameters=parameters,
                timeout=timeout,
            )
        )

    def backfill_generation(
        self, name: str, *, request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that embeds every stored photo that a generation lacks, or return the one
        that is running; follow it with ``watch_job``. NotFound (GENERATION_NOT_FOUND). The same
        ``request_id`` returns the same job."""
        return self._loop.run(
            self._client.backfill_generation(name, request_id=request_id, timeout=timeout)
        )

    def verify_generation(
        self,
        name: str,
        *,
        sample_size: int = 0,
        k: int = 0,
        min_recall: float = 0.0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that verifies a generation; ``list_generations`` shows what it measured.
        ``sample_size`` 0 = 200 photos, ``k`` 0 = 100 neighbours, ``min_recall`` 0 = 0.98. The same
        ``request_id`` returns the same job."""
        return self._loop.run(
            self._client.verify_generation(
                name,
                sample_size=sample_size,
                k=k,
                min_recall=min_recall,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def activate_generation(
        self, name: str, *, force: bool = False, timeout: float | None = None
    ) -> Generation:
        """Make a generation the active one of its space. FailedPrecondition
        (GENERATION_NOT_VERIFIED) unless its newest verification passed, or ``force``."""
        return self._loop.run(self._client.activate_generation(name, force=force, timeout=timeout))

    def rollback_generation(self, *, space: str = "", timeout: float | None = None) -> Generation:
        """Activate again the generation of ``space`` ("" = "visual") that was active before the
        present one. FailedPrecondition (ROLLBACK_UNAVAILABLE). Never retried automatically."""
        return self._loop.run(self._client.rollback_generation(space=space, timeout=timeout))

    def drop_generation(self, name: str, *, timeout: float | None = None) -> Generation:
        """Drop a generation; a job deletes its data. FailedPrecondition (GENERATION_ACTIVE)."""
        return self._loop.run(self._client.drop_generation(name, timeout=timeout))

    def list_generations(
        self, *, space: str = "", include_dropped: bool = False, timeout: float | None = None
    ) -> tuple[Generation, ...]:
        """Return the index generations of ``space`` ("" = of all), oldest first; dropped ones with
        ``include_dropped``."""
        return self._loop.run(
            self._client.list_generations(
                space=space, include_dropped=include_dropped, timeout=timeout
            )
        )

    def rebuild_index(
        self, *, space: str = "", request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Start a job that rebuilds the index of ``space`` ("" = "visual") from the record. The
        same ``request_id`` returns the same job. FailedPrecondition (SPACE_UNAVAILABLE) when the
        space does not exist."""
        return self._loop.run(
            self._client.rebuild_index(space=space, request_id=request_id, timeout=timeout)
        )
