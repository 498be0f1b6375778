"""The console with a suite that has the wines, in a real browser, as its page says."""

import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Page, expect

from sightline_client import Event, EventType, SightlineClient
from sightline_client.values.catalogs import SteeredBy
from tests.engines import ROOT, free_port
from tests.pages import Keyboard, Mouse, browsing, tab
from tests.waiting import SECONDS, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.full]

PAGE = (ROOT / "docs/merchandise/console.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TARGET = "127.0.0.1:8600"
PHOTO = "100062"
PATIENCE = SECONDS * 1000
"""Milliseconds."""


@pytest.fixture(scope="module")
def address(gateway: str, shop_is_open: None) -> Iterator[str]:
    """Start the console by the command of its page, on a free port."""
    (command,) = (text for kind, text in BLOCKS if kind == "sh" and "sightline-console" in text)
    assert TARGET in command
    port = free_port()
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command.strip().replace(TARGET, gateway)}"],
        cwd=ROOT,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "SIGHTLINE_CONSOLE_PORT": str(port),
        },
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(SECONDS) == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, address: str) -> AsyncIterator[Page]:
    async with httpx.AsyncClient() as web:
        await until(lambda: _lives(web, address))
    async with tab(browser) as opened:
        opened.set_default_timeout(PATIENCE)
        await opened.goto(address)
        yield opened


async def _lives(web: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await web.get(f"{address}/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def ask(page: Page, **fields: str) -> None:
    """Fill in the form, and send it."""
    for name, value in fields.items():
        await page.fill(f"#{name}", value)
    async with page.expect_navigation():
        await page.click("button.main")


async def test_a_wine_is_found_by_its_photo_with_its_reason_and_heat_map(page: Page) -> None:
    await page.set_input_files("#file", ROOT / f"examples/wines/images/{PHOTO}.jpg")
    await page.wait_for_selector("canvas")
    async with page.expect_navigation():
        await page.click("button.main")
    first = page.locator(".cards li").first
    await expect(first).to_contain_text(PHOTO, timeout=PATIENCE)
    await expect(first).to_contain_text("EUR", timeout=PATIENCE)
    await first.locator("img").evaluate("async (image) => { await image.decode(); }")
    async with page.expect_navigation():
        await first.locator(".why").click()
    await page.locator(".map").evaluate("async (image) => { await image.decode(); }")
    assert await page.locator(".scores .part").count()
    assert await page.locator(".cards li").count() > 1, "its neighbours"


async def test_a_missing_wine_is_explained_and_comes_back(page: Page) -> None:
    await ask(page, product=PHOTO, filter="price < 1 EUR")
    await page.fill("#missing", "100191")
    async with page.expect_navigation():
        await page.click(".missing button")
    await expect(page.locator(".steps .lost")).to_have_count(1, timeout=PATIENCE)
    await expect(page.locator("main")).to_contain_text("price < 1", timeout=PATIENCE)
    async with page.expect_navigation():
        await page.click("text=Leave the filter out.")
    assert "filter=" not in page.url
    await expect(page.locator("main")).not_to_contain_text("price < 1", timeout=PATIENCE)


async def test_a_wine_that_nobody_has_is_told(page: Page, address: str) -> None:
    await page.goto(f"{address}/why?why=%E9%85%92%2F%22%3Cb%3E")
    await expect(page.locator(".steps .lost")).to_have_count(1, timeout=PATIENCE)


async def test_facets_and_orders_are_those_of_the_catalog(page: Page) -> None:
    await page.click(".facets summary >> nth=0")
    await page.click(".facets li a >> nth=0")
    await page.wait_for_url("**filter=*")
    await page.select_option("#sort", "PRICE_RISING")
    async with page.expect_navigation():
        await page.click("button.main")
    texts = await page.locator(".cards li").all_inner_texts()
    found = [re.search(r"([\d,]+\.\d\d) EUR", each) for each in texts]
    prices = [float(each[1].replace(",", "")) for each in found if each]
    assert len(prices) > 1
    assert prices == sorted(prices)


async def test_a_wrong_filter_is_told_by_the_suite_at_its_field(page: Page) -> None:
    await page.fill("#filter", "brand < 3")
    async with page.expect_navigation():
        await page.click("button.main")
    await expect(page.locator("#filter-says.wrong")).to_be_visible(timeout=PATIENCE)
    assert await page.input_value("#filter") == "brand < 3"


async def test_results_models_and_health_are_those_of_the_suite(page: Page, address: str) -> None:
    await page.goto(f"{address}/health")
    await expect(page.locator("main")).to_contain_text("retriever", timeout=PATIENCE)
    await expect(page.locator("main")).to_contain_text("photos:", timeout=PATIENCE)
    async with page.expect_navigation():
        await page.click("nav >> text=Results")
    await expect(page.locator("h1")).to_have_text("Results", timeout=PATIENCE)
    assert not await page.locator(".loss code").count(), "no section is denied"
    async with page.expect_navigation():
        await page.click("nav >> text=Models")
    await expect(page.locator("main")).to_contain_text("active", timeout=PATIENCE)
    async with page.expect_navigation():
        await page.click("text=Train a model")
    await expect(page.locator("h1")).to_have_text("Train a model", timeout=PATIENCE)
    async with page.expect_navigation():
        await page.click("text=Leave it as it is")
    await expect(page.locator("h1")).to_have_text("Models and indexes", timeout=PATIENCE)


async def test_a_shopper_is_found_and_erased_with_a_receipt(
    page: Page, address: str, gateway: str
) -> None:
    who = "of the console/1"
    async with SightlineClient(gateway) as client:
        event = Event("of-the-console", EventType.VIEW, PHOTO, user=who)
        assert (await client.write_events([event])).failures == ()
    await page.goto(f"{address}/shopper")
    await page.fill("#shopper", who)
    async with page.expect_navigation():
        await page.click("button.main")
    assert "console" not in page.url.removeprefix(address)
    await expect(page.locator("table >> text=VIEW")).to_be_visible(timeout=PATIENCE)
    async with page.expect_download() as sent:
        await page.click("text=Download a copy of everything")
    assert PHOTO in (await (await sent.value).path()).read_text("utf-8")
    await page.click("summary:text-is('Erase this shopper')")
    await page.fill("#typed", who)
    async with page.expect_navigation():
        await page.click("text=Erase for good")

    async def is_complete() -> bool:
        await page.reload()
        return "Erased what was stored until" in await page.inner_text("main")

    await until(is_complete)
    await expect(page.locator("main")).to_contain_text("Nothing is stored", timeout=PATIENCE)


async def test_the_flows_are_there_in_chinese(page: Page) -> None:
    async with page.expect_navigation():
        await page.click("button[value=zh]")
    await ask(page, text="merlot")
    assert await page.get_attribute("html", "lang") == "zh-Hans"
    async with page.expect_navigation():
        await page.click(".why >> nth=0")
    await expect(page.locator("h1")).to_have_text("为什么", timeout=PATIENCE)
    async with page.expect_navigation():
        await page.click("button[value=en]")


DECIDED = ("console-twin-1", "console-twin-2", "console-bare")
SCENE, MISSING = "popular", "100191"
SHOPPERS = "1209683 1087895 1104940 1127562 1230487"


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: str) -> AsyncIterator[SightlineClient]:
    """Yield a client, and undo what the console has changed."""
    async with SightlineClient(gateway) as opened:
        yield opened
        await opened.update_catalog(steered_by=SteeredBy.FILES)
        await opened.delete_scene_document(SCENE)
        await opened.delete_products(["console-1", "console-2", *DECIDED])


async def press(page: Page, name: str) -> None:
    """Press a button that leads to another page."""
    async with page.expect_navigation():
        await page.get_by_role("button", name=name, exact=True).first.click()


async def first(page: Page, address: str) -> str:
    """Return the first product that a shopper gets."""
    await page.goto(f"{address}/?scene={SCENE}")
    return await page.locator(".cards li").first.inner_text()


@pytest.mark.parametrize("hand", [Mouse, Keyboard])
async def test_a_merchandisers_day(
    page: Page, address: str, client: SightlineClient, hand: type[Mouse | Keyboard]
) -> None:
    user = hand(page)
    title = (await client.get_product(MISSING)).title
    await user.follow("header a[href='/shelf']")
    await user.pick("#scene", SCENE)
    await user.follow("form:has([value=show]) button.main")
    await expect(page.locator("#by-files")).to_be_visible(timeout=PATIENCE)
    await user.follow("form:has([value=copy]) button")
    await user.follow("form:has([value=steer]) button")
    await expect(page.locator("[data-handle]")).to_have_count(12, timeout=PATIENCE)
    shelf = page.url

    # Why is a wine missing?
    await user.follow("header a[href='/']")
    await user.type("#scene", SCENE)
    await user.type("#size", "6")
    await user.follow("button.main")
    await user.type("#missing", MISSING)
    await user.follow(".missing button")
    await expect(page.locator(".steps .lost")).to_have_count(1, timeout=PATIENCE)

    # Pin it, and see the effect.
    await page.goto(shelf)
    await user.type(".missing [name=subject]", MISSING)
    await user.follow(".missing [value=pin]")
    first_card = page.locator("[data-card]").first
    await expect(first_card).to_contain_text(MISSING, timeout=PATIENCE)
    assert MISSING not in await first(page, address), "it is a draft"
    await page.goto(shelf)
    await user.follow("a[href^='/shelf/compare']")
    await user.pick("#kind", "user")
    await user.type("#shoppers", SHOPPERS)
    await user.follow("button.main")
    sides = page.locator(".sides-by-side")
    await expect(sides).not_to_have_count(0, timeout=PATIENCE)
    assert await sides.count() >= 6, "five shoppers and a visitor"
    for shopper in (await sides.all())[:6]:
        before, after = [await each.inner_text() for each in await shopper.locator("ol").all()]
        assert title in after.partition("\n")[0]
        assert title not in before

    # Plan it, and cancel that.
    await page.goto(shelf)
    await user.at("[name=at]", datetime.now(UTC) + timedelta(days=30))
    await user.follow("form:has([name=at]) button")
    planned = page.locator("section:has(> #versions)")
    await expect(planned).to_contain_text("Version 2 is published on", timeout=PATIENCE)
    assert MISSING not in await first(page, address), "its time has not come"
    await page.goto(shelf)
    await user.follow("form:has([value=cancel]) button")
    await expect(planned).not_to_contain_text("is published on", timeout=PATIENCE)

    # Publish it, and undo that.
    await user.type("form:has([name=at]) [name=comment]", "for Christmas")
    await user.follow("form:has([name=at]) button")
    await expect(page.locator("#versions + ol")).to_contain_text("for Christmas", timeout=PATIENCE)

    async def shown() -> bool:
        return MISSING in await first(page, address)

    await until(shown)
    await page.goto(shelf)
    await user.follow("#versions + ol form button")

    async def gone() -> bool:
        return not await shown()

    await until(gone)


async def test_synonyms_of_another_catalog_are_published(
    page: Page, address: str, gateway: str
) -> None:
    await page.goto(f"{address}/catalogs")
    await press(page, "rubbish")
    await page.goto(f"{address}/synonyms")
    await page.fill("#toml", "vino rosso => red wine")
    await press(page, "Save the draft")
    async with SightlineClient(gateway, catalog="rubbish") as client:
        assert not (await client.get_synonyms()).rules, "it is a draft"
        await press(page, "Publish the draft")
        assert [each.terms for each in (await client.get_synonyms()).rules] == [("vino rosso",)]
        await client.delete_scene_document("_synonyms")


async def test_a_file_is_imported_and_its_rejected_row_corrected(
    page: Page, address: str, client: SightlineClient, tmp_path: Path
) -> None:
    file = tmp_path / "wines.csv"
    file.write_text("Nummer;Bezeichnung;Preis\nconsole-1;Rotwein;12,50\nconsole-2;Weißwein;viel\n")
    await page.goto(f"{address}/import")
    await page.set_input_files("#file", file)
    await press(page, "Look at the file")
    for number, ours in enumerate(("id", "title", "price"), 1):
        await page.select_option(f"#c{number}", ours)
    await page.fill("#currency", "EUR")
    await press(page, "Show the products so")
    await expect(page.locator(".cards")).to_contain_text("12.50 EUR", timeout=PATIENCE)
    await press(page, "Import all rows")
    await expect(page.locator("#progress")).to_contain_text("has ended", timeout=PATIENCE)
    rows = await page.input_value("#rows")
    await page.fill("#rows", rows.replace("viel", "7"))
    await press(page, "Look at the corrected rows")
    await press(page, "Import all rows")
    await expect(page.locator("#progress")).to_contain_text("has ended", timeout=PATIENCE)
    assert (await client.get_product("console-2")).title == "Weißwein"


async def test_products_of_a_file_with_photos_are_decided_on(
    page: Page, address: str, client: SightlineClient, tmp_path: Path
) -> None:
    file, photos, one, other = tmp_path / "twins.csv", tmp_path / "twins.zip", *DECIDED[:2]
    file.write_text(f"id,title\n{one},Twin\n{other},Twin again\n{DECIDED[2]},Bare\n")
    # A picture that is none of the wines. Half of the hash of a symmetric one would be noise.
    pixels = Image.effect_mandelbrot((320, 240), (-2, -0.4, 0.8, 1.2), 60).convert("RGB")
    with zipfile.ZipFile(photos, "w") as made:
        for name, size in ((one, (320, 240)), (other, (280, 210))):
            content = io.BytesIO()
            pixels.resize(size).save(content, "JPEG", quality=90)
            made.writestr(f"twins/{name}.jpg", content.getvalue())
    await page.goto(f"{address}/import")
    await page.set_input_files("#file", file)
    await page.set_input_files("#photos", photos)
    await press(page, "Look at the file")
    await expect(page.locator("main")).to_contain_text("2 photos are beside", timeout=PATIENCE)
    await press(page, "Import all rows")
    await expect(page.locator("#progress")).to_contain_text("3 products stored", timeout=PATIENCE)

    await page.goto(f"{address}/import/undecided")
    bare = page.locator(".cards > li", has_text=DECIDED[2])
    pixels.rotate(90, expand=True).save(tmp_path / "bare.jpg")
    await bare.locator("[name=file]").set_input_files(tmp_path / "bare.jpg")
    async with page.expect_navigation():
        await bare.locator("[value=set]").click()
    await expect(page.locator("[role=status]")).to_be_visible(timeout=PATIENCE)
    assert len((await client.get_product(DECIDED[2])).images) == 1
    assert DECIDED[2] not in await page.locator("main").inner_text()

    twins = page.locator(".groups > li", has_text=one)

    async def found() -> bool:
        await page.goto(f"{address}/import/undecided?list=alike")
        return bool(await twins.count())

    await until(found)
    await expect(twins).to_contain_text(other, timeout=PATIENCE)
    async with page.expect_navigation():
        await twins.locator("[value=different]").click()
    await expect(twins).to_have_count(0, timeout=PATIENCE)
    await page.goto(f"{address}/import/undecided?list=different")
    await expect(twins).to_contain_text(other, timeout=PATIENCE)
    async with page.expect_navigation():
        await twins.locator("[value=again]").click()
    await page.goto(f"{address}/import/undecided?list=alike")
    async with page.expect_navigation():
        await twins.locator("[value=set]").click()
    assert (await client.get_product(other)).parent_id == one
    assert (await client.get_product(other)).title == "Twin again"
    await page.goto(f"{address}/import/undecided?list=category")
    await expect(page.locator("h1")).to_have_text("Products to decide on", timeout=PATIENCE)


async def test_every_block_of_the_page_is_used() -> None:
    words = ("sightline-console --target", "compose.console.yaml", "components/console")
    assert len(BLOCKS) == len(words)
    assert all(any(word in text for _kind, text in BLOCKS) for word in words)
