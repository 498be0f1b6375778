"""Removes the fitted spaces of deleted catalogs, once the registry says that their terms ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from servicekit.catalogs.known import KnownCatalogs, ListedCatalog
from servicekit.tasks.supervision import confined, supervised

LOOK_SECONDS = 5.0
REMOVAL = "catalog removal"
"""Name for servicekit.tasks.supervision."""


@dataclass
class SpaceRemoval:
    """Removals of catalogs. Replicas may do the same at once: what is removed stays so."""

    catalogs: KnownCatalogs
    remove: Callable[[str], Awaitable[None]]
    """Deletes all spaces of a catalog."""
    confirm: Callable[[ListedCatalog], Awaitable[None]]
    """Tells the registry that the embedder has nothing of a catalog any more."""
    _done: set[str] = field(init=False, default_factory=set)
    """Removed catalogs, by uid."""

    async def run(self) -> None:
        """Remove what is due, until cancelled."""

        async def look() -> None:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

        await supervised(REMOVAL, look)

    async def look(self) -> None:
        """Remove all catalogs that are due."""
        removing = self.catalogs.removing()
        for each in removing:
            if each.uid not in self._done:
                with confined(REMOVAL, catalog=each.catalog_id):
                    await self.remove(each.catalog_id)
                    await self.confirm(each)
                    self._done.add(each.uid)
        self._done &= {each.uid for each in removing}
