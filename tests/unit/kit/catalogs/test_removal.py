"""Removed catalogs: what a service has of them is deleted once, and the registry is told."""

from servicekit.catalogs.known import CatalogList, CatalogState, KnownCatalogs, ListedCatalog
from servicekit.catalogs.removal import CatalogRemoval
from servicekit.errors import Unavailable


class Registry:
    """A registry in which a catalog is being removed."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.down = True

    async def read(self, known_revision: str) -> CatalogList:
        return CatalogList("1", (ListedCatalog("gone", "u", CatalogState.REMOVING),))

    async def remove(self, catalog_id: str) -> None:
        self.done.append(catalog_id)

    async def confirm(self, removed: ListedCatalog) -> None:
        if self.down:
            raise Unavailable("down", reason="UNAVAILABLE")
        self.done.append(removed.uid)


async def test_what_a_service_has_is_removed_and_confirmed_until_the_registry_knows() -> None:
    registry = Registry()
    catalogs = KnownCatalogs(("default",), registry)
    await catalogs.refresh()
    removal = CatalogRemoval(catalogs, registry.remove, registry.confirm)
    await removal.look()
    registry.down = False
    await removal.look()
    await removal.look()
    assert registry.done == ["gone", "gone", "u"]
