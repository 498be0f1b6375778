"""What shoppers told of themselves and consented to have used, in SQL."""

from collections import defaultdict
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from ranker.domain.features import shopper_feature_names
from ranker.record.aliases import gate, owner
from ranker.record.tables import ATTRIBUTES
from servicekit.sql import Database


class AttributeRecord:
    """Attributes of all catalogs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def replace(
        self,
        catalog_id: str,
        actor: str,
        attributes: Mapping[str, str],
        *,
        key_id: str,
        now_micros: int,
    ) -> int:
        """Keep these in the place of all that the shopper gave before, under the user that a merged
        visitor is; how many there were. None to keep = the consent is withdrawn."""

        def replace(connection: Connection) -> int:
            gate(connection, catalog_id, alone=True)
            whose = owner(connection, catalog_id, actor)
            t = ATTRIBUTES.c
            theirs = sa.delete(ATTRIBUTES).where(t.catalog_id == catalog_id, t.actor == whose)
            gone = connection.execute(theirs).rowcount
            rows = [
                {
                    "catalog_id": catalog_id,
                    "actor": whose,
                    "key": key,
                    "value": value,
                    "key_id": key_id,
                    "consent_micros": now_micros,
                }
                for key, value in sorted(attributes.items())
            ]
            if rows:
                connection.execute(sa.insert(ATTRIBUTES), rows)
            return gone

        return await self._db.write(replace)

    async def read_all(self, catalog_id: str) -> dict[str, tuple[str, ...]]:
        """By pseudonym the names of the features that each shopper's attributes are."""
        t = ATTRIBUTES.c
        statement = sa.select(t.actor, t.key, t.value).where(t.catalog_id == catalog_id)
        rows = await self._db.read(lambda connection: connection.execute(statement).all())
        found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for actor, key, value in rows:
            found[actor].append((key, value))
        return {actor: shopper_feature_names(given) for actor, given in sorted(found.items())}
