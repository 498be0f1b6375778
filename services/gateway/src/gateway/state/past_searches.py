"""Texts that many shoppers searched for, as the ranker counts them, indexed for suggestions."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from servicekit.tasks.off_loop import off_loop
from servicekit.tasks.refreshed import Refreshed, RefreshRules
from sightline_rules.phrases import PhraseIndex
from sightline_rules.words import words_of

SECONDS = 60.0
"""Seconds for which the texts are used before they are read again."""
MOST_SECONDS = 600.0
"""Age from which they are not used: they may have searches of shoppers who were erased."""
AGAIN_SECONDS = 5.0
"""Seconds until they are read again after an error."""
PATIENCE = 0.3
"""Seconds that a request waits for the first read of a catalog."""
LONGEST_SECONDS = 30.0
"""Maximum seconds of a read."""
RULES = RefreshRules(SECONDS, AGAIN_SECONDS, LONGEST_SECONDS, oldest=MOST_SECONDS)
_STEPS = 64
"""Cost of reading a text."""

ReadSearches = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the texts of a catalog, most shoppers first. Raises ServiceError."""


@dataclass(frozen=True, slots=True)
class KnownSearches:
    """Past searches of a catalog."""

    texts: Sequence[str]
    """Most shoppers first."""
    index: PhraseIndex
    """Rows as in `texts`."""


class PastSearches:
    """Past searches by catalog, read again in the background. Not for several event loops."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, patience: float = PATIENCE
    ) -> None:
        """`patience`: see PATIENCE."""
        self._patience = patience
        self._known = Refreshed[str, KnownSearches]("past searches", RULES, clock)

    async def of(self, catalog_id: str, read: ReadSearches) -> KnownSearches | None:
        """Return the past searches; None if there are none that may be used."""

        async def indexed() -> KnownSearches:
            texts = await read(catalog_id)
            work = PhraseIndex.build((words_of(text), ()) for text in texts)
            return KnownSearches(texts, await off_loop(_STEPS * len(texts), work))

        return await self._known.get(catalog_id, indexed, patience=self._patience)

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog, and what is being read."""
        self._known.forget(catalog_id)
