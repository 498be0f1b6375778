"""The key of the pseudonyms of a record."""

import sqlalchemy as sa

from ranker.record.tables import KEYS
from servicekit.sql.database import Database


async def stored_fingerprint(database: Database) -> str:
    """Return the fingerprint of the store's key; empty in a store without one."""
    statement = sa.select(KEYS.c.fingerprint).limit(1)
    return await database.read(lambda connection: connection.execute(statement).scalar()) or ""
