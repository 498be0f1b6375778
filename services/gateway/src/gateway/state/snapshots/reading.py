"""Content of a snapshot: a catalog's popular and new products, and some of each category."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.model.plan import MOST_ASKED
from gateway.model.query import AnswerScope
from gateway.model.snapshot import CatalogSnapshot
from gateway.ports import RankerPort, RetrieverPort
from servicekit.errors import ServiceError
from sightline_core.columns import ProductColumns
from sightline_core.opaque_messages import ProductRow
from sightline_core.ranking import NominateRequest

MOST_CATEGORIES = 50
"""Number of top-level categories of which additional products are read."""
MOST_BYTES = 32 * 2**20
"""Maximum size of a catalog's products in bytes; further ones are omitted."""
AT_ONCE = 200
"""Number of products in one read: small enough not to delay requests."""
_BUYABLE = AnswerScope(buyable_only=True)


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """Source and size of snapshots."""

    retriever: RetrieverPort
    ranker: RankerPort
    columns_of: Callable[[Sequence[ProductRow]], ProductColumns]
    products: int = 500
    """Number of popular products, and of new ones."""
    category_products: int = 50

    async def read(self, catalog_id: str, former: CatalogSnapshot | None) -> CatalogSnapshot:
        """Read a catalog's products from the record.

        The ranker determines the popular ones; while it does not fully answer, those of `former`
        are kept. Raises ServiceError.
        """
        began = time.time()
        popular = await self._popular(catalog_id, former)
        newest = await self._newest(catalog_id, _BUYABLE, self.products)
        rows = await self._rows(catalog_id, (*popular, *newest))
        chosen = dict.fromkeys([i for i in popular if i in rows][: self.products])
        chosen |= dict.fromkeys(i for i in newest if i in rows)
        held = Counter(_category(rows[i]) for i in chosen)
        for product_id in (i for i in popular if i in rows and i not in chosen):
            if held[_category(rows[product_id])] < self.category_products:
                held[_category(rows[product_id])] += 1
                chosen[product_id] = None
        known = Counter(map(_category, rows.values()))
        for category, _ in known.most_common(MOST_CATEGORIES):
            if category and (lacking := self.category_products - held[category]) > 0:
                scope = AnswerScope(buyable_only=True, category=category)
                found = await self._newest(catalog_id, scope, self.category_products)
                more = [i for i in found if i not in chosen][:lacking]
                rows |= await self._rows(catalog_id, [i for i in more if i not in rows])
                chosen |= dict.fromkeys(i for i in more if i in rows)
        kept = _bounded({product_id: rows[product_id] for product_id in chosen})
        others = kept.keys() - set(popular)
        return CatalogSnapshot(
            time_micros=round(began * 1e6),
            popular=tuple(i for i in popular if i in kept),
            newest=tuple(i for i in dict.fromkeys((*newest, *kept)) if i in others),
            rows=kept,
            columns_of=self.columns_of,
        )

    async def _popular(self, catalog_id: str, former: CatalogSnapshot | None) -> Sequence[str]:
        try:
            found = await self.ranker.generate(NominateRequest(catalog_id, None, "", MOST_ASKED))
        except ServiceError:
            return former.popular if former else ()
        return former.popular if former and found.degradations else found.product_ids

    async def _newest(self, catalog_id: str, scope: AnswerScope, count: int) -> Sequence[str]:
        return (await self.retriever.newest(catalog_id, scope, count)).product_ids

    async def _rows(self, catalog_id: str, ids: Iterable[str]) -> dict[str, ProductRow]:
        """Return the products that exist and are not out of stock, by id."""
        wanted, rows = list(dict.fromkeys(ids)), dict[str, ProductRow]()
        for begin in range(0, len(wanted), AT_ONCE):
            part = wanted[begin : begin + AT_ONCE]
            found = await self.retriever.products(catalog_id, part, _BUYABLE)
            rows |= {row.product_id: row for row in found.rows}
        return rows


def _category(row: ProductRow) -> str:
    """Return the product's top category; empty if it has none."""
    return row.category_path[0] if row.category_path else ""


def _bounded(rows: dict[str, ProductRow]) -> dict[str, ProductRow]:
    """Return the first products that fit into MOST_BYTES."""
    left, kept = MOST_BYTES, dict[str, ProductRow]()
    for product_id, row in rows.items():
        left -= row.ByteSize()
        if left < 0:
            break
        kept[product_id] = row
    return kept
