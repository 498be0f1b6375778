"""Photographs of HTML pages, taken by Chromium without a network."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from examples.wines.demo.model import DemoFailed

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "pictures"
MOST_BYTES = 300_000
"""Of one picture."""
QUALITY = 80
"""Quality of a WebP file."""
WIDTH = 1180
"""Width and height of the browser's window, in CSS pixels."""
SCALE = 1.25
"""Pixels of a picture per CSS pixel."""
OFFLINE = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Camera:
    """A browser that writes screenshots as WebP files."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self._folder = folder

    def take(
        self, html: str, name: str, *, show: str = "body", style: str = "", scale: float = SCALE
    ) -> Path:
        """Write the picture of the element that matches `show`, a CSS selector, and return its
        path. `style`: CSS that is added. Raise DemoFailed when the file is too large."""
        tab = self._browser.new_page(**self.window(scale))
        tab.set_content(html)
        if style:
            tab.add_style_tag(content=style)
        shot = tab.locator(show).first.screenshot()
        tab.close()
        return self.write(shot, name)

    def window(self, scale: float = SCALE) -> dict[str, Any]:
        """Return the options of a page that pictures are taken of."""
        return {"viewport": {"width": WIDTH, "height": 900}, "device_scale_factor": scale}

    def write(self, shot: bytes, name: str) -> Path:
        """Write a screenshot as a picture, and return its path. Raise DemoFailed when the file is
        too large."""
        path = self._folder / f"{name}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(shot)) as image:
            image.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
        if path.stat().st_size > MOST_BYTES:
            raise DemoFailed(f"{path} has {path.stat().st_size} bytes, more than {MOST_BYTES}")
        return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless browser with an empty profile. Raise DemoFailed when there is none."""
    program = shutil.which("chromium")
    if program is None:
        raise DemoFailed("chromium is missing: run `make tools`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*OFFLINE])
        try:
            yield browser
        finally:
            browser.close()
