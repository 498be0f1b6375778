"""The tutorial of a shop in TypeScript: files are written, commands typed, the page used."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests.live.conftest import running
from tests.live.test_start import BLOCK, TUTORIALS, shown, transcript
from tests.npm import ROOT, Shop, environment, install, package
from tests.pages import Pages, browsing, serving, tab
from tests.waiting import SECONDS, until

NAME = "typescript-shop.md"
PAGE = (TUTORIALS / NAME).read_text("utf-8")
ADDRESS, ORIGIN = "http://127.0.0.1:8680", "http://127.0.0.1:8080"
FILE = re.compile(r"(?://|<!--) (shop/\S+)")
STRICT = {
    "target": "es2022",
    "lib": ["es2022", "dom", "dom.iterable"],
    "module": "nodenext",
    "allowImportingTsExtensions": True,
    "noEmit": True,
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "exactOptionalPropertyTypes": True,
    "types": ["node"],
}

pytestmark = [pytest.mark.full, pytest.mark.when("client", "docs", "protos")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Serve the shop's folder, which the commands fill."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "shop").mkdir()
    with serving(folder / "shop") as served:
        yield served


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, pages: Pages) -> Iterator[Suite]:
    origins = {"GATEWAY_HTTP_ORIGINS": pages.origin}
    with running(tmp_path_factory.mktemp("suite"), ["default"], origins, target="all") as started:
        yield started


@pytest.fixture(scope="module")
def desk(pages: Pages, suite: Suite) -> Path:
    """Return the folder in which the commands are typed, with the page's files."""
    folder = pages.folder.parent
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "dist").mkdir()
    (folder / "dist" / "npm").symlink_to(package())
    for kind, block in BLOCK.findall(PAGE):
        if kind in {"ts", "html"}:
            first, _, rest = block.partition("\n")
            (name,) = FILE.findall(first)
            text = (rest if kind == "html" else block).replace(ADDRESS, suite.http)
            (folder / name).write_text(text.replace(ORIGIN, pages.origin), "utf-8")
    return folder


def test_the_shop_goes_as_the_page_shows_it(desk: Path) -> None:
    typed = transcript(NAME)
    assert len(typed) >= 7
    for command, expected in typed:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=desk,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        wanted = "\n".join(expected)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        assert shown(expected, done.stdout), f"$ {command}\n{wanted}\n--- prints\n{done.stdout}"


async def test_its_page_searches_by_photo_and_sends_events_with_consent(
    desk: Path, pages: Pages, suite: Suite
) -> None:
    sent: list[str] = []
    async with (
        browsing() as browser,
        tab(browser) as page,
        SightlineClient(suite.addresses()["gateway"]) as client,
    ):
        page.on("request", lambda each: sent.append(each.url))
        await page.goto(f"{pages.origin}/index.html")
        await ask(page, "100062", "Origem Merlot")
        assert not [url for url in sent if "events:write" in url or "visitors" in url]
        assert await page.evaluate("localStorage.length + sessionStorage.length") == 0
        await page.click("#consent")
        await ask(page, "100191", "Reserva Chardonnay")
        await page.click("li:first-child")

        async def all_stored() -> bool:
            kept = await page.evaluate("localStorage['sightline.1'] ?? null")
            if kept is None:
                return False
            visitor = json.loads(kept)["visitorId"]
            return (await client.purge_events(visitor=visitor)).event_count == 6

        await until(all_stored)  # five impressions and a click


async def ask(page: Page, wine: str, title: str) -> None:
    """Choose the photo of a wine, and wait until the page shows it first."""
    await page.evaluate("document.querySelector('ol').replaceChildren()")
    await page.set_input_files("input", ROOT / f"examples/wines/images/{wine}.jpg")
    await page.wait_for_selector("li")
    assert await page.inner_text("li:first-child") == title


@pytest.fixture
def copied(desk: Path, tmp_path: Path) -> Shop:
    """Return an installation with the tutorial's files."""
    shop = install(tmp_path / "types")
    for path in (*desk.glob("shop/*.mts"), desk / "shop" / "page.ts"):
        shutil.copy(path, shop.folder)
    return shop


async def test_its_files_have_valid_types(copied: Shop) -> None:
    shop = copied
    await shop.run("npm", "install", "--silent", "csv-parse@7.0.3")
    options = {"compilerOptions": STRICT, "include": ["*.mts", "*.ts"]}
    (shop.folder / "tsconfig.json").write_text(json.dumps(options), "utf-8")
    await shop.run("node", "node_modules/typescript/bin/tsc", "--project", ".")
