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


class LateRegistry(Registry):
    """A registry that a process can't read any more, or in which another catalog has the id."""

    state, reads = CatalogState.REMOVING, 0
    fails = False

    async def read(self, known_revision: str) -> CatalogList:
        if self.fails:
            raise Unavailable("down", reason="UNAVAILABLE")
        self.reads += 1
        return CatalogList(str(self.reads), (ListedCatalog("gone", "u", self.state),))


async def test_nothing_is_removed_by_a_list_that_may_be_late() -> None:
    registry = LateRegistry()
    registry.down = False
    catalogs = KnownCatalogs(("default",), registry)
    await catalogs.refresh()
    removal = CatalogRemoval(catalogs, registry.remove, registry.confirm)
    registry.fails = True
    await removal.look()
    assert registry.done == []
    registry.fails, registry.state = False, CatalogState.ACTIVE  # made anew meanwhile
    await removal.look()
    assert registry.done == []
    registry.state = CatalogState.REMOVING
    await catalogs.refresh()
    await removal.look()
    assert registry.done == ["gone", "u"]


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
