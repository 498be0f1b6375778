"""Spaces fitted on a catalog's photos.

Made from api/spaces.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable

from sightline_client._generated.base import SyncConnected
from sightline_client.values.operations import Job
from sightline_client.values.spaces import Space


class SyncSpaceCalls(SyncConnected):
    """Spaces fitted on a catalog's photos."""

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
        """Start a job that fits a visual space on the catalog's own photos, or return the one that
        is running; follow it with ``watch_job``. Its results name the ``space_version`` and the
        ``verdict``.

        Args:
            backbone: "" = the installation's own.
            max_dimension: 0 = 256.
            seed: Of the random numbers.
            max_photos: 0 = 50,000.
            shopper_photo_tags: Tags of products whose photos shoppers took.
            request_id: The same id returns the same job.
        """
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
        """Return the spaces that can be embedded into. ``include_all``: also fitted ones that are
        candidates or retired."""
        return self._loop.run(self._client.list_spaces(include_all=include_all, timeout=timeout))

    def promote_space(
        self, version: str, *, force: bool = False, timeout: float | None = None
    ) -> Space:
        """Promote a fitted space, by its version or model. No effect if it serves already. Takes
        some seconds. FailedPrecondition: PROMOTION_REFUSED unless it is better, or ``force``;
        MODEL_NOT_READY when it can't be served. NotFound (SPACE_NOT_FOUND)."""
        return self._loop.run(self._client.promote_space(version, force=force, timeout=timeout))

    def retire_space(self, version: str, *, timeout: float | None = None) -> Space:
        """Take a fitted space out of service. FailedPrecondition (SPACE_IN_USE) while an index
        generation uses it."""
        return self._loop.run(self._client.retire_space(version, timeout=timeout))
