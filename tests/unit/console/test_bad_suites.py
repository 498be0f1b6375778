"""Every screen before a suite that is gone, slow, empty or large, and forms whose session ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2

from servicekit.rpc import owned
from sightline_client import SightlineClient
from sightline_client.errors import Failure, make
from sightline_client.transport.calls import Calls
from sightline_console.pages.rendering import Pages
from sightline_console.screens import pairs, scene_text
from sightline_console.screens.undecided_groups import LISTS
from sightline_console.screens.visit import Console
from sightline_console.web import key
from tests import virtual_time
from tests.console_pages import SCREENS, PageForm, forms, texts
from tests.engines import free_port
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status, wine
from tests.fakes.uniform_gateway import UniformGateway, filled
from tests.unit.console.conftest import ADDRESS, HTTP, Browser, browser

AT: Mapping[str, str] = {
    "Try it": "/?text=red",
    "Why": "/why?why=wine-1&text=red",
    "Shelf": "/shelf?scene=home",
    "Synonyms": "/synonyms",
    "Import": "/import",
    "Results": "/results",
    "Shopper": "/shopper",
    "Models": "/models",
    "Health": "/health",
    "Catalogs": "/catalogs",
}
"""Screen → its address. That of a shopper is one that a form leads to."""
CALLS_NOTHING = {"Import"}
"""Screens that call the suite once a form is sent."""
MOST_CALLS, MOST_BYTES = 10, 400_000
"""Calls of one method, and bytes, of a page."""
MILLION = 1_000_000
METHODS = {
    method.input_type.full_name: method.output_type
    for service in owned.public_services()
    for method in service.methods
}
"""Name of a request → type of its answer."""
ENDED = status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_EXPIRED")


def test_each_screen_has_an_address() -> None:
    assert AT.keys() == SCREENS.keys()


@asynccontextmanager
async def consoled(target: str, seconds: float = 60.0) -> AsyncIterator[Browser]:
    """Open a console in front of a gateway."""
    async with (
        SightlineClient(target, token=key.current, timeout=seconds) as client,
        browser(Console(client, Pages(HTTP))) as web,
    ):
        yield Browser(web)


async def address(web: Browser, screen: str) -> str:
    """Return the address of a screen."""
    if screen != "Shopper":
        return AT[screen]
    found = await web.send("/shopper", {"do": "find", "kind": "user", "shopper": "ann"})
    return str(found.headers["location"])


def sound(method: Any) -> Any:
    """Answer with a message in which everything is set."""
    return filled(method.output_type, "wine")


def nothing(method: Any) -> Any:
    """Answer with a message in which nothing is set."""
    return GetMessageClass(method.output_type)()


SECONDS = 10.0
"""Seconds of a call, as by default."""
MORE = {"/shelf/compare?scene=home": pairs.SECONDS, "/models/compare?after=wine": pairs.SECONDS}
"""Pages that answer recent requests twice → further seconds."""
PATHS = [*AT.values(), *MORE, *(f"/import/undecided?list={each}" for each in LISTS)]


@pytest.mark.parametrize("hangs", [True, False])
@pytest.mark.parametrize("at", PATHS)
def test_a_page_of_a_slow_suite_comes_within_its_time(
    at: str, hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls are not answered at all, or just before their deadlines."""
    is_slow = False

    async def call(_self: Calls, _method: Any, request: Any, timeout: float) -> Any:  # noqa: ASYNC109
        if is_slow:
            await asyncio.sleep(timeout if hangs else 0.9 * timeout)
        if is_slow and hangs:
            raise make(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "slow"))
        made = filled(METHODS[request.DESCRIPTOR.full_name], "wine")
        if "next_page_token" in made.DESCRIPTOR.fields_by_name:
            made.next_page_token = "more"
        return made

    async def opened() -> tuple[httpx.Response, float]:
        nonlocal is_slow
        async with consoled("127.0.0.1:1", SECONDS) as web:
            path = await address(web, "Shopper") if at == AT["Shopper"] else at
            since, is_slow = asyncio.get_running_loop().time(), True
            return await web.open(path), asyncio.get_running_loop().time() - since

    monkeypatch.setattr(Calls, "__call__", call)
    (page, seconds), _all = virtual_time.run(opened())
    assert seconds <= 2 * SECONDS + MORE.get(at, 0.0)
    assert page.status_code in (200, 504), page.text
    assert not hangs or "takes too long" in page.text or at == AT["Import"]


async def test_a_gateway_that_is_gone_is_told_on_each_screen_with_a_way_to_try_again() -> None:
    async with consoled(f"127.0.0.1:{free_port()}") as web:
        assert (await web.open("/sign-in")).status_code == 200
        found = {screen: web.open(at) for screen, at in AT.items() if screen not in CALLS_NOTHING}
        found["Shopper"].close()
        found["Shopper"] = web.send("/shopper", {"do": "find", "shopper": "ann"})
        pages = dict(zip(found, await asyncio.gather(*found.values()), strict=True))
    for screen, page in pages.items():
        assert page.status_code == 503, screen
        assert "can&#39;t be reached now" in page.text, screen
        assert "127.0.0.1:" not in page.text, screen
        again = "Send it again" if screen == "Shopper" else "Try again"
        assert again in [each.strip() for each in texts(page.text)], screen


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_suite_that_has_nothing_is_shown(screen: str) -> None:
    with UniformGateway(nothing) as gateway:
        async with consoled(gateway.target) as web:
            page = await web.open(await address(web, screen))
    assert page.status_code == 200, page.text
    assert "None" not in texts(page.text)


@pytest.mark.parametrize("screen", SCREENS)
async def test_a_page_of_a_million_products_has_the_size_of_any_other(screen: str) -> None:
    """Answers count a million of everything, and name a further page of products."""

    def answered(method: Any) -> Any:
        found = filled(method.output_type, "wine", numbers=MILLION)
        if method.name in ("Recommend", "List", "ListProducts"):
            found.next_page_token = "more"
        return found

    with UniformGateway(answered) as gateway:
        async with consoled(gateway.target) as web:
            page = await web.open(await address(web, screen))
        calls = gateway.calls
    assert page.status_code == 200, page.text
    assert len(page.content) < MOST_BYTES
    assert not {name: count for name, count in calls.items() if count > MOST_CALLS}


async def test_a_million_products_are_counted_and_looked_through_page_by_page() -> None:
    with FakeGateway() as gateway:
        gateway.listing.product_count = MILLION
        gateway.listing.facets.add(field="brand").values.add(text="Aurora", product_count=MILLION)
        gateway.pages = MILLION
        async with consoled(gateway.target) as web:
            page = (await web.open("/?text=red")).text
            assert "1,000,000 products pass the filter" in page
            (link,) = {each for each in texts(page) if each.startswith("/?") and "page=" in each}
            assert "page=" in (await web.open(link)).text
    assert len(gateway.requests["Recommend"]) == 2


FAILURES = {
    "session ended": (ENDED, 401),
    "gone": (status(code_pb2.UNAVAILABLE, "no", reason="RETRIEVER_UNAVAILABLE"), 503),
    "slow": (status(code_pb2.DEADLINE_EXCEEDED, "slow"), 504),
    "denied": (status(code_pb2.PERMISSION_DENIED, "no", reason="ROLE_MISSING"), 403),
    "at once": (status(code_pb2.RESOURCE_EXHAUSTED, "busy", reason="QUOTA_EXHAUSTED"), 429),
}
"""Mishap of the suite → its status, and that of the page."""


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("screen", SCREENS)
async def test_what_is_typed_outlives_a_failure(screen: str, failure: str) -> None:
    """Type in each field of each form that is sent, let the suite fail, and look for it."""
    fails, (said, expected) = [False], FAILURES[failure]

    def answered(method: Any) -> Any:
        return said if fails[0] else sound(method)

    async def looked(web: Browser) -> list[PageForm]:
        fails[0] = False
        await web.send("/sign-in", {"key": "slk_mine"})
        return list(_posted((await web.open(await address(web, screen))).text))

    with UniformGateway(answered) as gateway:
        async with consoled(gateway.target) as web:
            for place in range(len(await looked(web))):
                form = (await looked(web))[place]
                typed = {name: f"typed-{name}" for name in form.typed}
                typed |= {"typed": "ann"} if form.act == "/shopper erase" else {}
                fields = {**form.fields, **typed}
                fields |= dict(each for each in form.buttons[:1] if each[0])
                fails[0] = True
                page = await web.web.post(form.action, data=fields, headers={"origin": ADDRESS})
                if page.status_code == 303:  # the suite was not asked: the next page tells it
                    continue
                assert page.status_code == expected, (form.act, page.text)
                shown = texts(page.text)
                lost = [name for name, text in typed.items() if text not in shown]
                assert not lost, (form.act, lost)


def _posted(page: str) -> Iterator[PageForm]:
    """Yield the forms of a page that change something by what is typed, one of each kind."""
    seen = set[str]()
    for form in forms(page):
        if form.method == "post" and form.typed and form.act not in seen:
            seen.add(form.act)
            yield form


IDS = ("a/b", "a?b=c&d#e", "\"'`<b>", "🍷 rot", "نبيذ أحمر", "%2F..%2f", "a+b c", "\\\\x", "..")


@pytest.mark.parametrize("product_id", IDS)
async def test_a_product_of_any_id_is_found_explained_and_pinned(product_id: str) -> None:
    with FakeGateway() as gateway:
        gateway.steered_by = 2
        gateway.recommendation.results[0].product.CopyFrom(wine(product_id, product_id))
        gateway.explanation.product.CopyFrom(wine(product_id, product_id))
        async with consoled(gateway.target) as web:
            page = (await web.open("/?text=red")).text
            (link, *_) = [each for each in texts(page) if each.startswith("/why?")]
            why = await web.open(link)
            assert why.status_code == 200
            assert gateway.requests["ExplainRecommendation"][-1].product_id == product_id
            assert product_id in texts(why.text)
            shelf = (await web.open("/shelf?scene=home")).text
            form = next(each for each in forms(shelf) if each.fields.get("subject") == product_id)
            sent = await web.web.post(
                "/shelf", data={**form.fields, "do": "pin"}, headers={"origin": ADDRESS}
            )
            assert sent.status_code == 303, sent.text
    drafted = gateway.requests["WriteSceneDraft"][-1].toml
    assert scene_text.controls(drafted)[-1]["product_ids"] == [product_id]


@pytest.mark.parametrize("name", IDS)
async def test_scenes_models_and_shoppers_of_any_name_are_asked_for_as_they_are(name: str) -> None:
    with UniformGateway(sound) as gateway:
        async with consoled(gateway.target) as web:
            for at in (
                f"/shelf?scene={quote(name, safe='')}",
                f"/models?model={quote(name, safe='')}",
                f"/models/change?do=promote-model&of={quote(name, safe='')}",
                f"/photos/{quote(name, safe='')}",
            ):
                page = await web.open(at)
                assert page.status_code in (200, 404), (at, page.text)
            sent = await web.send("/shopper", {"do": "find", "kind": "user", "shopper": name})
            page = await web.follow(sent)
            assert name in texts(page.text)
            assert quote(name, safe="") not in sent.headers["location"]
