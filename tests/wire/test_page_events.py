"""The script that sends a page's events, in a real browser, against a real gateway."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from servicekit.errors import Unavailable
from sightline.common.v1 import event_pb2
from tests.fakes.gateway_wire import Suite, running
from tests.npm import ROOT, Shop, install
from tests.pages import Pages, browsing, serving, tab
from tests.waiting import until
from tests.wire.http_face import Face, face_before

MOST_BYTES = 3_000


pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.when("client", "services/gateway/src/gateway/http"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return install(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[Pages]:
    with serving(tmp_path_factory.mktemp("pages")) as served:
        (served.folder / "events.js").write_text(shop.script(), "utf-8")
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def suite() -> AsyncIterator[Suite]:
    async with running() as made:
        made.ranker.script.times_valid = True
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def face(suite: Suite, pages: Pages) -> AsyncIterator[Face]:
    async with face_before(suite, origins=(pages.origin,)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with tab(browser) as opened:
        yield opened


async def open_page(page: Page, pages: Pages, port: int, name: str = "a.html", **more: Any) -> None:
    """Open a page with `events` of a server; its errors are in `errors`."""
    given = json.dumps({"address": f"http://127.0.0.1:{port}", **more})
    script = (
        "const errors = [];"
        f"const events = sightlineEvents({{ ...{given}, onError: (each) => errors.push(each) }});"
    )
    body = f"<script src=/events.js></script><script>{script}</script>"
    await page.goto(pages.write(name, body))


def stored(suite: Suite) -> list[event_pb2.Event]:
    """Return all events that reached the ranker."""
    requests = suite.ranker.script.requests("WriteEvents")
    return [event for request in requests for event in request.events]


async def kept(page: Page) -> list[str]:
    """Return the names of all that the page's origin stores."""
    code = "[...Object.keys(localStorage), ...Object.keys(sessionStorage), document.cookie]"
    return [each for each in await page.evaluate(code) if each]


def many(count: int) -> str:
    """Return code that consents, and sends views of so many products."""
    view = "events.send('view', { productId: `p${i}` })"
    return f"events.consent(true); for (let i = 0; i < {count}; i++) {view}"


async def test_the_script_is_small(shop: Shop) -> None:
    assert len(shop.script().encode()) <= MOST_BYTES


async def test_nothing_is_sent_or_kept_before_consent(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    sent: list[str] = []
    page.on("request", lambda each: sent.append(each.url))
    await open_page(page, pages, face.port)
    await page.evaluate("events.send('view', { productId: 'p1' })")
    await page.evaluate("events.flush()")
    await open_page(page, pages, face.port, "b.html")
    assert all(url.startswith(pages.origin) for url in sent), sent
    assert await kept(page) == []
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p2' })")
    await until(lambda: stored(suite))
    assert [each.product_id for each in stored(suite)] == ["p2"]


async def test_events_have_what_the_page_gave_and_one_visitor(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port)
    await page.evaluate(
        """
        events.consent(true);
        const shown = { productId: "p1", position: 3, attributionToken: "t" };
        events.send("impression", { ...shown, scene: "home" });
        events.send("click", shown);
        events.send("view", { productId: 100062 });
        events.send("add_to_cart", { productId: "p1", quantity: 2 });
        events.send("purchase", { productId: "p1", quantity: 2, orderId: "o-1",
          unitPrice: { currencyCode: "EUR", units: "12", nanos: 500000000 } });
        events.send("search", { query: "red wine" });
        """
    )
    await until(lambda: len(stored(suite)) == 6)
    impression, click, view, cart, purchase, search = stored(suite)
    kinds = [event_pb2.EventType.Name(each.type)[11:] for each in stored(suite)]
    assert kinds == ["IMPRESSION", "CLICK", "VIEW", "ADD_TO_CART", "PURCHASE", "SEARCH"]
    assert (impression.position, impression.scene) == (3, "home")
    assert (view.product_id, view.attribution_token) == ("100062", "")
    assert (purchase.order_id, purchase.unit_price.nanos) == ("o-1", 500_000_000)
    assert search.query == "red wine"
    tokens = [each.attribution_token for each in (click, cart, purchase)]
    assert tokens == ["t", "t", "t"], "those of the click"
    visitor = await page.evaluate("events.visitor()")
    assert {each.shopper.visitor_id for each in stored(suite)} == {visitor["visitorId"]}
    assert visitor["visitorProof"] is not None
    assert len({each.event_id for each in stored(suite)}) == 6
    assert all(each.event_time.seconds > 1_700_000_000 for each in stored(suite))

    await open_page(page, pages, face.port, "product.html")
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p1' })")
    await until(lambda: len(stored(suite)) == 7)
    assert stored(suite)[-1].shopper.visitor_id == visitor["visitorId"]
    assert stored(suite)[-1].attribution_token == "t"


async def test_events_are_sent_in_batches(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port, shopper={"userId": "ann"})
    await page.evaluate(many(70))
    await until(lambda: len(stored(suite)) == 70)
    sizes = [len(each.events) for each in suite.ranker.script.requests("WriteEvents")]
    assert sizes == [30, 30, 10]
    assert [each.product_id for each in stored(suite)] == [f"p{i}" for i in range(70)]
    assert {each.shopper.user_id for each in stored(suite)} == {"ann"}


async def test_withdrawn_consent_stops_and_forgets(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port)
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p1' })")
    await until(lambda: stored(suite))
    assert await kept(page)
    first = await page.evaluate("events.visitor().visitorId")
    await page.evaluate("events.send('view', { productId: 'p2' }); events.consent(false)")
    assert await kept(page) == []
    assert await page.evaluate("events.visitor() ?? null") is None
    await page.evaluate("events.send('view', { productId: 'p3' }); events.flush()")
    await open_page(page, pages, face.port, "b.html")
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p4' })")
    await until(lambda: len(stored(suite)) == 2)
    assert [each.product_id for each in stored(suite)] == ["p1", "p4"]
    assert stored(suite)[1].shopper.visitor_id != first


async def test_what_was_withdrawn_is_not_sent_after_a_new_consent(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port)
    await page.evaluate(
        """
        events.consent(true);
        events.send("view", { productId: "p1" });
        const flushed = events.flush();
        events.consent(false);
        events.consent(true);
        events.send("view", { productId: "p2" });
        flushed.then(() => events.flush());
        """
    )
    await until(lambda: stored(suite))
    assert [each.product_id for each in stored(suite)] == ["p2"]
    assert await page.evaluate("errors") == []


async def test_what_an_earlier_page_kept_is_forgotten_without_consent(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port)
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p1' })")
    await until(lambda: stored(suite))
    await open_page(page, pages, face.port, "b.html")
    await page.evaluate("events.consent(false)")
    assert await kept(page) == []


async def test_what_waits_is_sent_when_the_page_ends(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port)
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p0' })")
    await until(lambda: stored(suite))
    await page.evaluate(
        """
        events.send("view", { productId: "p1" });
        location.href = "about:blank";
        """
    )
    # An event that is under way as the page ends is sent again, with its id.
    await until(lambda: len({event.event_id for event in stored(suite)}) == 2)


async def test_events_of_a_page_that_could_not_send_are_sent_by_the_next(
    page: Page, pages: Pages, suite: Suite
) -> None:
    async with face_before(suite, origins=(pages.origin,)) as first:
        port = first.port
        await open_page(page, pages, port, shopper={"visitorId": "v"})
    await page.evaluate(
        "events.consent(true); events.send('view', { productId: 'p1' }); events.flush()"
    )
    await page.wait_for_function("errors.length")
    queue = await page.evaluate("sessionStorage['sightline.1']")
    async with face_before(suite, port=port, origins=(pages.origin,)):
        await open_page(page, pages, port, "b.html", shopper={"visitorId": "v"})
        await page.evaluate("events.consent(true)")
        await until(lambda: stored(suite))
    (event,) = {each.event_id for each in stored(suite)}
    assert event in queue


async def test_events_wait_for_a_gateway_that_is_down(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port, shopper={"visitorId": "v"})
    suite.ranker.script.errors["WriteEvents"] = Unavailable("busy", reason="STORE_BUSY")
    await page.evaluate(many(400))
    await page.wait_for_function("errors.length >= 2")
    tried = suite.ranker.script.requests("WriteEvents")
    assert {each.events[0].event_id for each in tried} == {tried[0].events[0].event_id}
    suite.ranker.script.seen.clear()
    del suite.ranker.script.errors["WriteEvents"]
    await until(lambda: len(stored(suite)) >= 300)
    await page.evaluate("events.flush()")
    assert [each.product_id for each in stored(suite)] == [f"p{i}" for i in range(100, 400)]


async def test_a_bad_event_does_not_lose_the_others(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port, shopper={"visitorId": "v"})
    await page.evaluate(
        """
        events.consent(true);
        events.send("view", { productId: "p1" });
        events.send("view", { productId: "p2", quantity: "two" });
        events.send("view", { productId: "p3", colour: "red" });
        events.send("view", { productId: "p4" });
        """
    )
    await until(lambda: len(stored(suite)) == 2)
    assert [each.product_id for each in stored(suite)] == ["p1", "p4"]
    await page.wait_for_function("errors.length === 2")
    reasons = await page.evaluate("errors.map((each) => each.fieldViolations[0].field)")
    assert [each.rpartition(".")[2] for each in reasons] == ["quantity", "colour"]
    assert await page.evaluate("JSON.parse(sessionStorage['sightline.1'])[0].length") == 0


async def test_an_event_that_no_page_could_send_does_not_hold_up_the_others(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await open_page(page, pages, face.port, shopper={"visitorId": "v"})
    await page.evaluate(
        """
        events.consent(true);
        events.send("search", { query: "x".repeat(70_000) });
        events.send("view", { productId: "p1" });
        """
    )
    await until(lambda: stored(suite))
    assert [each.product_id for each in stored(suite)] == ["p1"]
    assert await page.evaluate("errors") == ["the event is too large"]


async def test_a_clock_that_is_ahead_loses_no_event(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    suite.ranker.script.times_valid = False  # of the last event of a call
    await open_page(page, pages, face.port, shopper={"visitorId": "v"})
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p1' })")
    await until(lambda: len(stored(suite)) == 2)
    first, second = stored(suite)
    assert first.HasField("event_time")
    assert not second.HasField("event_time")
    assert first.event_id == second.event_id


async def test_repeated_clicks_impressions_and_purchases_have_the_same_ids(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    code = """
    events.consent(true);
    events.send("impression", { productId: "p1", attributionToken: "t1" });
    events.send("impression", { productId: "p1", attributionToken: "t2" });
    events.send("impression", { productId: "p2", attributionToken: "t1" });
    events.send("click", { productId: "p1", attributionToken: "t1" });
    events.send("purchase", { productId: "p1", orderId: "o-1" });
    events.send("purchase", { productId: "p1", orderId: "o-2" });
    events.send("view", { productId: "p1", eventId: "mine" });
    events.send("view", { productId: "p1" });
    """
    ids: list[list[str]] = []
    for name in ("a.html", "b.html"):
        await open_page(page, pages, face.port, name, shopper={"visitorId": "v"})
        await page.evaluate(code)
        await until(lambda: len(stored(suite)) == 8)
        ids.append([each.event_id for each in stored(suite)])
        suite.ranker.script.seen.clear()
    first, second = ids
    assert len(set(first)) == 8
    assert first[:7] == second[:7]
    assert first[7] != second[7]
    assert all(len(each.encode()) <= 128 for each in first)


async def test_a_page_has_a_key_with_one_role(
    page: Page, pages: Pages, shop: Shop, tmp_path: Path
) -> None:
    program = str(ROOT / ".venv/bin/sightline")
    file = ("--file", str(tmp_path / "keys.toml"))
    made = await shop.run(program, "keys", "new", "--name", "page", "--roles", "events", *file)
    key = made.strip()
    async with (
        running(keys_file=tmp_path / "keys.toml") as suite,
        face_before(suite, origins=(pages.origin,)) as face,
    ):
        suite.ranker.script.times_valid = True
        await open_page(page, pages, face.port, "without.html")
        await page.evaluate("events.consent(true); events.send('view', { productId: 'p1' })")
        await page.wait_for_function("errors.length")
        assert "TOKEN_MISSING" in json.dumps(await page.evaluate("errors"))
        await page.evaluate("events.consent(false)")
        await open_page(page, pages, face.port, "with.html", key=key)
        await page.evaluate("events.consent(true); events.send('view', { productId: 'p2' })")
        await until(lambda: stored(suite))
        assert [each.product_id for each in stored(suite)] == ["p2"]


async def test_a_browser_that_stores_nothing_still_sends(
    page: Page, pages: Pages, face: Face, suite: Suite
) -> None:
    await page.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage'])"
        " Object.defineProperty(self, name, { get() { throw new Error('denied'); } });"
    )
    await open_page(page, pages, face.port)
    await page.evaluate("events.consent(true); events.send('view', { productId: 'p1' })")
    await until(lambda: stored(suite))
    await page.evaluate("events.consent(false)")
