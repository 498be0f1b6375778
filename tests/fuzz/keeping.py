"""Checks that acknowledged writes remain, and that filters match exactly."""

from __future__ import annotations

import asyncio
import random
import time

from google.protobuf.message import Message

from sightline.common.v1.filter_pb2 import Filter
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1.catalog_service_pb2 import ListProductsRequest, ListProductsResponse
from sightline.gateway.v1.user_event_service_pb2 import (
    PurgeEventsRequest,
    PurgeEventsResponse,
    WriteEventsRequest,
    WriteEventsResponse,
)
from sightline_rules import messages
from sightline_rules.facts import passes
from tests.fuzz import conditions
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import KEPT, PHOTOS, Call, Finding, Outcome
from tests.fuzz.surface import named
from tests.fuzz.wire import Sender

_SECONDS = 20.0
_TRIES = 3
_PAGE = 1_000


class Unanswered(Exception):
    """Error: a valid request got no answer, so dependent checks are not measured."""


async def products(sender: Sender, ledger: Ledger) -> Outcome:
    """Check that every acknowledged product is stored with its etag, and no other."""
    lost = changed = strange = 0
    for catalog in (KEPT, PHOTOS):
        there = {product.product_id: product.etag for product in await stored(sender, catalog)}
        for (place, product_id), etag in ledger.etags.items():
            if place != catalog:
                continue
            right = there.get(product_id, "") == etag or not etag
            lost += product_id not in there
            changed += product_id in there and not right
            if product_id not in there or not right:
                sender.find(Finding("products", f"{catalog}: {product_id!r} is lost or changed"))
        strange += sum(
            (catalog, product_id) not in ledger.etags | dict.fromkeys(ledger.unsure, "")
            for product_id in there
        )
    measured = f"{len(ledger.etags):,} acknowledged: {lost} lost, {changed} changed"
    return Outcome(not (lost or changed or strange), f"{measured}; {strange} that nobody wrote")


async def events(sender: Sender, ledger: Ledger) -> Outcome:
    """Check that every acknowledged event is counted, and is a duplicate when it is sent again."""
    everything = PurgeEventsRequest(catalog_id=KEPT)
    everything.before_time.FromSeconds(int(time.time()) + 86_400)
    counted = PurgeEventsResponse()
    await ask(sender, "PurgeEvents", everything, counted)
    known = list(ledger.events.values())
    written = refused = 0
    for at in range(0, len(known), 500):
        some = known[at : at + 500]
        again = WriteEventsResponse()
        request = WriteEventsRequest(catalog_id=KEPT, events=some)
        await ask(sender, "WriteEvents", request, again)
        written += again.written_count
        bad = [status for status in again.statuses if status.code]
        refused += len(bad)
        for status in bad[:3]:
            sender.find(Finding("events", f"an acknowledged event is refused: {status.message}"))
    least, most = len(known), len(known) + len(ledger.unsure_events - set(ledger.events))
    measured = f"{least:,} acknowledged, {counted.event_count:,} counted"
    right = least <= counted.event_count <= most and not written and not refused
    return Outcome(right, f"{measured}; sent again: {written} new, {refused} refused")


async def filters(
    sender: Sender, ledger: Ledger, chance: random.Random, count: int, until: float
) -> Outcome:
    """Check that a filter finds exactly the acknowledged products that match it."""
    everything = await stored(sender, KEPT)
    facts = {product.product_id: messages.facts(product) for product in everything}
    times = tuple({each.create_time.micros for each in facts.values()}) or (0,)
    wrong = compared = found = 0
    for _ in range(count):
        if time.monotonic() > until:
            break
        condition = conditions.condition(chance, times)
        message = conditions.sent(condition, chance)
        listed = {product.product_id for product in await stored(sender, KEPT, message)}
        expected = {name for name, each in facts.items() if passes(condition, each)}
        compared += 1
        found += bool(expected) and len(expected) < len(facts)
        if listed != expected:
            wrong += 1
            request = ListProductsRequest(catalog_id=KEPT, filter=message, page_size=_PAGE)
            raw = request.SerializeToString()
            call = Call(named("ListProducts").path, raw, _SECONDS)
            extra, absent = sorted(listed - expected)[:3], sorted(expected - listed)[:3]
            sender.find(Finding("filters", f"{condition}: extra {extra}, absent {absent}", call))
    if compared < count or not facts:
        raise Unanswered(f"{compared:,} of {count:,} filters in the time")
    measured = f"{compared:,} filters over {len(facts):,} products, {found:,} found a part of them"
    return Outcome(not wrong and found > 0, f"{measured}; {wrong} wrong")


async def stored(sender: Sender, catalog: str, filter_: Filter | None = None) -> list[Product]:
    """Return the products of a catalog that match a filter; None: all."""
    request = ListProductsRequest(catalog_id=catalog, filter=filter_, page_size=_PAGE)
    products: list[Product] = []
    while True:
        page = ListProductsResponse()
        await ask(sender, "ListProducts", request, page)
        products += page.products
        if not page.next_page_token:
            return products
        request.page_token = page.next_page_token


async def ask(sender: Sender, name: str, request: Message, response: Message) -> None:
    """Send a right request until it is answered. Raises Unanswered."""
    call = Call(named(name).path, request.SerializeToString(), _SECONDS)
    for _ in range(_TRIES):
        answer = await sender.send(call)
        if answer.code == "OK":
            response.ParseFromString(answer.responses[0])
            return
        await asyncio.sleep(1)
    raise Unanswered(f"{name} answers {answer.code}: {answer.message[:200]}")
