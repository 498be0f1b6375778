"""Markets of a catalog: those that its products have named."""

from collections.abc import Collection

import sqlalchemy as sa

from retriever.record.session import Session
from retriever.record.tables import markets
from servicekit.sql.resources import put
from sightline_rules.markets import MOST_MARKETS

_NAMED = sa.select(markets.c.market_id).where(markets.c.catalog_id == sa.bindparam("catalog_id"))


class NamedMarkets:
    """Markets that a catalog's products have named. Their number is bounded, because each takes
    memory for every product."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: set[str] | None = None
        """None: not read, which writes without markets spare."""
        self._new = set[str]()

    def admit(self, market_ids: Collection[str]) -> bool:
        """Note markets of a product to write; return False if the catalog would have too many."""
        if not market_ids:
            return True
        if self._known is None:
            of = {"catalog_id": self._session.catalog_id}
            self._known = set(self._session.connection.execute(_NAMED, of).scalars())
        if len(self._known.union(market_ids)) > MOST_MARKETS:
            return False
        self._new.update(set(market_ids) - self._known)
        self._known.update(market_ids)
        return True

    def save(self) -> None:
        """Store the new ones."""
        of = {"catalog_id": self._session.catalog_id}
        rows = [{**of, "market_id": each} for each in sorted(self._new)]
        put(self._session.connection, markets, rows, keep=True)
