"""Versions of the visual space that accept texts: those fitted with titles.

The embedder is polled, not called by every request.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

from servicekit.tasks.refreshed import Refreshed, RefreshRules
from sightline_core.opaque_messages import EmbedderSpace

LOOK_SECONDS = 10.0
"""Seconds until the versions of a catalog are read again."""
CALL_SECONDS = 5.0
RULES = RefreshRules(fresh=LOOK_SECONDS, again=LOOK_SECONDS, longest=CALL_SECONDS)


class TextQuerySpaces:
    """Known versions by catalog."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._versions = Refreshed[str, tuple[str, ...]]("text spaces", RULES, clock)

    async def of(
        self, catalog_id: str, ask: Callable[[str], Awaitable[Sequence[EmbedderSpace]]]
    ) -> tuple[str, ...]:
        """Return the versions that take texts, the default one first.

        Only the first requests of a catalog wait for the embedder; while it does not answer, the
        previous list is used, at first an empty one.
        """

        async def read() -> tuple[str, ...]:
            spaces = await ask(catalog_id)
            return tuple(
                item.version
                for item in sorted(spaces, key=lambda item: not item.default_version)
                if item.space == "visual" and item.takes_texts and item.version
            )

        return await self._versions.get(catalog_id, read) or ()

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        self._versions.forget(catalog_id)
