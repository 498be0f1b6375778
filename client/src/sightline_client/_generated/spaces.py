"""Spaces that are fitted on a catalog's own photos.

Made from api/spaces.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import Job
from sightline_client.values.spaces import Space


class SyncSpaceCalls(SyncConnected):
    """Spaces that are fitted on a catalog's own photos."""

    def fit_space(
        self,
        *,
        backbone: str = "",
        max_dimension: int = 0,
        seed: int = 0,
        max_photos: int = 0,
        shopper_photo_tags: Iterable[str] = (),
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Starts a job that fits a visual space on the catalog's own photos, or returns the one
        that is on it; follow it with ``watch_job``. Its results name the ``space_version`` and the
        ``verdict``. ``backbone`` "" = the installation's own, ``max_dimension`` 0 = 256,
        ``max_photos`` 0 = 50,000; ``shopper_photo_tags``: of products that show shoppers' own
        photos. The same ``request_id`` answers the same job."""
        return self._loop.run(
            self._client.fit_space(
                backbone=backbone,
                max_dimension=max_dimension,
                seed=seed,
                max_photos=max_photos,
                shopper_photo_tags=shopper_photo_tags,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def list_spaces(
        self, *, include_all: bool = False, timeout: float | None = None
    ) -> tuple[Space, ...]:
        """The spaces that can be embedded into; ``include_all``: also fitted ones that are
        candidates or retired."""
        return self._loop.run(self._client.list_spaces(include_all=include_all, timeout=timeout))

    def promote_space(
        self, version: str, *, force: bool = False, timeout: float | None = None
    ) -> Space:
        """Brings a fitted space into service, by its version or model; one that serves stays as it
        is. FailedPrecondition (PROMOTION_REFUSED) unless it is better, or ``force``; NotFound
        (SPACE_NOT_FOUND); FailedPrecondition (MODEL_NOT_READY) when it can't be served. Takes some
        seconds."""
        return self._loop.run(self._client.promote_space(version, force=force, timeout=timeout))

    def retire_space(self, version: str, *, timeout: float | None = None) -> Space:
        """Takes a fitted space out of service; FailedPrecondition (SPACE_IN_USE) while an index
        generation stands on it."""
        return self._loop.run(self._client.retire_space(version, timeout=timeout))
