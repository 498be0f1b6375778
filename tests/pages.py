"""A shop's pages in a real browser, on an origin of their own."""

import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests import npm
from tests.tools import tool

OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
AXE = Path(__file__).parent / "wire/axe"
SERIOUS = """axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations
    .filter(each => ['serious', 'critical'].includes(each.impact))
    .map(each => each.id + ' ' + each.nodes.map(node => node.html.slice(0, 120)).join(' ')))"""
"""Expression of a page's serious faults of accessibility, after the script of axe."""


@dataclass(frozen=True)
class Pages:
    """A folder that is served on an origin of its own."""

    folder: Path
    origin: str

    def write(self, name: str, body: str) -> str:
        """Write a page. Return its address."""
        html = f"<!doctype html><meta charset=utf-8><title>Shop</title><body>{body}"
        (self.folder / name).write_text(html, "utf-8")
        return f"{self.origin}/{name}"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[Pages]:
    """Serve a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Pages(folder, f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Start a browser."""
    path = tool("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", *OFFLINE]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """Open an empty page, without what other pages stored. AssertionError for an error that no
    script catches."""
    page = await browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await page.context.close()
    assert not errors, errors


def axe(folder: Path) -> str:
    """Install axe in an empty folder. Return its script."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(AXE / name, folder)
    npm.tool("npm")
    subprocess.run(
        ["npm", "ci"], cwd=folder, env=npm.environment(), check=True, capture_output=True
    )
    return (folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")
