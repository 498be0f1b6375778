"""Writers of products, offers, deletions and vectors that continue while processes are killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.type import money_pb2

from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.chaos.retriever.calls import Retriever
from tests.chaos.retriever.ledger import Ledger, values, vector

PRODUCTS = 400
"""Ids that only one writer writes, so that the order of its acknowledged writes is known."""
BATCH = 10
PAUSE_SECONDS = 0.1
"""Mean pause between two writes of a writer: a busy shop, below the maximum rate."""
BRAND = "written"
_AVAILABILITIES = (
    product_pb2.AVAILABILITY_IN_STOCK,
    product_pb2.AVAILABILITY_OUT_OF_STOCK,
    product_pb2.AVAILABILITY_PREORDER,
)


@dataclass(slots=True)
class Writer:
    """One of several writers; each writes its own products, one call after another."""

    name: str
    retriever: Retriever
    ledger: Ledger
    versions: dict[str, int]
    """Version → dimension of the generations that get a vector of each product."""
    chance: random.Random
    number: int = field(default=0, init=False)
    """Number of the last write: all writes differ."""

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set; a started write is finished."""
        kinds = (self._upsert, self._offers, self._vectors, self._delete)
        while not stop.is_set():
            self.number += 1
            await self.chance.choices(kinds, weights=(4, 3, 4, 1))[0]()
            await asyncio.sleep(self.chance.uniform(0, 2 * PAUSE_SECONDS))

    async def _upsert(self) -> None:
        ids = self.chance.sample([f"{self.name}-{n:03}" for n in range(PRODUCTS)], BATCH)
        request = gateway_pb.UpsertProductsRequest(
            products=[self._product(product_id) for product_id in ids]
        )
        await self.retriever.write(self.retriever.products.UpsertProducts, request)
        for product in request.products:
            self.ledger.put(product.product_id, product.title, product.price.units)

    def _product(self, product_id: str) -> product_pb2.Product:
        return product_pb2.Product(
            product_id=product_id,
            title=f"{product_id}, written {self.number} times",
            brand=BRAND,
            price=money_pb2.Money(currency_code="EUR", units=self.number),
        )

    async def _offers(self) -> None:
        request = gateway_pb.UpdateOffersRequest()
        for product_id in self._some():
            offer = request.offers.add(product_id=product_id)
            offer.price.CopyFrom(money_pb2.Money(currency_code="EUR", units=self.number))
            offer.availability = self.chance.choice(_AVAILABILITIES)
        if request.offers:
            await self.retriever.write(self.retriever.products.UpdateOffers, request)
        for offer in request.offers:
            self.ledger.change(
                offer.product_id, units=offer.price.units, availability=offer.availability
            )

    async def _vectors(self) -> None:
        chosen = self._some()
        request = vectors_pb.UpsertVectorsRequest()
        for product_id in chosen:
            for version, dimension in self.versions.items():
                given = vector(version, values(product_id, self.number, dimension))
                request.vectors.add(product_id=product_id, vector=given)
        if chosen:
            await self.retriever.write(self.retriever.vectors.UpsertVectors, request)
        for product_id in chosen:
            self.ledger.change(product_id, vector=self.number)

    async def _delete(self) -> None:
        ids = self._some(2)
        if ids:
            request = gateway_pb.DeleteProductsRequest(product_ids=ids)
            await self.retriever.write(self.retriever.products.DeleteProducts, request)
        for product_id in ids:
            self.ledger.states[product_id] = None

    def _some(self, most: int = BATCH) -> Sequence[str]:
        mine = [name for name in self.ledger.live if name.startswith(f"{self.name}-")]
        return self.chance.sample(mine, min(most, len(mine)))


def team(
    count: int, retriever: Retriever, ledger: Ledger, versions: dict[str, int], seed: int
) -> list[Writer]:
    """Return `count` writers."""
    return [
        Writer(f"w{n}", retriever, ledger, versions, random.Random(f"{seed}/{n}"))
        for n in range(count)
    ]
