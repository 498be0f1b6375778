"""Prices of requests: their bound, the caller's quota, and the sizes of catalogs they depend on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.model.errors import RequestTooExpensive
from gateway.model.price import MOST_SECONDS, REFERENCE_PRODUCTS, RequestPrice
from servicekit import costs, quotas
from servicekit.quotas import QuotaKind


@dataclass(frozen=True, slots=True)
class RequestPrices:
    """Bound of a request's price, and the number of products of each catalog."""

    most_seconds: float = MOST_SECONDS
    """Processor seconds of a request on a catalog of REFERENCE_PRODUCTS, at most."""
    _products: dict[str, int] = field(default_factory=dict)

    def learn(self, catalog_id: str, products: int) -> None:
        """Note the number of products of a catalog, as answers carry it. 0: unknown."""
        if products:
            self._products[catalog_id] = products

    def products(self, catalog_id: str) -> int:
        """Return the last known number of products; REFERENCE_PRODUCTS before the first answer."""
        return self._products.get(catalog_id, REFERENCE_PRODUCTS)

    def check(self, price: RequestPrice) -> None:
        """Raise RequestTooExpensive above the bound. `price`: on up to REFERENCE_PRODUCTS."""
        if price.seconds > self.most_seconds:
            raise RequestTooExpensive(price, self.most_seconds)

    @contextmanager
    def charged(self, price: RequestPrice) -> Iterator[None]:
        """Charge the caller's quota: the price before the request runs, what it did cost after it.

        A request that fails pays its price at least: peers that fail do not report what they spent.
        Raises QuotaExhausted.
        """
        reserved = quotas.reserve(QuotaKind.PROCESSOR_SECONDS, price.seconds)
        spent = price.seconds
        try:
            yield
            spent = 0.0
        finally:
            cost = max(spent, price.models + costs.spent_ms() / 1e3)
            quotas.spend(QuotaKind.PROCESSOR_SECONDS, cost - reserved)
