"""Removal of catalogs from the ranker: every table, models and exports; others keep theirs."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ranker.adapters.export_store import ExportStore
from ranker.adapters.model_store import ModelStore
from ranker.record.removed_catalogs import KEPT, RemovedCatalogRecord
from ranker.record.tables import METADATA
from ranker.workers.removing import StoredCatalogs
from servicekit.catalogs.known import CatalogList, CatalogState, KnownCatalogs, ListedCatalog
from servicekit.catalogs.removal import CatalogRemoval
from servicekit.errors import Unavailable
from servicekit.sql.database import Database

CATALOGS = ("gone", "kept")
TABLES = [
    table for table in METADATA.sorted_tables if "catalog_id" in table.c and table not in KEPT
]


def value(column: sa.Column[Any], catalog: str) -> Any:
    """Return a value for a column; texts are the catalog's name, so that keys refer to rows."""
    if isinstance(column.type, sa.LargeBinary):
        return catalog.encode()
    if isinstance(column.type, sa.Boolean):
        return False
    if isinstance(column.type, sa.Integer | sa.Numeric | sa.Double):
        return CATALOGS.index(catalog) + 1
    return catalog


async def filled(db: Database) -> None:
    """Write a row of each catalog to each table."""

    def work(connection: sa.Connection) -> None:
        for table in TABLES:
            for catalog in CATALOGS:
                row = {each.name: value(each, catalog) for each in table.columns}
                connection.execute(sa.insert(table).values(row))

    await db.write(work)


async def counts(db: Database, catalog: str) -> list[int]:
    def work(connection: sa.Connection) -> list[int]:
        return [
            connection.execute(
                sa.select(sa.func.count()).select_from(table).where(table.c.catalog_id == catalog)
            ).scalar_one()
            for table in TABLES
        ]

    return await db.read(work)


class Registry:
    """A registry in which a catalog is being removed."""

    def __init__(self) -> None:
        entry = ListedCatalog("gone", "u", CatalogState.REMOVING)
        self.list = CatalogList("1", (entry,))
        self.confirmed: list[str] = []
        self.down = False

    async def read(self, known_revision: str) -> CatalogList:
        return self.list

    async def confirm(self, removed: ListedCatalog) -> None:
        if self.down:
            raise Unavailable("down", reason="UNAVAILABLE")
        self.confirmed.append(removed.uid)


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def removal_of(db: Database, folder: Path, registry: Registry) -> CatalogRemoval:
    catalogs = KnownCatalogs(("default",), registry)
    await catalogs.refresh()
    models, exports = ModelStore(str(folder / "models")), ExportStore(str(folder / "exports"))
    stored = StoredCatalogs(RemovedCatalogRecord(db), models, exports)
    return CatalogRemoval(catalogs, stored.remove, registry.confirm)


async def test_everything_of_a_catalog_is_removed_and_nothing_of_others(
    db: Database, tmp_path: Path
) -> None:
    await filled(db)
    for kind in ("models", "exports"):
        for catalog in CATALOGS:
            (tmp_path / kind / catalog / catalog).mkdir(parents=True)
            (tmp_path / kind / catalog / catalog / "file").write_text("x")
    registry = Registry()
    removal = await removal_of(db, tmp_path, registry)
    await removal.look()
    assert len(TABLES) > 15
    assert await counts(db, "gone") == [0] * len(TABLES)
    assert await counts(db, "kept") == [1] * len(TABLES)
    assert registry.confirmed == ["u"]
    for kind in ("models", "exports"):
        assert names_in(tmp_path / kind) == ["kept"]
    await removal.look()
    assert registry.confirmed == ["u"]


async def test_a_removal_that_could_not_be_confirmed_is_repeated(
    db: Database, tmp_path: Path
) -> None:
    registry = Registry()
    registry.down = True
    removal = await removal_of(db, tmp_path, registry)
    await removal.look()
    assert registry.confirmed == []
    registry.down = False
    await removal.look()
    assert registry.confirmed == ["u"]
