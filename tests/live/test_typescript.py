"""The snippets of the TypeScript client's page, and a page's events, with the whole suite."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.http import serving as http
from gateway.http.settings import HttpSettings
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests.npm import CLIENT, ROOT, Shop, install
from tests.pages import Pages, browsing, serving, tab
from tests.waiting import until

pytestmark = pytest.mark.when("client", "docs", "protos")

PAGE = (CLIENT / "README.md").read_text("utf-8")
SNIPPETS = [
    snippet
    for snippet in re.findall(r"^```ts\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    if "document." not in snippet
]
"""Those for Node; tests/wire/test_typescript_page.py runs the other one in a browser."""
EVENTS = (ROOT / "docs/integrate/browser-events.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8680"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = install(tmp_path_factory.mktemp("shop"))
    shutil.copy(ROOT / "examples/wines/images/100062.jpg", made.folder / "shelf.jpg")
    return made


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[Pages]:
    with serving(tmp_path_factory.mktemp("pages")) as served:
        (served.folder / "sightline-events.min.js").write_text(shop.script(), "utf-8")
        yield served


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
async def test_every_snippet_of_the_page_runs(
    number: int, shop: Shop, suite: Suite, shop_is_open: None
) -> None:
    source = shop.folder / f"snippet{number}.ts"
    source.write_text(SNIPPETS[number].replace(ADDRESS, suite.http), "utf-8")
    made = source.with_suffix(".mjs")
    esbuild = "node_modules/esbuild/bin/esbuild"
    await shop.run("node", esbuild, str(source), "--log-level=error", f"--outfile={made}")
    printed = await shop.run("node", str(made))
    if "shelf.jpg" in SNIPPETS[number]:
        assert printed.startswith("1 Origem Merlot Looks like what you showed us")
    if ".list(" in SNIPPETS[number]:
        assert re.match(r"\d+ products\n.*\d EUR$", printed, re.MULTILINE | re.DOTALL)


async def test_the_snippets_of_the_events_page_write_each_event_once(
    pages: Pages, gateway: str, client: SightlineClient, tmp_path: Path
) -> None:
    (snippet,) = re.findall(r"^```html\n(.*?)^```$", EVENTS, re.MULTILINE | re.DOTALL)
    (code,) = re.findall(r"^```js\n(.*?)^```$", EVENTS, re.MULTILINE | re.DOTALL)
    answer = await client.recommend(products=["100062"], page_size=5)
    given = {
        "attributionToken": answer.attribution_token,
        "results": [
            {"rank": each.rank, "product": {"productId": each.product.product_id}}
            for each in answer.results
        ],
    }
    settings = HttpSettings(port=0, gateway_target=gateway, origins=(pages.origin,))
    server = await http.start(settings)
    try:
        html = snippet.replace("https://reco.shop.example", f"http://127.0.0.1:{server.port}")
        address = pages.write("index.html", html)
        async with browsing() as browser, tab(browser) as page:
            visitor = ""

            async def stored() -> int:
                nonlocal visitor
                kept = await page.evaluate("localStorage['sightline.1'] ?? null")
                visitor = json.loads(kept)["visitorId"] if kept else visitor
                return (await client.purge_events(visitor=visitor or "none")).event_count

            async def sent() -> bool:
                return not json.loads(await page.evaluate("sessionStorage['sightline.1']"))[0]

            for visit in (1, 2):
                await page.goto(address)
                await page.evaluate(f"const answer = {json.dumps(given)};{code}")
                await until(sent)
                # A view for each visit; impressions, click and purchase once; a cart for each.
                assert await stored() == 5 + 1 + 1 + 2 * visit
            await page.evaluate("events.consent(false)")
            assert await page.evaluate("localStorage.length + sessionStorage.length") == 0
    finally:
        await server.stop()
