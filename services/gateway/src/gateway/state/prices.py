"""Prices of requests: their bound, the caller's quota, the places of expensive requests, and the
sizes of catalogs they depend on."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import field
from typing import Any, Self

from gateway.model.errors import RequestTooExpensive
from gateway.model.price import MOST_SECONDS, REFERENCE_PRODUCTS, RequestPrice
from gateway.state.expensive_requests import ExpensiveRequestLimiter
from servicekit.admission import costs, quotas
from servicekit.admission.quotas import QuotaKind
from sightline_rules.fast_dataclass import fast_dataclass


class Charge:
    """Charge of a caller's quota while a block runs; see RequestPrices.counted."""

    __slots__ = ("_account", "_reserved", "least", "models")

    def __init__(self, price: RequestPrice) -> None:
        self.least = price.seconds
        """Processor seconds that are charged, at least."""
        self.models = price.models
        """Seconds of models, which the services do not measure."""

    def __enter__(self) -> Self:
        if (account := quotas.account.get()) is not None:
            self._reserved = account.reserve(QuotaKind.PROCESSOR_SECONDS, self.least)
        self._account = account
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._account is None:
            return
        least = self.least if kind is not None else 0.0
        cost = max(least, self.models + costs.spent_ms() / 1e3)
        self._account.spend(QuotaKind.PROCESSOR_SECONDS, cost - self._reserved)


@fast_dataclass(frozen=True, slots=True)
class RequestPrices:
    """Bound of a request's price, places of expensive requests, and the number of products of each
    catalog."""

    most_seconds: float = MOST_SECONDS
    """Processor seconds of a request on a catalog of REFERENCE_PRODUCTS, at most."""
    places: ExpensiveRequestLimiter = field(default_factory=lambda: ExpensiveRequestLimiter(1))
    _products: dict[str, int] = field(default_factory=dict)

    def learn(self, catalog_id: str, products: int) -> None:
        """Note the number of products of a catalog, as answers carry it. 0: unknown."""
        if products:
            self._products[catalog_id] = products

    def forget(self, catalog_id: str) -> None:
        """Drop what is kept of a catalog."""
        self._products.pop(catalog_id, None)

    def products(self, catalog_id: str) -> int:
        """Return the last known number of products; REFERENCE_PRODUCTS before the first answer."""
        return self._products.get(catalog_id, REFERENCE_PRODUCTS)

    def check(self, price: RequestPrice) -> None:
        """Raise RequestTooExpensive above the bound. `price`: on up to REFERENCE_PRODUCTS."""
        if price.seconds > self.most_seconds:
            raise RequestTooExpensive(price, self.most_seconds)

    def counted(self, price: RequestPrice) -> Charge:
        """Charge the caller's quota, without a place: the price before the block runs, what it did
        cost after it, and at least the price if it fails. Raises QuotaExhausted."""
        return Charge(price)

    def charged(self, price: RequestPrice, catalog_id: str) -> ChargedRequest:
        """Charge the caller's quota: the price before the request runs, what it did cost after it.
        An expensive request waits for a place before it runs; yield whether it did.

        A request that fails pays its price at least: peers that fail do not report what they spent.
        One that did not get a place pays nothing but its reading.
        Raises QuotaExhausted, ExpensiveRequestsBusy.
        """
        return ChargedRequest(self, price, catalog_id)


class ChargedRequest:
    """See RequestPrices.charged."""

    __slots__ = ("_catalog_id", "_charge", "_held", "_places", "_price")

    def __init__(self, prices: RequestPrices, price: RequestPrice, catalog_id: str) -> None:
        self._charge, self._places = Charge(price), prices.places
        self._price, self._catalog_id = price, catalog_id
        self._held: AbstractAsyncContextManager[bool] | None = None

    async def __aenter__(self) -> bool:
        price, charge = self._price, self._charge
        charge.__enter__()
        if not self._places.queues(price):
            return False
        charge.least = charge.models = 0.0
        self._held = self._places.held(price, self._catalog_id)
        try:
            waited = await self._held.__aenter__()
        except BaseException as error:
            charge.__exit__(type(error))
            raise
        charge.least, charge.models = price.seconds, price.models
        return waited

    async def __aexit__(self, *raised: Any) -> None:
        try:
            if self._held is not None:
                await self._held.__aexit__(*raised)
        finally:
            self._charge.__exit__(*raised)
