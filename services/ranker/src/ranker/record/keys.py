"""Which key the store's pseudonyms were made with."""

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.errors import KeyUnusable
from ranker.domain.pseudonyms import Pseudonyms
from ranker.record.tables import KEYS
from servicekit.sql import Database


async def has_key(database: Database) -> bool:
    """Whether the store was written with some key already."""
    statement = sa.select(KEYS.c.key_id).limit(1)
    return await database.read(lambda connection: connection.execute(statement).first() is not None)


async def check(database: Database, pseudonyms: Pseudonyms) -> None:
    """Bind a new store to the key; KeyUnusable when the store was written with another one."""

    def bind(connection: Connection) -> bool:
        stored = connection.execute(sa.select(KEYS.c.fingerprint)).scalar()
        if stored is None:
            row = {"key_id": pseudonyms.key_id, "fingerprint": pseudonyms.fingerprint}
            connection.execute(sa.insert(KEYS).values(row))
        return stored is None or stored == pseudonyms.fingerprint

    if not await database.write(bind):
        raise KeyUnusable(
            "the record's pseudonyms were made with another key: with this one nobody's history "
            "would be found; give the former key, or start with an empty record"
        )
