"""The work of each public call grows with its lists, filters, texts and messages, not faster.

A list of a public request fails here until it has a row: how many entries it may have, and how one
is made. So does a text that its call doesn't come to read, and a stream of requests. Counted are
the lines of the suite's own Python that a call runs in this thread. What one line hides, such as a
search of a list, and work in other threads is not seen.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.http.contract import PublicMethod, public_methods
from sightline.common.v1.limits_pb2 import max_items
from tests.fakes.gateway_wire import running
from tests.work import lines

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
OWN = tuple(str(ROOT / each) for each in ("services", "kit/src", "rules/src", "core/src"))
SHORT = 10
"""Entries of lists whose square costs nothing."""
SLACK = 400
"""Lines that equal calls may differ by."""
TRIES = 6
"""Calls of which the one with the fewest lines counts: others ran beside background work."""
LENGTHS = (64, 256, 4096, 2**16)
"""Lengths of texts. Most texts have a maximum of the first three; only comments tell it, and longer
ones are refused with as little work. Photos and files may be longer than the last, but a square
shows long before."""
SECONDS = 60.0
METHODS = {each.descriptor.name: each for each in public_methods()}
DAY = {"seconds": 1_700_000_000}
MONEY = {"currency_code": "EUR", "units": 1}


def numbered(prefix: str) -> Callable[[int], Any]:
    return lambda number: f"{prefix}{number + 1}"


def product(number: int) -> dict[str, Any]:
    return {"product_id": f"p{number}", "title": f"Product {number}"}


def event(number: int) -> dict[str, Any]:
    shopper = {"visitor_id": f"v{number}"}
    place = {"product_id": f"p{number}", "event_time": DAY, "event_id": f"e{number}"}
    return {"shopper": shopper, "session_id": "s", "type": 2, **place}


def target(number: int) -> dict[str, Any]:
    return {"target": {"product_id": f"p{number}"}, "region_ids": [f"r{number}"]}


ENTRIES: dict[str, Callable[[int], Any]] = {
    "Attribute": lambda n: {"key": f"k{n}", "text": f"text {n}"},
    "CatalogLabel": lambda n: {"name": f"n{n}", "value": f"value {n}"},
    "Control": lambda n: {"name": f"c{n}", "kind": 2, "boost": 1.0, "product_ids": [f"p{n}"]},
    "Event": event,
    "FacetRequest": lambda n: {"field": f"attributes.a{n}"},
    "Filter": lambda n: {
        "comparison": {"field": "brand", "operator": 1, "value": {"text": f"b{n}"}}
    },
    "FilterValue": lambda n: {"text": f"b{n}"},
    "GivenCandidate": lambda n: {"product_id": f"p{n}", "score": 0.5},
    "ImportRow": lambda n: {"row_number": n + 1, "product": product(n)},
    "MarketValues": lambda n: {"market_id": f"m{n}", "price": MONEY},
    "Money": lambda n: {"currency_code": "EUR", "units": n},
    "Offer": lambda n: {"product_id": f"p{n}", "price": MONEY},
    "PlannedProduct": lambda n: {"product_id": f"p{n}", "facings": 1},
    "Product": product,
    "ProductImage": lambda n: {"uri": f"https://photos.test/{n}.jpg"},
    "ProductUpdate": lambda n: {"product": product(n), "update_mask": {"paths": ["title"]}},
    "QuerySignal": lambda n: {"product_id": f"p{n + 1}"},
    "Shelf": lambda n: {"shelf_id": f"s{n}", "list": {}},
    "ShopperAttribute": lambda n: {"key": f"k{n}", "text": "text"},
    "SynonymRule": lambda n: {"terms": [f"a{n}", f"b{n}"]},
    "WatchFrame": lambda n: {"image": b"jpeg %d" % n, "frame_time": {"seconds": n + 1}},
    "WatchRegion": lambda n: {"region_id": f"r{n}", "box": {"right": 0.5, "bottom": 0.5}},
    "WatchRule": lambda n: {"rule_id": f"u{n}", "presence": target(n)},
}
"""How an entry of a list of messages is made, by their type."""

TEXTS: dict[str, Callable[[int], Any]] = {
    "AddReferencePhotosRequest.images": lambda n: b"jpeg %d" % n,
    "FacetRequest.number_bounds": float,
    "Catalog.pending_services": lambda n: ("ranker", "retriever", "embedder")[n % 3],
    "FieldMask.paths": lambda n: ("title", "brand", "tags", "price", "uri")[n % 5],
}
"""How an entry of another list is made, if a text with its number won't do."""

MOST = {
    "FieldMask.paths": 10,
    "Recipe.attribute_keys": 100,
    "Recipe.shopper_attribute_keys": 100,
    "SynonymRule.terms": 10,
    "SynonymRule.replacements": 8,
    "Product.category_path": 8,
    "Product.tags": 64,
    "Product.attributes": 128,
    "Product.images": 20,
    "Product.markets": 64,
    "CategoryGuess.category_path": 8,
    "FilterList.filters": 64,
    "Membership.values": 1000,
    "DetectionHeatMapsRequest.product_ids": 20,
    "FacetRequest.category_path": 8,
    "FacetRequest.price_bounds": 50,
    "FacetRequest.number_bounds": 50,
}
"""The maximum number of entries of the lists whose message isn't only a request's."""

GIVEN: dict[str, dict[str, Any]] = {
    "DetectProducts": {"image": b"jpeg"},
    "ImportProducts": {"import_id": "i"},
    "Recommend": {"signals": [{"product_id": "p1"}]},
    "Search": {"signals": [{"product_id": "p1"}]},
    "RecommendValues": {"request": {"signals": [{"product_id": "p1"}]}, "field": "category"},
    "ExplainRecommendation": {
        "request": {"signals": [{"product_id": "p1"}]},
        "product_id": "p1",
    },
    "SetConsent": {"shopper": {"user_id": "u"}, "source": "form"},
    "SetShopperAttributes": {"shopper": {"user_id": "u"}, "consent": True},
    "SendFrames": {"watch_id": "w"},
    "ReadAuditChain": {"store": "ranker"},
    "DropAuditEntries": {"store": "ranker"},
    "DrawHeatMap": {"image": b"jpeg", "product_id": "p1"},
}
"""What a request needs besides."""

REFUSED = {
    **{
        f"{name} {path}": "this scene defines no followed_attribute"
        for name, path in (
            ("Recommend", "followed"),
            ("RecommendValues", "request.followed"),
            ("RecommendShelves", "shelves.recommend.followed"),
            ("ExplainRecommendation", "request.followed"),
        )
    },
}
"""What is said of calls that the scripted suite can't answer."""

WORDS = {
    "Filter.text": 'brand = "b" AND ',
    "CheckSceneRequest.toml": "# scene\n",
    "DiffSceneRequest.toml": "# scene\n",
    "page_token": "ab12",
}
"""What a text is made of, by its name, if not of words and numbers."""

UNREAD: dict[str, tuple[str, ...]] = {
    "UpsertProducts": ("internal error",),
    "RecommendShelves": ("shelves: must have",),
    "ExplainRecommendation": ("internal error",),
    "ReplayRecommendation": ("attribution_token: is not",),
    "Classify": ("photo: an image",),
    "DrawHeatMap": ("no photo to compare",),
    "ListJobs": ("names none",),
}
"""What the scripted suite says of calls before it comes to read some of their texts."""


def fields(
    type_: Descriptor, way: tuple[str, ...] = (), above: tuple[Descriptor, ...] = ()
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield the fields of a message and its parts with their paths: of a filter within another
    only the list that it is in."""
    for field in type_.fields:
        path = (*way, field.name)
        yield ".".join(path), field
        if field.message_type and field.message_type not in (*above, type_):
            yield from fields(field.message_type, path, (*above, type_))


def lists(type_: Descriptor) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield the lists of a message with their paths."""
    return ((path, field) for path, field in fields(type_) if field.is_repeated)


def name_of(field: FieldDescriptor) -> str:
    return f"{field.containing_type.name}.{field.name}"


def most_of(field: FieldDescriptor) -> int:
    """Return how many entries a list may have; 0 = unknown."""
    return field.GetOptions().Extensions[max_items] or MOST.get(name_of(field), 0)


def entry_of(field: FieldDescriptor) -> Callable[[int], Any]:
    if field.message_type:
        return ENTRIES[field.message_type.name]
    if field.enum_type:
        return lambda number: field.enum_type.values[number % len(field.enum_type.values)].number
    return TEXTS.get(name_of(field)) or numbered("p")


CASES = [
    pytest.param(method, path, field, id=f"{name}-{path}")
    for name, method in METHODS.items()
    for path, field in lists(method.request.DESCRIPTOR)
    if most_of(field) > SHORT
]


def request_of(method: PublicMethod, path: str, count: int) -> Any:
    """Return a request with `count` entries in the list at `path`."""
    request, part, field = place_of(method, path)
    if field.name == "candidates":
        part.ClearField("signals")
    entries, one = getattr(part, field.name), entry_of(field)
    for number in range(count):
        entries.add(**one(number)) if field.message_type else entries.append(one(number))
    return request


def place_of(method: PublicMethod, path: str) -> tuple[Any, Any, FieldDescriptor]:
    """Return a request, and its part that has the field at `path`, which is empty."""
    request: Any = method.request(**GIVEN.get(method.descriptor.name, {}))
    part: Any = request
    *way, last = path.split(".")
    for name in way:
        field, above = part.DESCRIPTOR.fields_by_name[name], part
        part = getattr(part, name)
        if name == "search":
            part.signals.add(product_id="p1")
        if name == "membership":
            part.field = "brand"
        if name == "filter" and part.DESCRIPTOR.name == "Filter" and "controls" in way:
            above.ClearField("product_ids")  # a control has either
        if name == "candidates":
            above.ClearField("signals")
        if field.is_repeated:
            part = part[0] if part else part.add(**entry_of(field)(0))
    part.ClearField(last)
    return request, part, part.DESCRIPTOR.fields_by_name[last]


def texts(method: PublicMethod) -> Iterator[str]:
    """Yield the paths of the texts and bytes of a request."""
    for path, field in fields(method.request.DESCRIPTOR):
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            yield path


def text_request(method: PublicMethod, path: str, length: int) -> Any:
    """Return a request with a text of `length` at `path`."""
    request, part, field = place_of(method, path)
    words = WORDS.get(name_of(field)) or WORDS.get(field.name) or "ab 1, "
    text: Any = (words * length)[:length]
    if field.type == field.TYPE_BYTES:
        text = text.encode()
    if field.is_repeated:
        getattr(part, field.name).append(text)
    else:
        setattr(part, field.name, text)
    return request


Call = Callable[..., tuple[grpc.StatusCode, str]]


@pytest.fixture(scope="module")
def call() -> Iterator[Call]:
    """Yield how to call a gateway before scripted peers in this thread."""
    with asyncio.Runner() as runner:
        suite = running(whole=True, default_seconds=SECONDS)
        found = runner.run(suite.__aenter__())

        async def called(method: Any, request: Any) -> tuple[grpc.StatusCode, str]:
            path = f"/{method.containing_service.full_name}/{method.name}"
            async with grpc.aio.insecure_channel(f"127.0.0.1:{found.port}") as channel:
                sent = request.SerializeToString()
                answer: Any = channel.unary_stream(path)(sent, timeout=SECONDS)
                with suppress(grpc.aio.AioRpcError):
                    while await answer.read() is not grpc.aio.EOF:
                        pass
                return await answer.code(), await answer.details()

        yield lambda *given: runner.run(called(*given))
        runner.run(suite.__aexit__(None, None, None))


def least_lines(work: Callable[[], object], most: float) -> int:
    """Return the lines of the shortest of TRIES, or of the first one of at most `most`."""
    least = lines(work, OWN)
    for _ in range(TRIES - 1):
        if least > most:
            least = min(least, lines(work, OWN))
    return least


def test_every_list_of_a_public_request_has_a_maximum_and_entries() -> None:
    fields = [each for method in METHODS.values() for _, each in lists(method.request.DESCRIPTOR)]
    assert {name_of(each) for each in fields if not most_of(each)} == set()
    types = {each.message_type.name for each in fields if each.message_type}
    assert types - ENTRIES.keys() == set()
    assert ENTRIES.keys() - types == set(), "no list has these any more"


@pytest.mark.parametrize(("method", "path", "field"), CASES)
def test_the_work_of_a_call_grows_as_its_lists(
    call: Call, method: PublicMethod, path: str, field: FieldDescriptor
) -> None:
    def succeed(request: Any) -> None:
        code, said = call(method.descriptor, request)
        if code is not grpc.StatusCode.OK:
            assert REFUSED[f"{method.descriptor.name} {path}"] in said

    most = most_of(field)
    requests = [
        request_of(method, path, max(count, 1)) for count in (1, most // 4, most // 2, most)
    ]
    rounds = [[lines(lambda r=r: succeed(r), OWN) for r in requests] for _ in range(TRIES)]
    one, quarter, half, whole = (min(tries) for tries in zip(*rounds, strict=True))
    # Either may hold a step, such as a second query: one entry a special case, a limit on the way.
    linear = max(one + 2.5 * (half - one), half + 3 * (half - quarter))
    assert whole <= linear + SLACK, (one, quarter, half, whole)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_work_of_a_call_grows_as_its_texts(call: Call, method: PublicMethod) -> None:
    for path in texts(method):

        def read(length: int, path: str = path) -> None:
            code, said = call(method.descriptor, text_request(method, path, length))
            if code not in (grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND):
                known = (*path.split("."), *UNREAD.get(method.descriptor.name, ()))
                assert any(each in said for each in known), (path, said)

        shorter, before = 1, math.inf
        for length in LENGTHS:
            most = 1.25 * length / shorter * before + SLACK
            count = least_lines(lambda n=length: read(n), most)  # type: ignore[misc]
            assert count <= most, (path, length, count, before)
            shorter, before = length, count
