"""Acknowledged writes, to be read again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from sightline.common.v1.event_pb2 import Event
from sightline.gateway.v1.catalog_service_pb2 import (
    ImportProductsRequest,
    ImportProductsResponse,
    Offer,
    UpdateOffersRequest,
    UpdateOffersResponse,
    UpdateProductsRequest,
    UpsertProductsRequest,
    UpsertProductsResponse,
)
from sightline.gateway.v1.user_event_service_pb2 import WriteEventsRequest, WriteEventsResponse
from tests.fuzz.model import CATALOGS, FUZZ, KEPT, Answer
from tests.fuzz.surface import READ_ONLY, Method

MAX_PRODUCTS = 900
"""Maximum products in KEPT: one page has all of them, so that hundreds of filters can be
compared."""

_KEPT = frozenset(
    {"UpsertProducts", "WriteEvents", "ImportProducts", "UpdateProducts", "UpdateOffers"}
)
"""Calls whose acknowledgements are taken down."""
_OPEN = (4, 14)
"""Codes of items that were not decided: DEADLINE_EXCEEDED, UNAVAILABLE."""


class Ledger:
    """Acknowledged writes. In KEPT and PHOTOS only one request writes each id, so that its etag
    lasts."""

    def __init__(self) -> None:
        self.etags: dict[tuple[str, str], str] = {}
        """Etags of acknowledged products, by catalog and id; empty if the answer did not name
        it."""
        self.rows: dict[tuple[str, int], str] = {}
        """The etag of each decided row of KEPT's imports, by import and number; empty = refused."""
        self.updated: set[tuple[str, str]] = set()
        """Products of acknowledged updates, by catalog and id."""
        self.offers: dict[tuple[str, str], Offer] = {}
        """Acknowledged offers, by catalog and id."""
        self.unsure: set[tuple[str, str]] = set()
        """Products whose write was not answered: they may be there or not."""
        self.events: dict[tuple[str, bytes], Event] = {}
        """Acknowledged events of KEPT, by id and shopper: two shoppers may give one id."""
        self.unsure_events: set[tuple[str, bytes]] = set()
        self._used: set[str] = set()

    def admit(self, method: Method, raw: bytes, fresh: Callable[[str], str]) -> bytes:
        """Return the request, changed so that it can't affect protected data."""
        message = method.request()
        try:
            message.ParseFromString(raw)
        except DecodeError:
            return raw
        catalog = getattr(message, "catalog_id", "")
        if method.name in READ_ONLY or catalog == FUZZ:
            return raw
        known = catalog in (*CATALOGS, "", "default")
        # Bytes that Python's parser reads in one way a service's may not read in another: what is
        # sent is written again.
        if isinstance(message, UpsertProductsRequest) and catalog == KEPT and self._room():
            for product in message.products:
                if product.product_id in self._used:
                    product.product_id = fresh("kept")
            self._used.update(product.product_id for product in message.products)
        elif isinstance(message, WriteEventsRequest) and catalog == KEPT:
            for event in message.events:
                if event.event_id in self._used:
                    event.event_id = fresh("event")
            self._used.update(event.event_id for event in message.events)
        elif known:
            message.catalog_id = FUZZ  # type: ignore[attr-defined]
        return message.SerializeToString()

    def record(self, method: Method, raw: bytes, answer: Answer) -> None:
        """Record the acknowledged writes."""
        if method.name not in _KEPT or not (answer.code == "OK" or _undecided(answer)):
            return  # what is refused may be too large to be parsed here
        request = method.request()
        try:
            request.ParseFromString(raw)
        except DecodeError:
            return
        if isinstance(request, UpsertProductsRequest) and request.catalog_id in CATALOGS[1:]:
            self._products(request, answer)
        elif getattr(request, "catalog_id", "") != KEPT:
            return
        elif isinstance(request, WriteEventsRequest):
            self._events(request, answer)
        elif isinstance(request, ImportProductsRequest):
            self._import(request, answer)
        elif isinstance(request, UpdateProductsRequest):
            self._updates(request, answer)
        elif isinstance(request, UpdateOffersRequest):
            self._offers(request, answer)

    def reserve(self, product_ids: Iterable[str]) -> None:
        """Reserve ids that no other request may write."""
        self._used.update(product_ids)

    def sample(self, chance: random.Random, catalog: str, count: int) -> list[str]:
        """Return some acknowledged ids."""
        ids = sorted(product for place, product in self.etags if place == catalog)
        return chance.sample(ids, min(count, len(ids)))

    def _room(self) -> bool:
        return sum(catalog == KEPT for catalog, _ in self.etags) < MAX_PRODUCTS

    def _products(self, request: UpsertProductsRequest, answer: Answer) -> None:
        if answer.code != "OK":
            if _undecided(answer):
                self.unsure |= {(request.catalog_id, p.product_id) for p in request.products}
            return
        response = _parsed(UpsertProductsResponse(), answer)
        for product, result in zip(request.products, response.results, strict=True):
            if result.status.code == 0:
                self.etags[request.catalog_id, product.product_id] = result.etag
                self.reserve([product.product_id])  # the shop's own were not admitted first
            elif result.status.code in _OPEN:
                self.unsure.add((request.catalog_id, product.product_id))

    def _import(self, request: ImportProductsRequest, answer: Answer) -> None:
        """Record an import's rows: a row is decided once, so a repeated answer does not describe
        the current state."""
        if answer.code != "OK":
            if _undecided(answer):
                self.unsure |= {(KEPT, row.product.product_id) for row in request.rows}
            return
        response = _parsed(ImportProductsResponse(), answer)
        for row, result in zip(request.rows, response.results, strict=True):
            place, product = (request.import_id, row.row_number), (KEPT, row.product.product_id)
            if result.status.code in _OPEN:
                self.unsure.add(product)
            elif place not in self.rows:
                self.rows[place] = result.etag
                if result.status.code == 0:
                    self.etags[product] = result.etag

    def _updates(self, request: UpdateProductsRequest, answer: Answer) -> None:
        products = [(KEPT, update.product.product_id) for update in request.updates]
        if answer.code != "OK":
            self._undecide(products, answer)
            return
        response = _parsed(UpsertProductsResponse(), answer)
        for product, result in zip(products, response.results, strict=True):
            if result.status.code == 0:
                self.updated.add(product)
                self.etags[product] = result.etag
            elif result.status.code in _OPEN:
                self.etags[product] = ""

    def _offers(self, request: UpdateOffersRequest, answer: Answer) -> None:
        products = [(KEPT, offer.product_id) for offer in request.offers]
        if answer.code != "OK":
            self._undecide(products, answer)
            return
        response = _parsed(UpdateOffersResponse(), answer)
        for product, offer, status in zip(products, request.offers, response.statuses, strict=True):
            if status.code == 0:
                self.offers[product] = offer
            if status.code == 0 or status.code in _OPEN:
                self.etags[product] = ""

    def _undecide(self, products: Iterable[tuple[str, str]], answer: Answer) -> None:
        """Mark changes of known products as undecided, as their call was not answered."""
        if _undecided(answer):
            self.etags |= {product: "" for product in products if product in self.etags}

    def _events(self, request: WriteEventsRequest, answer: Answer) -> None:
        if answer.code != "OK":
            if _undecided(answer):
                self.unsure_events |= set(map(_of_shopper, request.events))
            return
        response = _parsed(WriteEventsResponse(), answer)
        for event, status in zip(request.events, response.statuses, strict=True):
            if status.code == 0:
                self.events[_of_shopper(event)] = event


def _of_shopper(event: Event) -> tuple[str, bytes]:
    return event.event_id, event.shopper.SerializeToString(deterministic=True)


def _undecided(answer: Answer) -> bool:
    return answer.code in {"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED", "UNKNOWN", "INTERNAL"}


R = TypeVar("R", bound=Message)


def _parsed(response: R, answer: Answer) -> R:
    response.ParseFromString(answer.responses[0])
    return response
