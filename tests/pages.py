"""A shop's pages in a real browser, on an origin of their own."""

import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, FileChooser, Page, async_playwright

from tests import npm
from tests.tools import tool
from tests.waiting import until

OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
AXE = Path(__file__).parent / "wire/axe"
SERIOUS = """axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations
    .filter(each => ['serious', 'critical'].includes(each.impact))
    .map(each => each.id + ' ' + each.nodes.map(node => node.html.slice(0, 120)).join(' ')))"""
"""Expression of a page's serious faults of accessibility, after the script of axe."""

MOST_TABS = 150
"""Keys that a user presses at most to come from the top of a page to what they want."""
FOCUSED = """(wanted) => {
  const at = document.activeElement;
  if (!at || at === document.body || !at.matches(wanted)) return "";
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at);
  const seen = outlineStyle !== "none" && parseFloat(outlineWidth) > 0 || boxShadow !== "none";
  return seen || at.type === "file" ? "seen" : "not seen";
}"""
"""Says whether the focus is at what is wanted, and whether a user sees that."""


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


@dataclass
class Keyboard:
    """A user of a page who has a keyboard alone."""

    page: Page

    async def reach(self, wanted: str) -> None:
        """Go on by Tab until the focus is at an element of this selector."""
        for _ in range(MOST_TABS):
            await self.page.keyboard.press("Tab")
            if found := await self.page.evaluate(FOCUSED, wanted):
                assert found == "seen", f"{wanted}: the focus is not to be seen"
                return
        raise AssertionError(f"{wanted} is not reached by Tab")

    async def press(self, wanted: str) -> None:
        """Press a button or link on the same page."""
        await self.reach(wanted)
        await self.page.keyboard.press("Enter")

    async def follow(self, wanted: str, key: str = "Enter") -> None:
        """Press what leads to another page."""
        await self.reach(wanted)
        async with self.page.expect_navigation():
            await self.page.keyboard.press(key)

    async def type(self, wanted: str, text: str) -> None:
        """Replace the text of a field."""
        await self.reach(wanted)
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.type(text)

    async def pick(self, wanted: str, value: str) -> None:
        """Choose an option of a menu."""
        await self.reach(wanted)
        for _ in range(await self.page.locator(f"{wanted} option").count()):
            if await self.page.input_value(wanted) == value:
                return
            await self.page.keyboard.press("ArrowDown")
        assert await self.page.input_value(wanted) == value

    async def at(self, wanted: str, moment: datetime) -> None:
        """Write a date and a time, as a browser in American English takes them."""
        await self.reach(wanted)
        for part in ("%m%d%Y", "%I%M%p"):
            await self.page.keyboard.type(moment.strftime(part))
            await self.page.keyboard.press("ArrowRight")
        assert await self.page.input_value(wanted) == moment.strftime("%Y-%m-%dT%H:%M")

    async def choose(self, wanted: str, name: str, content: bytes) -> None:
        """Choose a file, whose dialog a key opens."""
        await self.reach(wanted)
        chosen = {"name": name, "mimeType": "text/csv", "buffer": content}
        choosers = list[FileChooser]()

        def keep(chooser: FileChooser) -> None:  # Playwright takes no method of a list
            choosers.append(chooser)

        self.page.once("filechooser", keep)

        async def opened() -> bool:
            # Again, as a user would: a busy browser drops keys before the page's first frame.
            await self.page.keyboard.press("Space")
            await self.page.wait_for_timeout(500)
            return bool(choosers)

        await until(opened)
        await choosers[0].set_files(chosen)  # type: ignore[arg-type]


class Mouse:
    """A user of a page who has a mouse, too."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def follow(self, wanted: str) -> None:
        """Press what leads to another page."""
        async with self.page.expect_navigation():
            await self.page.click(wanted)

    async def type(self, wanted: str, text: str) -> None:
        """Replace the text of a field."""
        await self.page.fill(wanted, text)

    async def pick(self, wanted: str, value: str) -> None:
        """Choose an option of a menu."""
        await self.page.select_option(wanted, value)

    async def at(self, wanted: str, moment: datetime) -> None:
        """Choose a date and a time."""
        await self.page.fill(wanted, moment.strftime("%Y-%m-%dT%H:%M"))


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
