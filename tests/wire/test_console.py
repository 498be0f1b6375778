"""The console in a real browser, in front of a gateway with canned answers."""

import asyncio
import io
import itertools
import os
import re
import sys
import tomllib
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import pytest_asyncio
from google.rpc import code_pb2
from PIL import Image
from playwright.async_api import Browser, BrowserContext, Locator, Page

from sightline.common.v1 import answer_pb2, job_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from tests import pages
from tests.console_pages import SCREENS as OF_SCREENS
from tests.engines import free_port
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status, wine
from tests.fakes.gateway_reports import ORDER, VERDICT, experiment_report, online_report
from tests.pages import browsing
from tests.waiting import SECONDS, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.when("client", "console", "protos", "tests/wire"),
]

SCREENS = {
    "try it": "/",
    "a wrong filter": "/?filter=price+%3C",
    "facets and degraded parts": "/?text=red",
    "why, without a product": "/why",
    "why, absent": "/why?why=wine-2&text=red",
    "results": "/results",
    "shopper, not chosen": "/shopper",
    "a shopper": "",
    "models and indexes": "/models",
    "a change": "/models/change?do=promote-model&of=m1",
    "two models": "/models/compare?after=m1&scene=home",
    "two models, for shoppers": "",
    "health": "/health",
    "catalogs": "/catalogs",
    "shelf": "/shelf?scene=home",
    "shelf, with a wrong filter": "/shelf?scene=home&filter=price+%3C",
    "before and after": "",
    "synonyms": "/synonyms",
    "two drafts": "",
    "steered by files": "",
    "import": "/import",
    "columns of a file": "",
    "rejected rows": "",
    "products without a photo": "/import/undecided",
    "doubtful categories": "/import/undecided?list=category",
    "one picture": "/import/undecided?list=alike",
    "different products": "/import/undecided?list=different",
    "sign in": "/sign-in?ended=1",
    "not found": "/nowhere",
}
"""Name → address; empty: `BY_FORM` leads there. All looks at pages are at each of them."""
WITHOUT_PAGE = {"/import/{task_id}/rejected"}
"""Paths of screens that are files."""
SHOPPER = "a/b 'Zoë'"
LANGUAGES = {"en": "en-GB", "zh": "zh-CN"}


def photo(width: int = 300, height: int = 200, *, noise: bool = False) -> bytes:
    """Return a photo; with noise it can't be compressed."""
    pixels = np.full((height, width, 3), 200, np.uint8)
    if noise:
        pixels = np.random.default_rng(1).integers(0, 256, pixels.shape, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


PIN = '[[controls]]\nname = "hero"\nkind = "pin"\nproduct_ids = ["wine-7"]\nplace = 1\n'


def steer(fake: FakeGateway) -> None:
    """Steer the catalog by the record, with a draft that the check refuses."""
    fake.steered_by, fake.scene.number, fake.scene.toml = 2, 1, "views = 1\n"
    fake.scene_document.versions[0].author = "ann"
    fake.scene_document.draft.toml = PIN
    fake.checked_scene.problems.add(path="controls", text="[0].place is taken by other")
    figures = {
        name: {"value": 1, "lower": 0.5, "upper": 2} for name in ("before", "after", "change")
    }
    fake.scene_diff.CopyFrom(
        admin.DiffSceneResponse(
            answer_count=7,
            changed_count=1,
            answers=[{"before_product_ids": ["wine-1", "x"], "after_product_ids": ["x", "wine-1"]}],
            expected=[{"name": "clicks", **figures}],
        )
    )


def undecided(fake: FakeGateway) -> None:
    """Leave products to decide on: one without a photo, one in doubt, two of one picture, and two
    that are different."""
    bare, doubted = wine("bare/1", f"{'Long ' * 12}title"), wine("doubted", "Doubted")
    bare.ClearField("images")
    doubted.category_doubt.probability = 0.02
    doubted.category_doubt.instead.probability = 0.9
    doubted.category_doubt.instead.category_path.extend(["Juice", "Red"])
    fake.products |= {each.product_id: each for each in (bare, doubted, wine("wine-b", "Again"))}
    fake.recommendation.results[0].collapsed_product_ids.append("wine-b")
    fake.distinct = {("bare/1", "doubted")}


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as fake:
        fake.photo = photo()
        results = fake.recommendation.results
        for rank in range(2, 7):
            results.add().CopyFrom(results[0])
            results[-1].rank = rank
            results[-1].product.CopyFrom(wine(f"wine/{rank}", f"{'Long ' * 12}title {rank}"))
        undecided(fake)
        values = fake.listing.facets.add(field="brand").values
        values.add(text="Aurora", product_count=7, filter_text='brand = "Aurora"')
        fake.recommendation.no_good_match = True
        fake.online_report = online_report()
        for number, scene in itertools.product(range(14), ("home", "cart")):
            day = fake.online_report.days.add(scene=scene, answer_count=9, impression_count=80)
            day.start_time.FromSeconds(86_400 * number)
            day.degraded_answer_count, day.click_count, day.impression_estimate = 2, number, 80.0
            day.degradations.add(cause=answer_pb2.Degradation.CAUSE_STAGE_DEADLINE, answer_count=2)
            day.revenues.add(currency_code="EUR", amount=1234.5)
        fake.experiments.experiments.add().CopyFrom(ORDER)
        fake.experiment_report = experiment_report(VERDICT.VERDICT_BETTER)
        fake.job_states = fake.job_states[:1]
        fake.status.scene_problems.add(path="home.toml", text="plce is unknown")
        steer(fake)
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(gateway: FakeGateway) -> AsyncIterator[str]:
    """Start the command, and stop it as a supervisor does."""
    port = free_port()
    arguments = ("--target", gateway.target, "--port", str(port))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sightline_console", *arguments, stderr=asyncio.subprocess.PIPE
    )
    found = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as web:
            await until(lambda: _lives(web, found))
        yield found
    finally:
        process.terminate()
        _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == 0, said.decode()
    assert not said, said.decode()


async def _lives(web: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await web.get(f"{address}/healthz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as opened:
        yield opened


@dataclass
class Watched:
    """A tab, with what it asked for and what went wrong on it."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        """Open a page of the console."""
        await self.page.goto(f"{self.address}{path}")


@asynccontextmanager
async def tab(browser: Browser, address: str, **options: Any) -> AsyncIterator[Watched]:
    """Open a tab. AssertionError for a request to another host, an error of a script, and what the
    page's policy forbids."""
    context: BrowserContext = await browser.new_context(**options)
    watched = Watched(await context.new_page(), address)
    context.on("request", lambda request: watched.requests.append(request.url))
    watched.page.on("pageerror", lambda error: watched.trouble.append(str(error)))
    watched.page.on("console", lambda said: watched.trouble.append(said.text))
    try:
        yield watched
    finally:
        await context.close()
    elsewhere = [url for url in watched.requests if not url.startswith(f"{address}/")]
    assert not elsewhere
    # A browser says so of every page with another status than 200.
    assert not [each for each in watched.trouble if "Failed to load resource" not in each]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script of axe."""
    return pages.axe(tmp_path_factory.mktemp("axe"))


def _looks() -> Iterator[Any]:
    """Yield a language, a theme and a width, of which each two are together in one that is not left
    to `make full`."""
    for way in itertools.product(("en", "zh"), ("light", "dark"), (1280, 390)):
        is_rare = (way[0] == "zh") ^ (way[1] == "dark") ^ (way[2] == 390)
        marks = (pytest.mark.full,) if is_rare else ()
        yield pytest.param(*way, marks=marks, id="-".join(map(str, way)))


@pytest.mark.parametrize(("language", "theme", "width"), [*_looks()])
async def test_every_screen_is_accessible_and_fits(
    browser: Browser,
    address: str,
    gateway: FakeGateway,
    axe: str,
    language: str,
    theme: Any,
    width: int,
) -> None:
    options = {
        "locale": LANGUAGES[language],
        "color_scheme": theme,
        "viewport": {"width": width, "height": 800},
    }
    async with tab(browser, address, **options) as watched:
        await watched.page.add_init_script(axe)
        for name in SCREENS:
            await show(watched, gateway, name)
            for closed in await watched.page.locator("summary").all():
                await closed.click()
            spoken = await watched.page.get_attribute("html", "lang")
            assert spoken == ("zh-Hans" if language == "zh" else "en")
            assert await watched.page.evaluate("document.documentElement.scrollWidth") <= width
            serious = await watched.page.evaluate(pages.SERIOUS)
            assert not serious, (name, serious)


async def show(watched: Watched, gateway: FakeGateway, name: str) -> None:
    """Open a page of the table."""
    if name in BY_FORM:
        await BY_FORM[name](watched, gateway)
    else:
        await watched.open(SCREENS[name])


async def test_every_screen_fits_at_twice_its_size(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    """A browser's zoom of 200% halves the width of a window in CSS pixels."""
    window, seen = {"width": 1280 // 2, "height": 800 // 2}, set[str]()
    async with tab(browser, address, viewport=window, device_scale_factor=2) as watched:
        for name in SCREENS:
            await show(watched, gateway, name)
            seen.add(urlsplit(watched.page.url).path)
            wide = await watched.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= window["width"], name
            cut = await watched.page.evaluate(CUT)
            assert not cut, (name, cut)
    paths = {each for some in OF_SCREENS.values() for each in some}
    missing = {each for each in paths - WITHOUT_PAGE - seen if not _is_seen(each, seen - paths)}
    assert not missing, "name a page of each path in SCREENS"


def _is_seen(path: str, seen: set[str]) -> bool:
    return any(
        re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)), each) for each in seen
    )


async def test_every_screen_shows_the_same_without_scripts(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    """Beside what only a script can do."""
    shown: list[dict[str, set[str]]] = []
    for scripts in (True, False):
        found = dict[str, set[str]]()
        async with tab(browser, address, java_script_enabled=scripts) as watched:
            for name in SCREENS:
                await show(watched, gateway, name)
                text = await watched.page.inner_text("main")
                found[name] = {line.strip() for line in text.splitlines()}
        shown.append(found)
    for name, lines in shown[0].items():
        assert lines - shown[1][name] <= {"⠿"}, name
        assert len(shown[1][name]) > 1, name


CUT = """[...document.querySelectorAll("main button, main a.button, nav a")]
.filter((each) => each.checkVisibility() && !each.closest("table")
  && (each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "visible"
  || each.getBoundingClientRect().right > innerWidth + 1))
.map((each) => each.outerHTML.slice(0, 120))"""
"""Buttons whose text is cut, or that are beyond the edge of the window. Tables scroll apart."""


PICTURED = (
    *("sign in", "catalogs", "synonyms", "try it", "why, absent", "shelf", "before and after"),
    *("import", "products without a photo", "results", "a shopper", "models and indexes", "health"),
)
"""Pages whose looks are compared."""
NARROW = [each for each in PICTURED if each not in ("import", "products without a photo")]
"""Pages of which fonts move little on a phone, too."""
LOOKS: Mapping[str, Any] = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


@pytest.mark.parametrize(
    ("name", "look"),
    [*itertools.product(PICTURED, ("light", "dark")), *itertools.product(NARROW, ("phone",))],
)
async def test_a_page_looks_as_it_did(
    browser: Browser, address: str, gateway: FakeGateway, name: str, look: str
) -> None:
    """RENEW_PICTURES=1 stores what is seen, to be looked at and committed."""
    async with tab(browser, address, **LOOKS[look]) as watched:
        await show(watched, gateway, name)
        seen = _small(await watched.page.screenshot())
        stored = PICTURES / f"{re.sub('[^a-z]+', '-', name)}-{look}.png"
        if os.environ.get("RENEW_PICTURES"):
            seen.save(stored)
        with Image.open(stored) as former:
            assert _difference(seen, former) < MOST_DIFFERENCE
        await watched.page.evaluate("document.body.style.fontFamily = 'serif'")
        serif = _small(await watched.page.screenshot())
        assert _difference(serif, seen) < MOST_DIFFERENCE  # another font is no other layout
        await watched.page.evaluate("document.querySelector('link[rel=stylesheet]').remove()")
        plain = _small(await watched.page.screenshot())
        assert _difference(plain, seen) > 2 * MOST_DIFFERENCE  # a lost style is seen


PICTURES = Path(__file__).parent / "pictures"
MOST_DIFFERENCE = 3.0
"""Mean difference of values from 0 to 255."""


def _small(png: bytes) -> Image.Image:
    """Return a picture in which lines of text are grey: fonts differ between machines."""
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("L").reduce(8)


def _difference(one: Image.Image, other: Image.Image) -> float:
    pixels = (np.asarray(each, np.float64) for each in (one, other))
    return float(np.abs(np.subtract(*pixels)).mean())


async def find_shopper(watched: Watched, _gateway: FakeGateway) -> None:
    """Open the page of a shopper, which no address names."""
    await watched.open("/shopper")
    await watched.page.fill("#shopper", SHOPPER)
    await watched.page.click("button.main")
    await watched.page.wait_for_url("**/shopper?of=*")


async def compare(watched: Watched, _gateway: FakeGateway) -> None:
    """Open the comparison of two shoppers, which no address names."""
    await watched.open("/shelf/compare?scene=home")
    await watched.page.fill("#shoppers", "ann ben")
    await watched.page.click("button.main")
    await watched.page.wait_for_url("**/shelf/compare?*group=*")


async def compare_models(watched: Watched, _gateway: FakeGateway) -> None:
    """Open the comparison of two models for two shoppers."""
    await watched.open("/models/compare?after=m1&scene=home")
    await watched.page.fill("#shoppers", "ann Zoë")
    await watched.page.click("button.main")
    await watched.page.wait_for_url("**/models/compare?*group=*")


async def two_drafts(watched: Watched, gateway: FakeGateway) -> None:
    """Open the page that merges a draft with that of another person."""
    await watched.open("/shelf?scene=home")
    await watched.page.fill("#toml", f"views = 9\n{PIN}")
    gateway.fail("WriteSceneDraft", status(code_pb2.ABORTED, "changed", reason="ETAG_MISMATCH"))
    await watched.page.click("#toml ~ button")
    await watched.page.wait_for_selector(".hunk")


async def by_files(watched: Watched, gateway: FakeGateway) -> None:
    """Open the shelf of a catalog that files steer."""
    gateway.steered_by = 1
    await watched.open("/shelf?scene=home")
    gateway.steered_by = 2


async def columns(watched: Watched, _gateway: FakeGateway) -> None:
    """Open the columns of a file."""
    rows = b"Nr;Name;Preis;Farbe\nw1;Rot;12,50;rot\nw2;Other;7;\n"
    await watched.open("/import")
    file = {"name": "wines.csv", "mimeType": "text/csv", "buffer": rows}
    await watched.page.set_input_files("#file", file)  # type: ignore[arg-type]
    async with watched.page.expect_navigation():
        await watched.page.click("button.main")
    await watched.page.fill("#currency", "EUR")
    async with watched.page.expect_navigation():
        await watched.page.click(".ask button")


async def rejected_rows(watched: Watched, gateway: FakeGateway) -> None:
    """Open the end of an import of which a row was rejected."""
    gateway.refused["w2"] = status(code_pb2.INVALID_ARGUMENT, "bad", reason="PRODUCT_INVALID")
    await columns(watched, gateway)
    async with watched.page.expect_navigation():
        await watched.page.click("button.main")

    async def ended() -> bool:
        await watched.page.reload()
        return await watched.page.locator("#rows").count() > 0

    await until(ended)
    del gateway.refused["w2"]
    assert gateway.products.pop("w1").title == "Rot"


BY_FORM: Mapping[str, Callable[[Watched, FakeGateway], Awaitable[None]]] = {
    "a shopper": find_shopper,
    "before and after": compare,
    "two models, for shoppers": compare_models,
    "two drafts": two_drafts,
    "steered by files": by_files,
    "columns of a file": columns,
    "rejected rows": rejected_rows,
}
"""Pages that a form leads to."""


async def test_pages_in_chinese_have_no_english_words_of_ours(
    browser: Browser, address: str
) -> None:
    async with tab(browser, address, locale="zh-CN") as watched:
        for path in (
            *("/", "/why", "/shelf?scene=home", "/import"),
            *("/results", "/shopper", "/models", "/models/compare", "/sign-in", "/nowhere"),
            *("/catalogs", "/synonyms", "/import/undecided", "/import/undecided?list=category"),
        ):
            await watched.open(path)
            text = await watched.page.inner_text("body")
            assert not re.search(r"\b(Photo|Filter|Shopper|Products|Why|Sign in|Key)\b", text)


async def test_a_request_is_made_by_keys_alone(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    async with tab(browser, address) as watched:
        page = watched.page
        await watched.open("/")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.focus("#text")
        await page.keyboard.type("merlot")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/?text=merlot*")
        assert gateway.requests["Recommend"][-1].signals[0].text == "merlot"
        await page.focus(".why >> nth=0")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/why?*")
        assert await page.input_value("#why") == "wine-1"


async def test_two_models_are_compared_by_keys_alone_and_without_scripts(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    async with tab(browser, address, java_script_enabled=False) as watched:
        page = watched.page
        await watched.open("/models?model=m1")
        await page.focus("a[href*='/models/compare']")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/models/compare?after=m1")
        await page.focus("#before")
        await page.keyboard.press("ArrowDown")
        await page.focus("#shoppers")
        await page.keyboard.type(f"ann {SHOPPER.split(maxsplit=1)[0]}")
        await page.focus("button.main")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/models/compare?before=m0&after=m1*")
        assert "ann" not in page.url
        asked = gateway.requests["DiffScene"][-3:]
        assert {(each.current_model_version, each.model_version) for each in asked} == {
            ("m0", "m1")
        }
        assert sorted(each.shopper.visitor_id for each in asked) == ["", "a/b", "ann"]
        assert await page.locator("ol.side").count() == 6
        assert "1 of 7 answers would change" in await page.inner_text("main")


async def test_a_running_job_shows_its_progress_and_keeps_the_focus(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    job = gateway.job_states[0]
    async with tab(browser, address) as watched:
        page = watched.page
        await watched.open("/models")
        await page.focus("#jobs a[href*=cancel-job]")
        job.done = 2
        try:
            await page.wait_for_selector("#jobs td:has-text('2 of 2')")
            focused = await page.evaluate("document.activeElement.getAttribute('href')")
            assert "cancel-job" in focused
            job.state = job_pb2.Job.STATE_SUCCEEDED
            await page.wait_for_selector("#jobs:not([data-again])")
            assert await page.locator("#jobs a[href*=cancel-job]").count() == 0
        finally:
            job.done, job.state = 1, job_pb2.Job.STATE_RUNNING


async def test_changes_are_made_by_keys_alone(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    async with tab(browser, address) as watched:
        page = watched.page
        await watched.open("/models")
        await page.focus("a[href*=promote-model]")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/models/change?*")
        await page.focus("button.main")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/models?done=promote-model")
        assert gateway.requests["PromoteModel"][-1].model_version == "m1"
        await find_shopper(watched, gateway)
        await page.focus("summary:text-is('Erase this shopper')")
        await page.keyboard.press("Enter")
        await page.focus("#typed")
        await page.keyboard.type(SHOPPER)
        await page.keyboard.press("Enter")
        await page.wait_for_function("!document.querySelector('#typed').value")
        assert gateway.requests["EraseUser"][-1].shopper.user_id == SHOPPER


async def press(page: Page, button: str) -> None:
    """Press a button by the keyboard, and wait for the page that it leads to."""
    await page.focus(button)
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def test_products_are_decided_on_by_keys_alone(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    async with tab(browser, address) as watched:
        page = watched.page
        await watched.open("/import")
        await press(page, "main a[href='/import/undecided']")
        await press(page, "a:text-is('Doubtful category')")
        await page.focus("[name=typed]")
        await page.keyboard.type("Wine > Rosé")
        async with page.expect_navigation(url="**done=1"):
            await page.keyboard.press("Enter")
        (update,) = gateway.requests["UpdateProducts"][-1].updates
        assert [*update.product.category_path] == ["Wine", "Rosé"], "not what is proposed"
        await press(page, "a:text-is('Without a photo')")
        await page.focus("[name=typed]")
        await page.keyboard.type("https://shop.example/1.jpg")
        async with page.expect_navigation(url="**done=1"):
            await page.keyboard.press("Enter")
        (update,) = gateway.requests["UpdateProducts"][-1].updates
        assert (update.product.product_id, update.product.images[0].uri) == (
            *("bare/1", "https://shop.example/1.jpg"),
        )
        await press(page, "a:text-is('The same picture')")
        await press(page, "[value=different]")
        assert ("wine-1", "wine-b") in gateway.distinct
        await press(page, "a:text-is('Different products')")
        await press(page, "[value=again]")
        await press(page, "a:text-is('The same picture')")
        await press(page, "[value=set]")
        (update,) = gateway.requests["UpdateProducts"][-1].updates
        assert (update.product.product_id, update.product.parent_id) == ("wine-b", "wine-1")
        assert "No two of" in await page.inner_text("main")
    undecided(gateway)


async def test_photos_beside_a_file_are_imported_by_keys_alone(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    rows = b"id,title,images\nk1,One,k1.jpg\nk2,Two,k2.jpg|gone.jpg\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("wines/k1.jpg", photo())
    async with tab(browser, address) as watched:
        page = watched.page
        await watched.open("/import")
        table = {"name": "wines.csv", "mimeType": "text/csv", "buffer": rows}
        await page.set_input_files("#file", table)
        single = {"name": "k2.jpg", "mimeType": "image/jpeg", "buffer": photo(200)}
        files = [
            {"name": "k.zip", "mimeType": "application/zip", "buffer": packed.getvalue()},
            single,
        ]
        await page.set_input_files("#photos", files)
        await press(page, "button.main")
        assert "2 photos are beside the file." in await page.inner_text("main")
        assert "'gone.jpg' is not among the photos" in await page.inner_text("main")
        # A zip with a path upwards is told, and file and photos stay.
        hostile = io.BytesIO()
        with zipfile.ZipFile(hostile, "w") as made:
            made.writestr("../../k9.jpg", b"x")
        zipped = {"name": "h.zip", "mimeType": "application/zip", "buffer": hostile.getvalue()}
        await page.set_input_files("#photos", zipped)
        await press(page, "button:text-is('Take these photos')")
        assert "h.zip: ../../k9.jpg is no path of a photo" in await page.inner_text("[role=alert]")
        assert "2 photos are beside the file." in await page.inner_text("main")
        await press(page, "button.main")
        await page.wait_for_selector("#rows")
    assert gateway.products["k1"].images[0].content == photo()
    assert "k2" not in gateway.products
    gateway.products.pop("k1")


async def test_a_photo_is_cropped_by_mouse_touch_and_keys(
    browser: Browser, address: str, gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    async with tab(browser, address, has_touch=True) as watched:
        page = watched.page
        await watched.open("/")
        await page.set_input_files("#file", tmp_path / "a.jpg")
        frame = page.locator("[data-frame]")
        await page.wait_for_selector("canvas")
        await frame.scroll_into_view_if_needed()
        box = await frame.bounding_box()
        assert box is not None

        def at(x: float, y: float) -> tuple[float, float]:
            assert box is not None
            return box["x"] + x * box["width"], box["y"] + y * box["height"]

        await page.mouse.move(*at(0.2, 0.1))
        await page.mouse.down()
        await page.mouse.move(*at(0.6, 0.5), steps=4)
        await page.mouse.up()
        assert await sides(page) == pytest.approx([20, 10, 60, 50], abs=1)
        # By keys: one to the right, one wider.
        await page.focus("[data-part]")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Shift+ArrowRight")
        assert await sides(page) == pytest.approx([21, 10, 62, 50], abs=1)
        # By touch, from within the rectangle: it moves.
        touch = await page.context.new_cdp_session(page)
        for kind, where in (
            ("touchStart", (0.4, 0.3)),
            ("touchMove", (0.5, 0.4)),
            ("touchEnd", ()),
        ):
            points = [dict(zip("xy", at(*where), strict=True))] if where else []
            await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert await sides(page) == pytest.approx([31, 20, 72, 60], abs=1.5)
        await page.click("button.main")
        await page.wait_for_selector("[data-frame] img")
        (signal,) = gateway.requests["Recommend"][-1].signals
        assert [signal.box.left, signal.box.bottom] == pytest.approx([0.31, 0.6], abs=0.02)


async def sides(page: Page) -> list[float]:
    """Return the edges of the part, in percent."""
    names = ("left", "top", "right", "bottom")
    return [float(await page.input_value(f"[name={name}]")) for name in names]


DROPPED = """
async ([name, bytes]) => {
  const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(bytes)], "dropped.jpg", { type: "image/jpeg" }));
  const place = document.querySelector("[data-drop]");
  const event = name === "drop"
    ? new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: files, bubbles: true });
  (name === "drop" ? place : document.body).dispatchEvent(event);
}
"""


@pytest.mark.parametrize("way", ["drop", "paste"])
async def test_a_photo_is_dropped_or_pasted(
    browser: Browser, address: str, gateway: FakeGateway, way: str
) -> None:
    sent = photo()
    async with tab(browser, address) as watched:
        await watched.open("/")
        await watched.page.evaluate(DROPPED, [way, list(sent)])
        await watched.page.wait_for_selector("canvas")
        await watched.page.click("button.main")
        await watched.page.wait_for_selector("[data-frame] img")
    assert gateway.requests["Recommend"][-1].signals[0].image == sent


async def test_a_phone_takes_the_photo_with_its_camera(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    sent = photo()
    async with tab(browser, address) as watched:
        await watched.open("/")
        assert not await watched.page.is_visible(".camera"), "a desk has none"
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    async with tab(browser, address, **phone) as watched:
        await watched.open("/")
        assert await watched.page.is_visible(".camera")
        camera = watched.page.locator(".camera input[capture=environment]")
        await camera.set_input_files({"name": "1.jpg", "mimeType": "image/jpeg", "buffer": sent})
        await watched.page.wait_for_selector("canvas")
        await watched.page.click("button.main")
        await watched.page.wait_for_selector("[data-frame] img")
    (signal,) = gateway.requests["Recommend"][-1].signals
    assert signal.image == sent


async def test_a_large_photo_is_made_smaller_before_it_is_sent(
    browser: Browser, address: str, gateway: FakeGateway, tmp_path: Path
) -> None:
    large = photo(4000, 3000, noise=True)
    assert len(large) > 10 * 2**20
    (tmp_path / "large.jpg").write_bytes(large)
    async with tab(browser, address) as watched:
        await watched.open("/")
        await watched.page.set_input_files("#file", tmp_path / "large.jpg")
        await watched.page.wait_for_selector("canvas")
        await watched.page.click("button.main")
        await watched.page.wait_for_selector("[data-frame] img")
    image = Image.open(io.BytesIO(gateway.requests["Recommend"][-1].signals[0].image))
    assert (image.format, image.size) == ("JPEG", (1365, 1024))


async def test_a_photo_of_50_megapixels_is_made_smaller_and_the_form_stays(
    browser: Browser, address: str, gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "large.jpg").write_bytes(photo(8_000, 6_250))
    async with tab(browser, address) as watched:
        page = watched.page
        await watched.open("/")
        await page.fill("#text", "typed before")
        await page.set_input_files("#file", tmp_path / "large.jpg")
        await page.wait_for_selector("canvas")
        await page.click("button.main")
        await page.wait_for_selector("[data-frame] img")
        assert await page.input_value("#text") == "typed before"
    image = Image.open(io.BytesIO(gateway.requests["Recommend"][-1].signals[0].image))
    assert image.size == (1311, 1024)


async def test_a_photo_of_50_megapixels_that_the_suite_refuses_is_told_at_its_field(
    browser: Browser, address: str, gateway: FakeGateway, tmp_path: Path
) -> None:
    """Without scripts it is sent as it is."""
    (tmp_path / "large.jpg").write_bytes(photo(8_001, 6_250))
    why = "the photo has 50,006,250 pixels; at most 50,000,000 are allowed"
    async with tab(browser, address, java_script_enabled=False) as watched:
        page = watched.page
        await watched.open("/")
        gateway.fail("Recommend", status(code_pb2.INVALID_ARGUMENT, why, reason="IMAGE_TOO_LARGE"))
        await page.fill("#text", "typed before")
        await page.set_input_files("#file", tmp_path / "large.jpg")
        await page.click("button.main")
        await page.wait_for_selector("#photo-says.wrong")
        assert why in await page.inner_text("#photo-says")
        assert await page.input_value("#text") == "typed before"
        await watched.open("/?text=red")  # others are served
        assert await page.locator(".cards li").count()


async def test_without_scripts_a_photo_is_searched_by_and_explained(
    browser: Browser, address: str, gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    async with tab(browser, address, java_script_enabled=False) as watched:
        page = watched.page
        await watched.open("/")
        await page.set_input_files("#file", tmp_path / "a.jpg")
        await page.click("button.main")
        await page.wait_for_url("**/?photo=*")
        assert gateway.requests["Recommend"][-1].signals[0].image == photo()
        await page.click(".facets summary >> nth=0")
        await page.click(".facets a[href*=brand]")
        await page.wait_for_url("**filter=*")
        await page.click(".why >> nth=0")
        await page.wait_for_selector(".map")
    assert gateway.requests["DrawHeatMap"][-1].image == photo()


async def test_a_facet_changes_the_products_the_filter_and_the_address_in_place(
    browser: Browser, address: str
) -> None:
    async with tab(browser, address) as watched:
        page = watched.page
        await watched.open("/?text=red")
        await page.evaluate("self.same = true")
        await page.click(".facets summary >> nth=0")
        await page.click(".facets a[href*=brand]")
        await page.wait_for_url("**filter=*")
        await page.wait_for_function("document.querySelector('#filter').value !== ''")
        assert await page.input_value("#filter") == 'brand = "Aurora"'
        assert await page.evaluate("self.same") is True, "the page was not loaded anew"
        await page.wait_for_function("document.activeElement.id === 'found-title'")
        await page.go_back()
        await page.wait_for_url("**/?text=red")


async def test_an_example_is_copied(browser: Browser, address: str) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    async with tab(browser, address, permissions=allowed) as watched:
        page = watched.page
        await watched.open("/?text=red")
        await page.click("summary:text-is('Python')")
        await page.click("details[open] [data-copy]")
        await page.wait_for_selector("[data-copy]:text-is('Copied')")
        assert "client.recommend(" in await page.evaluate("navigator.clipboard.readText()")


async def test_hostile_texts_run_nothing(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    hostile = "<img src=x onerror='self.done=1'><script>self.done=1</script>\"'>"
    before = rec.RecommendResponse()
    before.CopyFrom(gateway.recommendation)
    gateway.recommendation.results[0].product.CopyFrom(wine(hostile, hostile))
    gateway.recommendation.results[0].product.uri = "javascript:self.done=1"
    try:
        async with tab(browser, address) as watched:
            await watched.open("/")
            await watched.page.click(".why >> nth=0")
            await watched.page.wait_for_url("**/why?*")
            assert await watched.page.input_value("#why") == hostile
            assert await watched.page.evaluate("self.done") is None
    finally:
        gateway.recommendation.CopyFrom(before)


def pinned(gateway: FakeGateway) -> list[tuple[str, int]]:
    """Return the pins of the last draft but the first."""
    held = tomllib.loads(gateway.requests["WriteSceneDraft"][-1].toml)["controls"]
    return [(each["product_ids"][0], each["place"]) for each in held[1:]]


@pytest.mark.parametrize("way", ["mouse", "touch", "keys", "number", "buttons"])
async def test_a_product_is_moved_to_its_place(
    browser: Browser, address: str, gateway: FakeGateway, way: str
) -> None:
    async with tab(browser, address, has_touch=True) as watched:
        page = watched.page
        await watched.open("/shelf?scene=home")
        cards = page.locator("[data-card]")
        handle, target = cards.nth(2).locator("[data-handle]"), cards.nth(1)
        async with page.expect_navigation(url="**#shelf"):
            if way == "keys":
                await handle.focus()
                await page.keyboard.press("ArrowUp")
                assert "2" in await page.inner_text("[data-says][role=status]")
                await page.keyboard.press("Enter")
            elif way == "number":
                await cards.nth(2).locator("[name=place]").fill("2")
                await page.keyboard.press("Enter")
            elif way == "buttons":
                await cards.nth(2).locator("[value=up]").click()
            else:
                await dragged(page, handle, target, way)
    assert pinned(gateway) == [("wine/3", 2)]


async def dragged(page: Page, handle: Locator, target: Locator, way: str) -> None:
    """Drag by a mouse or a finger."""
    await handle.scroll_into_view_if_needed()
    boxes = [await each.bounding_box() for each in (handle, target)]
    (x, y), (to_x, to_y) = [
        (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes if box
    ]
    if way == "mouse":
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.mouse.move(to_x, to_y, steps=4)
        await page.mouse.up()
        return
    touch = await page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": to_x, "y": to_y}]),
        ("touchEnd", []),
    ):
        await touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


async def test_two_drafts_are_merged_without_scripts(
    browser: Browser, address: str, gateway: FakeGateway
) -> None:
    conflict = status(code_pb2.ABORTED, "changed", reason="ETAG_MISMATCH")
    async with tab(browser, address, java_script_enabled=False) as watched:
        page = watched.page
        await watched.open("/shelf?scene=home")
        await page.fill("#toml", f"views = 9\n{PIN}")
        gateway.fail("WriteSceneDraft", conflict)
        await page.click("text=Save the draft")
        await page.check("[value=both] >> nth=0")
        await page.click("text=Store this as the draft")
        await page.wait_for_url("**#text-title")
    assert gateway.requests["WriteSceneDraft"][-1].toml == f"views = 9\n{PIN}"


async def test_no_other_page_frames_the_console(browser: Browser, address: str) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.set_content(f"<iframe src='{address}/'></iframe>")
    await page.wait_for_timeout(1000)
    framed = page.frames[1]
    assert await framed.query_selector("main") is None
    await context.close()
