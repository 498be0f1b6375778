"""Requests of all kinds, and what suites of either shape have to answer alike: all but ids and
times."""

import dataclasses
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from examples.wines.catalogue import load_ratings, load_wines
from sightline_client import F, SightlineClient, Sort, money
from sightline_client.errors import SightlineError
from tests.live.test_shelves import replayed
from tests.waiting import SECONDS

WINES = load_wines()
TEXTS = ("a light red wine", "white, with fish", "port", "something for a barbecue")
TYPED = ("mer", "red wi", "sparklin", "chardonay")
FILTERS = (None, F.price < money(30, "EUR"), F.category == "Red")
FACETS = ("brand", "category", "price", "attributes.country")
SORTS = (Sort.NEAREST, Sort.PRICE_RISING, Sort.BRAND, Sort.NEWEST)
TOLERANCE = 5e-6
"""Difference of two numbers that count as equal: Triton's batches change the last digits."""
OWN = frozenset(
    (
        *("request_id", "attribution_token", "stage_timings", "request_cost_ms"),
        *("answer_id", "answer_time"),
    )
)
"""Fields that differ between two answers of one suite."""
TOKENS = frozenset({"next_page_token", "etag"})
"""Fields that differ, but are empty in both answers or in neither: the etag of a page by popularity
includes when its gateway read what is popular."""

Request = tuple[str, dict[str, Any]]
"""Name of the client's method, and its arguments."""


def asked(count: int) -> Iterator[Request]:
    """Yield `count` requests for recommendations, a multiple of four, and as many others."""
    users = sorted({rating.user_id for rating in load_ratings()})
    for number in range(count // 4):
        wine, text, user = WINES[number % len(WINES)], TEXTS[number % 4], users[number % len(users)]
        near = WINES[(number + 1) % len(WINES)]
        chosen: dict[str, Any] = {"page_size": 10}
        if (passing := FILTERS[number % 3]) is not None:
            chosen["filter"] = passing
        yield "recommend", {"products": wine.id, "explain": True, **chosen}
        yield "recommend", {"user": user, "products": wine.id, **chosen}
        yield "recommend", {"image": wine.image, **chosen}
        yield "recommend", {"text": text, "user": users[number % 7], **chosen}
        signal = {"image": wine.image} if number % 2 else {"text": text, "products": near.id}
        yield "search", {**signal, "facets": FACETS, "sort": SORTS[number % 4], **chosen}
        shopper = {"user": user, "explain": True} if number % 2 else {}
        yield "listing", {"facets": FACETS, "sort": SORTS[number % 4], **shopper, **chosen}
        yield "suggest", {"prefix": TYPED[number % 4]}
        yield "explain", {"product_id": near.id, "image": wine.image, "user": user, **chosen}


WRONG: Sequence[Request] = (
    ("recommend", {"products": "no-such-wine"}),
    ("recommend", {"products": WINES[0].id, "page_size": 5_000}),
    ("recommend", {"products": WINES[0].id, "scene": "no-such-scene"}),
    ("recommend", {"products": WINES[0].id, "page_token": "made-up"}),
    ("recommend", {"image": b"no photo"}),
    ("recommend", {"user": "ann", "visitor": "ann"}),
    ("search", {}),
    ("search", {"text": "port", "facets": ["no such field"]}),
    ("listing", {"sort": Sort.RELEVANCE}),
    ("listing", {"page_token": "made-up"}),
    ("suggest", {"prefix": "x" * 5_000}),
    ("explain", {"product_id": "", "products": WINES[0].id}),
)
"""Requests that are refused, each for its own reason or field."""


async def answers(gateway: str, count: int) -> list[object]:
    """Return the answers to `asked` with those of later pages and of replays, then the refusals."""
    async with SightlineClient(gateway, timeout=SECONDS) as client:
        found, tokens = list[object](), list[str]()
        for method, given in asked(count):
            async for page in _pages(client, method, given):
                found.append((method, shown(page)))
                if method == "recommend":
                    tokens.append(page.attribution_token)
        found += [("replay", await replay(client, token)) for token in tokens]
        found += [(method, await refusal(client, method, given)) for method, given in WRONG]
    async with SightlineClient(gateway, catalog="no-such-shop", timeout=SECONDS) as client:
        found.append(("catalog", await refusal(client, "suggest", {"prefix": "mer"})))
    return found


async def _pages(
    client: SightlineClient, method: str, given: Mapping[str, Any]
) -> AsyncIterator[Any]:
    """Yield an answer, and its second page where there is one."""
    page = await getattr(client, method)(**given)
    yield page
    if token := getattr(page, "next_page_token", ""):
        yield await getattr(client, method)(**given, page_token=token)


async def refusal(client: SightlineClient, method: str, given: Mapping[str, Any]) -> object:
    """Return the error of a request. Raise AssertionError if it is answered."""
    try:
        await getattr(client, method)(**given)
    except SightlineError as error:
        fields = [(each.field, each.description) for each in error.violations]
        return error.code.name, error.reason, error.message, fields
    raise AssertionError(f"{method} of {given} was answered")


async def replay(client: SightlineClient, token: str) -> Any:
    """Return the record of an answer, with what is computed again from it."""
    return shown(MessageToDict(await replayed(client, token), preserving_proto_field_name=True))


def shown(answer: object) -> object:
    """Return an answer as dictionaries and lists, without what differs each time."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        answer = {each.name: getattr(answer, each.name) for each in dataclasses.fields(answer)}
    if isinstance(answer, Mapping):
        return {
            name: bool(value) if name in TOKENS else shown(value)
            for name, value in answer.items()
            if name not in OWN
        }
    if isinstance(answer, list | tuple):
        return [shown(each) for each in answer]
    return answer


def differences(one: object, other: object, path: str = "") -> Iterator[str]:
    """Yield where two answers differ, with both values."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differences(one[name], other[name], f"{path}.{name}")
    elif isinstance(one, list | tuple) and isinstance(other, type(one)) and len(one) == len(other):
        for place, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, theirs, f"{path}[{place}]")
    elif not _equal(one, other):
        yield f"{path}: {one!r} {other!r}"


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=TOLERANCE)
    return one == other
