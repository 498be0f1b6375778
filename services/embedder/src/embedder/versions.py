"""The versions of the space `visual` that are served side by side, a model each."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from embedder.model import SpaceState, SpaceVersionUnavailable
from embedder.space import VISUAL, VisualSpace


class VisualSpaces:
    """The space's models, the default one first. What one of them lacks costs only its version."""

    def __init__(self, served: Sequence[VisualSpace]) -> None:
        """At least one."""
        self._served = tuple(served)

    async def of(self, version: str) -> VisualSpace:
        """Return the model that serves this version; of no version, the default one.

        Raises SpaceVersionUnavailable; while a model that never spoke might be the one, what it
        raises when it is asked.
        """
        if not version:
            return self._served[0]
        if found := self._naming(version):
            return found
        unknown = await asyncio.gather(*(space.refresh() for space in self._served))
        if found := self._naming(version):
            return found
        for error in unknown:
            if error is not None:
                raise error
        raise SpaceVersionUnavailable(
            VISUAL, [v for space in self._served for v in space.serving()]
        )

    async def states(self, seconds: float | None = None) -> list[SpaceState]:
        """Say within `seconds` (None: no end) what each version is now, the default one first."""
        first, *others = await asyncio.gather(*(space.state(seconds) for space in self._served))
        return [replace(first, default=True), *others]

    def _naming(self, version: str) -> VisualSpace | None:
        return next((space for space in self._served if version in space.versions()), None)
