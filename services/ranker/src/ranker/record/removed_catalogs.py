"""Removal of all rows of a catalog."""

from ranker.record.rows import TableRecord
from ranker.record.tables import AUDIT, AUDIT_SEALS, METADATA
from servicekit.catalogs.rows import remove_rows

KEPT = (AUDIT, AUDIT_SEALS)
"""Tables that keep rows of removed catalogs: the audit log, until its own term ends."""


class RemovedCatalogRecord(TableRecord):
    """The rows of catalogs that are removed."""

    async def remove(self, catalog_id: str, limit: int) -> int:
        """Delete up to `limit` rows of a catalog. Return their number; 0: there are no more."""
        return await self._db.write(
            lambda connection: remove_rows(connection, METADATA, KEPT, catalog_id, limit)
        )

    async def erase(self) -> None:
        """Remove the bytes of deleted rows from the store's files."""
        await self._db.erase_deleted([table.name for table in METADATA.sorted_tables])
