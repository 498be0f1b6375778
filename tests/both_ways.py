"""Answers of services in one process that work with what they lend, beside answers over channels.

Two gateways have the same retriever, ranker and keys: one is that of the process, the other makes a
message of each call. Random requests go to both at the same time of day.
`python -m tests.both_ways N` prints those of N requests whose answers differ but for ids and times,
how many of each kind were sent, and which messages the first gateway sent over channels.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
from google.protobuf import json_format
from sightline_all.services import SERVICES

from gateway import wiring
from gateway.__main__ import keys_of, scenes_of
from gateway.settings import GatewaySettings
from retriever.domain.product import ProductWrite
from servicekit import telemetry
from servicekit.config import ServerSettings
from servicekit.rpc import hosting, local_channel, server
from servicekit.rpc.server import RunningServer
from servicekit.status import from_rpc_error
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline_rules.filters import Availability, Money
from sightline_rules.markets import MarketValues
from tests.calls.cases import Shop
from tests.calls.catalog import (
    KINDS,
    PRODUCTS,
    UNTRAINED,
    kind_of,
    made,
    product_id,
    write_catalog,
)
from tests.calls.suite import filled, settings_of
from tests.fakes.photos import photo

CHANGING = frozenset(
    {
        *("attribution_token", "next_page_token", "stage_timings", "freshness", "request_id"),
        "request_cost_ms",
    }
)
"""Fields that hold ids and times."""
SCENES = (
    *("", "", "", "similar", "for-you", "cart", "similar-looks", "complete-the-look", "feed"),
    *(
        "new",
        "trending",
        "popular",
        "also-viewed",
        "recently-viewed",
        "reorder",
        "similar-behavior",
    ),
)
MARKET = "de"
TEXTS = ("product of kind 3", "kind 5", "prodcut", "nowhere")
PHOTOS = (b64encode(photo()).decode(), b64encode(b"no photo").decode())
SORTS = ("UNSPECIFIED", "UNSPECIFIED", "PRICE_RISING", "NEWEST", "POPULARITY")
TYPED = ("product of ki", "kind 5 r", "brand", "prodcut", "or")
Request = pb.RecommendRequest | pb.SearchRequest | pb.ListRequest | pb.SuggestRequest


def sold(number: int) -> ProductWrite:
    """Return a product that may be a variant, look like another one, be sold out, have a cost, or
    other values in a market."""
    usual = made(number)
    content, images = usual.content, usual.new_images
    price = content.price or Money("EUR", 0)
    if number % 5 == 0:
        content = replace(content, availability=Availability.OUT_OF_STOCK)
    if number % 3:
        content = replace(content, cost=Money("EUR", price.micros // (2 + number % 4)))
    if number % 7 == 1:
        content = replace(content, parent_id=product_id(number - 1))
    if number % 4 == 0:
        state = Availability.PREORDER if number % 8 else None
        dear = Money("EUR", 2 * price.micros)
        there = MarketValues(MARKET, dear, state, f"Ware {number}", "", "", "")
        content = replace(content, markets=(there,))
    if number % 11 == 0:
        images = {name: replace(each, perceptual_hash=1) for name, each in images.items()}
    return ProductWrite(content, images)


class Drawn:
    """Random requests to a shop."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop, self._draw = shop, random.Random(seed)
        self._ids = [product_id(number) for number in range(PRODUCTS)]

    def __iter__(self) -> Iterator[Request]:
        while True:
            kinds = (self._recommend, self._search, self._list, self._suggest)
            yield self._draw.choices(kinds, (10, 5, 4, 1))[0]()

    def _chance(self, share: float) -> bool:
        return self._draw.random() < share

    def _search(self) -> pb.SearchRequest:
        given = self._common() | {"signals": self._signals()}
        if self._chance(0.3):
            fields = ("category", "price", "tags", "attributes.color", "nothing")
            given["facets"] = [{"field": each} for each in self._draw.choices(fields, k=2)]
        return json_format.ParseDict(given, pb.SearchRequest())

    def _list(self) -> pb.ListRequest:
        given = self._common() | {"sort": f"SORT_{self._draw.choice(SORTS)}"}
        if self._chance(0.3):
            given["text"] = self._draw.choice(TEXTS)
        if self._chance(0.4):
            given["shopper"] = {"user_id": self._draw.choice([self._shop.user, "nobody"])}
        if self._chance(0.3):
            given["facets"] = [{"field": self._draw.choice(("category", "price", "nothing"))}]
        if self._chance(0.4):
            given["controls"] = self._controls()
        given |= {"exclude_product_ids": self._some(3), "explain": self._chance(0.3)}
        return json_format.ParseDict(given, pb.ListRequest())

    def _suggest(self) -> pb.SuggestRequest:
        size = self._draw.choice([0, 3, 10])
        return pb.SuggestRequest(prefix=self._draw.choice(TYPED), page_size=size)

    def _recommend(self) -> pb.RecommendRequest:
        given = self._common() | {"scene": self._draw.choice(SCENES)}
        if self._chance(0.15):  # their last products find others
            given |= {"catalog_id": UNTRAINED, "shopper": {"user_id": "newcomer"}}
            return json_format.ParseDict(given, pb.RecommendRequest())
        if self._chance(0.6):
            given["shopper"] = {
                "user_id": self._draw.choice([self._shop.user, "shopper-7", "nobody"])
            }
        if self._chance(0.6):
            given["signals"] = self._signals()
        if self._chance(0.3):
            given["anchor_product_ids"] = self._some(2)
        if self._chance(0.1):
            given["candidates"] = [{"product_id": each} for each in self._some(20)]
            given.pop("signals", None)
        if self._chance(0.2):
            given["exclude_product_ids"] = self._some(3)
        if self._chance(0.3):
            given["explain"] = True
        if self._chance(0.3):
            given["controls"] = self._controls()
        return json_format.ParseDict(given, pb.RecommendRequest())

    def _common(self) -> dict[str, Any]:
        given: dict[str, Any] = {"page_size": self._draw.choice([0, 3, 10, 40])}
        if self._chance(0.4):
            given["filter"] = self._filter()
        if self._chance(0.2):
            given.setdefault("filter", {})["market_id"] = MARKET
        return given

    def _some(self, count: int) -> list[str]:
        return self._draw.sample(self._ids, count)

    def _signals(self) -> list[dict[str, Any]]:
        signals: list[dict[str, Any]] = []
        if self._chance(0.8):
            count = self._draw.choice([1, 1, 1, 2])
            signals += [{"product_id": each} for each in self._some(count)]
        if self._chance(0.3) or not signals:
            signals.append({"text": self._draw.choice(TEXTS)})
        if self._chance(0.1):
            signals.append({"image": self._draw.choice(PHOTOS)})
        if self._chance(0.1):
            signals.append({"product_id": self._draw.choice(self._ids), "negative": True})
        if self._chance(0.05):
            signals.append({"product_id": "gone"})
        return signals

    def _filter(self) -> dict[str, Any]:
        group = {"text": f"Things > {kind_of(self._draw.randrange(KINDS))}"}
        dear = {"money": {"currency_code": "EUR", "units": self._draw.randint(5, 90)}}
        stocked = {"availability": "AVAILABILITY_IN_STOCK"}
        parts = [
            compare("category", group),
            compare("price", dear, "LESS"),
            compare("availability", stocked),
            {"membership": {"field": "tags", "values": [{"text": "organic"}, {"text": "red"}]}},
            {"not": compare("category", group)},
            {"any": {"filters": [compare("price", dear, "GREATER"), compare("category", group)]}},
            compare("attributes.color", {"text": "red"}),
        ]
        if self._chance(0.05):
            return compare("nothing", group)
        if self._chance(0.3):
            return {"all": {"filters": self._draw.sample(parts, 2)}}
        return self._draw.choice(parts)

    def _controls(self) -> list[dict[str, Any]]:
        ids, draw = self._some(6), self._draw
        every: list[dict[str, Any]] = [
            {"kind": "KIND_PIN", "product_ids": ids[:2], "place": draw.randint(1, 5)},
            {"kind": "KIND_BOOST", "product_ids": ids[2:4], "boost": 0.5},
            {"kind": "KIND_BOOST", "filter": self._filter(), "boost": 0.2},
            {"kind": "KIND_BURY", "filter": self._filter()},
            {"kind": "KIND_EXCLUDE", "product_ids": ids[4:]},
        ]
        some = draw.sample(every, draw.randint(1, 3))
        return [{"name": f"c{number}", **each} for number, each in enumerate(some)]


def compare(field: str, value: Mapping[str, Any], operator: str = "EQUAL") -> dict[str, Any]:
    """Return a filter by one field, as JSON has it."""
    return {"comparison": {"field": field, "operator": f"OPERATOR_{operator}", "value": value}}


class Way:
    """A gateway, as its caller sees it."""

    def __init__(self, port: int) -> None:
        self._stub = RecommendationServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def ask(self, request: Request) -> tuple[Any, str]:
        """Return what is answered but for ids and times, and the token of the next page."""
        call = getattr(self._stub, type(request).__name__.removesuffix("Request"))
        try:
            answer = call(request, timeout=30)
        except grpc.RpcError as error:
            found = from_rpc_error(error)  # type: ignore[arg-type]
            return (found.code, found.reason, found.message, *map(astuple, found.violations)), ""
        said = json_format.MessageToDict(answer, preserving_proto_field_name=True)
        return _lasting(said), getattr(answer, "next_page_token", "")


def _lasting(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: _lasting(each) for name, each in said.items() if name not in CHANGING}
    return [*map(_lasting, said)] if isinstance(said, list) else said


@contextmanager
def one_moment() -> Iterator[None]:
    """Stop the clock that shows the time of day."""
    now = time.time_ns()
    with (
        mock.patch("time.time", return_value=now / 1e9),
        mock.patch("time.time_ns", return_value=now),
    ):
        yield


@contextmanager
def sent_by(service: str) -> Iterator[Counter[str]]:
    """Count the messages that a service sends to others of its process, by method."""
    sent, begin = Counter[str](), local_channel._Call.__init__

    def counted(call: Any, to: Any, method: str, *more: Any) -> None:
        if telemetry.service_name.get() == service:
            sent[method] += 1
        begin(call, to, method, *more)

    with mock.patch.object(local_channel._Call, "__init__", counted):
        yield sent


def compared(ways: tuple[Way, Way], request: Request) -> tuple[str, Any, Any]:
    """Return the kind of the answers to a request and to its second page, and both of them."""
    with one_moment():
        first = [way.ask(request) for way in ways]
        found = [[answer] for answer, _ in first]
        if all(token for _, token in first):
            for so_far, way, (_, token) in zip(found, ways, first, strict=True):
                later = type(request)()
                later.CopyFrom(request)
                later.page_token = token
                so_far.append(way.ask(later)[0])
    answer, *more = found[0]
    if not isinstance(answer, dict):
        return str(answer[1]), *found
    flags = sorted({each["cause"] for each in answer.get("degradations", ())})
    kind = f"{type(request).__name__}, {'two pages' if more else 'one page'}, {' '.join(flags)}"
    return kind, *found


async def over_channels(settings: GatewaySettings, host: hosting.Host) -> RunningServer:
    """Start a second gateway, which borrows nothing."""
    hosting.running.set(host)
    with mock.patch.object(wiring, "borrowing", return_value=None):
        made = wiring.build(settings, scenes_of(settings), keys_of(settings))
    await made.catalogs.start()
    return await server.start(made.bindings, settings, "gateway-2", catalogs=made.catalogs)


async def serve(
    settings: Mapping[str, ServerSettings],
    measure: Callable[[asyncio.AbstractEventLoop, hosting.Host], Any],
) -> Any:
    """Run services while `measure` runs in a thread. Return its result."""
    host, loop = hosting.Host(), asyncio.get_running_loop()
    works = {name: SERVICES[name].main(own) for name, own in settings.items()}
    serving = asyncio.create_task(host.run(works))
    measuring = asyncio.ensure_future(asyncio.to_thread(measure, loop, host))
    await asyncio.wait({serving, measuring}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        host.stop()
    await serving
    return await measuring


def differences(count: int, seed: int) -> tuple[list[Any], Counter[str], Counter[str]]:
    """Return the requests that are answered differently or fail, with their answers; the number of
    requests by kind; and of messages by method. For a process of its own: it changes this one."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        write_catalog(Path(folder), sold)
        settings = settings_of(Path(folder))
        own = settings["gateway"]
        assert isinstance(own, GatewaySettings)
        sys.stderr = log
        telemetry.configure_logging("all")

        def measure(
            loop: asyncio.AbstractEventLoop, host: hosting.Host
        ) -> tuple[list[Any], Counter[str], Counter[str]]:
            def in_loop(work: Coroutine[Any, Any, Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(work, loop).result()

            shop = filled(settings, in_loop)
            apart = own.model_copy(update={"port": 0})
            running: RunningServer = in_loop(over_channels(apart, host))
            ways = (Way(own.port), Way(running.port))
            found, kinds = list[Any](), Counter[str]()
            with sent_by("gateway") as sent:
                for _, request in zip(range(count), Drawn(shop, seed), strict=False):
                    kind, ours, theirs = compared(ways, request)
                    kinds[kind] += 1
                    if ours != theirs or kind == "INTERNAL":
                        asked = json_format.MessageToDict(request, preserving_proto_field_name=True)
                        found.append({"request": asked, "lent": ours, "over channels": theirs})
            in_loop(running.stop(0))
            return found, kinds, sent

        try:
            return server.run(serve(settings, measure))
        except BaseException:
            log.flush()
            sys.stdout.write((Path(folder) / "log").read_text()[-20_000:])
            raise
        finally:
            sys.stderr = sys.__stderr__


def main() -> None:
    """Print differences and kinds."""
    count, seed = (*map(int, sys.argv[1:]), 0)[:2]
    found, kinds, sent = differences(count, seed)
    print(json.dumps({"different": found, "kinds": kinds, "sent": sent}, indent=1))


if __name__ == "__main__":
    main()
