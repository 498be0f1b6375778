"""The site of docs/ builds without a warning and loads nothing from elsewhere."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest
from playwright.sync_api import Route, expect, sync_playwright

from tests.tools import tool
from tests.waiting import SECONDS

pytestmark = pytest.mark.when("docs", "mkdocs.yml")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site. A broken link or anchor, or a page outside the navigation, fails the
    build."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        if "node_modules" not in page.parts:
            name = page.relative_to(DOCS).with_suffix(".html")
            there = name.with_name("index.html") if name.stem == "README" else name
            assert (site / there).exists(), page


def loaded(page: Path) -> Iterator[str]:
    """Yield the addresses that a browser fetches by itself for a page."""
    text = page.read_text(encoding="utf-8")
    for tag in re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", text):
        if 'rel="canonical"' not in tag:
            yield from re.findall(r"\b(?:src|href)=\"?([^\">\s]+)", tag)


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    addresses = {address for page in site.rglob("*.html") for address in loaded(page)}
    assert any(address.endswith(".css") for address in addresses)
    assert {each for each in addresses if re.match(r"(https?:)?//", each)} == set()


@pytest.mark.slow
def test_the_page_of_the_api_shows_every_call_without_a_network(site: Path) -> None:
    chromium = tool("chromium")
    described = json.loads((site / "reference/openapi.json").read_text("utf-8"))
    calls = sum(len(methods) for methods in described["paths"].values())
    elsewhere: list[str] = []
    trouble: list[str] = []
    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()

        def answer(route: Route) -> None:
            if route.request.url.startswith((address, "data:", "blob:")):
                route.continue_()
            else:
                elsewhere.append(route.request.url)
                route.abort()

        tab.route("**/*", answer)
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.goto(f"{address}/reference/api.html")
        frame = tab.frame_locator("iframe.swagger-ui-iframe")
        frame.locator(".opblock-tag").first.wait_for()
        for tag in frame.locator(".opblock-tag").all():
            tag.click()
        expect(frame.locator(".opblock")).to_have_count(calls, timeout=SECONDS * 1000)
        shown = frame.locator("[data-path='/v1/catalogs/{catalog_id}:recommend']")
        expect(shown.first).to_be_visible()
        browser.close()
    assert (elsewhere, trouble) == ([], [])


CONTRAST = """headings => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(each => each / 255).map(
      each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const back = parts(getComputedStyle(document.body).backgroundColor);
  return headings.map(heading => {
    const [r, g, b, alpha = 1] = parts(getComputedStyle(heading).color);
    const shown = [r, g, b].map((each, place) => alpha * each + (1 - alpha) * back[place]);
    const [low, high] = [light(shown), light(back)].sort((one, other) => one - other);
    return (high + 0.05) / (low + 0.05);
  });
}"""
"""Contrast of headings with the page, as WCAG 2 computes it."""
TABLES = """tables => tables.map(table => {
  const cell = table.querySelector("tr td:last-child").getBoundingClientRect().width;
  const box = table.closest(".md-typeset__scrollwrap") ?? table;
  return [box.getBoundingClientRect().right, cell, getComputedStyle(box).overflowX];
})"""
"""Where the box ends in which a table scrolls, the width of the first row's last cell, and how the
box treats what is wider."""


@pytest.mark.slow
@pytest.mark.parametrize(("wanted", "scheme"), [("light", "default"), ("dark", "slate")])
def test_pages_are_legible_on_a_phone_in_both_modes(
    site: Path, wanted: Literal["light", "dark"], scheme: str
) -> None:
    chromium = tool("chromium")
    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(color_scheme=wanted, viewport={"width": 390, "height": 844})
        for name in ("index", "reference/settings", "operate/limits", "zh/index"):
            tab.goto(f"{address}/{name}.html")
            body = tab.locator("body")
            expect(body).to_have_attribute("data-md-color-scheme", scheme, timeout=SECONDS * 1000)
            contrasts = tab.eval_on_selector_all(".md-content :is(h1, h2, h3)", CONTRAST)
            assert min(contrasts) >= 4.5, name
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390, name
            for right, cell, overflow in tab.eval_on_selector_all(".md-content table", TABLES):
                assert (right <= 390, overflow) == (True, "auto"), name
                assert cell >= 100, f"{name}: the last column has no room"
        browser.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine. Yield its address."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_there_are_pages_for_every_purpose() -> None:
    purposes = {"start", "tutorials", "integrate", "merchandise", "operate", "compare"}
    assert all((DOCS / purpose / "README.md").exists() for purpose in purposes)
