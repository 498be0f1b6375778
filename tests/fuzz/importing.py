"""The ledger's own import beside the fuzzed requests, with changes of its products: all
acknowledged writes must remain.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightline.common.v1 import product_pb2
from sightline.common.v1.import_pb2 import ImportState
from sightline.gateway.v1.catalog_service_pb2 import (
    ImportProductsRequest,
    ImportProductsResponse,
    ImportRow,
    Offer,
    OpenImportRequest,
    ProductUpdate,
    UpdateOffersRequest,
    UpdateOffersResponse,
    UpdateProductsRequest,
    UpsertProductsResponse,
)
from tests.fuzz import conditions
from tests.fuzz.keeping import Unanswered, ask, stored
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import KEPT, Finding, Outcome
from tests.fuzz.wire import Sender

TURNS = 40
ROWS = 6
"""Rows of a turn: two unchanged, two updated, one with an offer, one rejected."""
IMPORT = "ledger"


class OwnImport:
    """Import whose turns each write products of their own."""

    def __init__(self, sender: Sender, ledger: Ledger, photos: Sequence[bytes]) -> None:
        self._sender, self._ledger, self._photos = sender, ledger, photos
        self._sent: list[ImportRow] = []

    async def open(self) -> None:
        """Begin. Raises Unanswered, as everything here."""
        await ask(self._sender, "OpenImport", _opening(), ImportState())

    async def turn(self, number: int) -> None:
        """Send rows of the import, and changes of some of them."""
        rows = [self._row(number, place) for place in range(ROWS)]
        self._ledger.reserve(row.product.product_id for row in rows)
        await self._import(rows)
        self._sent += rows
        _, _, *updated, offered, _ = (row.product.product_id for row in rows)
        updates = [
            ProductUpdate(product=product_pb2.Product(product_id=name, title=f"Updated {number}"))
            for name in updated
        ]
        request = UpdateProductsRequest(catalog_id=KEPT, updates=updates)
        await ask(self._sender, "UpdateProducts", request, UpsertProductsResponse())
        offer = Offer(
            product_id=offered,
            price=conditions.money("JPY", (number + 1) * 10**6),
            availability=product_pb2.AVAILABILITY_PREORDER,
        )
        offers = UpdateOffersRequest(catalog_id=KEPT, offers=[offer])
        await ask(self._sender, "UpdateOffers", offers, UpdateOffersResponse())

    async def check(self) -> Outcome:
        """Check that repeated rows get the same answer and change nothing, that the state counts
        them, and that every acknowledged offer is stored."""
        differ = 0
        for at in range(0, len(self._sent), 100):
            rows = self._sent[at : at + 100]
            for row, etag in zip(rows, await self._import(rows), strict=True):
                differ += self._ledger.rows.get((IMPORT, row.row_number), etag) != etag
        state = ImportState()
        await ask(self._sender, "OpenImport", _opening(), state)
        refused = sum(not etag for etag in self._ledger.rows.values())
        counts = (state.rows_done, state.stored_count, state.refused_count)
        right = counts == (len(self._sent), len(self._sent) - refused, refused)
        products = {product.product_id: product for product in await stored(self._sender, KEPT)}
        lost = [
            name
            for (_, name), offer in self._ledger.offers.items()
            if name not in products or not _has(products[name], offer)
        ]
        for name in lost:
            self._sender.find(Finding("import", f"the offer of {name!r} is lost"))
        measured = (
            f"{len(self._ledger.rows):,} rows, {len(self._ledger.updated):,} updates and "
            f"{len(self._ledger.offers):,} offers acknowledged: {len(lost)} offers lost; "
            f"rows sent again: {differ} differ; state {counts}"
        )
        if not (self._ledger.rows and self._ledger.updated and self._ledger.offers):
            raise Unanswered(measured)
        return Outcome(right and not (lost or differ), measured)

    async def _import(self, rows: Sequence[ImportRow]) -> list[str]:
        """Return the etag of each row; empty if it was rejected."""
        request = ImportProductsRequest(catalog_id=KEPT, import_id=IMPORT, rows=rows)
        response = ImportProductsResponse()
        await ask(self._sender, "ImportProducts", request, response)
        return [result.etag for result in response.results]

    def _row(self, turn: int, place: int) -> ImportRow:
        number = turn * ROWS + place + 1
        product = product_pb2.Product(
            product_id=f"own-{number}",
            title="" if place == ROWS - 1 else f"Own {number}",
            category_path=conditions.LEVELS[: number % 3],
            brand=conditions.BRANDS[number % len(conditions.BRANDS)],
            price=conditions.money("EUR", conditions.AMOUNTS[number % len(conditions.AMOUNTS)]),
        )
        if place == 0:
            product.images.add(content=self._photos[turn % len(self._photos)])
        return ImportRow(row_number=number, product=product)


def _opening() -> OpenImportRequest:
    return OpenImportRequest(catalog_id=KEPT, import_id=IMPORT)


def _has(product: product_pb2.Product, offer: Offer) -> bool:
    return (product.price, product.availability) == (offer.price, offer.availability)
