"""The index: its generations, and a rebuild.

Made from api/index.py by generate_sync.py: change that one and run it.
"""

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import Generation, IndexMetric, IndexParameters, Job


class SyncIndexCalls(SyncConnected):
    """The index: its generations, and a rebuild."""

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
        """Registers an index generation; every write reaches it from then on, and a backfill brings
        what the catalog holds already. ``name`` "" = the suite makes one, ``space`` "" =
        "visual", ``space_version`` "" = the embedder's default one, ``parameters`` None = flat.
        AlreadyExists (GENERATION_EXISTS), FailedPrecondition (SPACE_UNAVAILABLE). Never tried again
        by itself."""
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
        """Starts a job that embeds every stored photo that a generation lacks, or returns the one
        that is on it; follow it with ``watch_job``. NotFound (GENERATION_NOT_FOUND)."""
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
        """Starts a job that proves a generation; what it finds stands in ``list_generations``.
        ``sample_size`` 0 = 200 photos, ``k`` 0 = 100 neighbours, ``min_recall`` 0 = 0.98."""
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
        """Makes a generation the active one of its space. FailedPrecondition
        (GENERATION_NOT_VERIFIED) unless its newest verification passed, or ``force``."""
        return self._loop.run(self._client.activate_generation(name, force=force, timeout=timeout))

    def rollback_generation(self, *, space: str = "", timeout: float | None = None) -> Generation:
        """Makes the generation active again that was so before the present one of a space ("" =
        "visual"); FailedPrecondition (ROLLBACK_UNAVAILABLE). Never tried again by itself."""
        return self._loop.run(self._client.rollback_generation(space=space, timeout=timeout))

    def drop_generation(self, name: str, *, timeout: float | None = None) -> Generation:
        """Drops a generation; a job clears up after it. FailedPrecondition (GENERATION_ACTIVE)."""
        return self._loop.run(self._client.drop_generation(name, timeout=timeout))

    def list_generations(
        self, *, space: str = "", include_dropped: bool = False, timeout: float | None = None
    ) -> tuple[Generation, ...]:
        """The index generations of a space ("" = of all), oldest first."""
        return self._loop.run(
            self._client.list_generations(
                space=space, include_dropped=include_dropped, timeout=timeout
            )
        )

    def rebuild_index(
        self, *, space: str = "", request_id: str = "", timeout: float | None = None
    ) -> Job:
        """Starts a job that makes a space's index hold again what the record says; it ends when
        the index does. "" = visual. FailedPrecondition (SPACE_UNAVAILABLE) when there is none."""
        return self._loop.run(
            self._client.rebuild_index(space=space, request_id=request_id, timeout=timeout)
        )
