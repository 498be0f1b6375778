"""The Python of the pages for integrators, run at a suite with the wines; tests/live/test_curl.py
types their curl."""

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline_client import (
    FaultCondition,
    PictureFault,
    SyncSightlineClient,
    Watch,
    WatchFrame,
    WatchRule,
)
from tests.fakes.photos import encoded
from tests.live.test_http import ROOT
from tests.waiting import SECONDS

pytestmark = pytest.mark.when("client", "docs", "protos")

ELSEWHERE = {"agents.md", "inspect.md", "labels.md"}
"""Pages whose Python is run by tests of their own: it needs photos of pieces, another server, or
another suite."""
WRITTEN = {"feeds.md", "markets.md", "watch.md", "webhooks.md"}
"""Pages whose snippets write: to a catalog of their own, as other tests count the wines."""
SHOP = "snippets"
PHOTO = ROOT / "examples/wines/images/100191.jpg"
PAGES = {
    page: found
    for page in sorted((ROOT / "docs/integrate").glob("*.md"))
    if (found := re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S))
    and page.name not in ELSEWHERE
}


@pytest.fixture(scope="module")
def shop(gateway: str) -> None:
    """Create a catalog with the watch of the page, whose rule reports each black frame."""
    at_once = timedelta()
    rule = WatchRule(
        "dark", fault=FaultCondition(PictureFault.BLACK), hold=at_once, cool_down=at_once
    )
    with SyncSightlineClient(gateway, catalog=SHOP, timeout=SECONDS) as client:
        client.create_catalog(SHOP)
        client.create_watch(Watch("shelf", rules=(rule,)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_snippet_of_a_page_is_answered(
    page: Path,
    gateway: str,
    shop_is_open: None,
    shop: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(PHOTO, "shelf.jpg")
    catalog = SHOP if page.name in WRITTEN else "default"
    with (
        camera(gateway, on=page.name == "watch.md"),
        SyncSightlineClient(gateway, catalog=catalog, timeout=SECONDS) as client,
    ):
        for snippet in PAGES[page]:
            names: dict[str, Any] = {"client": client, "Path": Path}
            exec(compile(snippet, page.name, "exec"), names)  # noqa: S102
            for name, value in names.items():
                assert getattr(value, "results", True), f"{name} has no product"
                assert not getattr(value, "failures", ()), name


@contextmanager
def camera(gateway: str, *, on: bool) -> Iterator[None]:
    """Send frames to the watch during the block, of which each second one is black."""
    ended = threading.Event()

    def see() -> None:
        with SyncSightlineClient(gateway, catalog=SHOP, timeout=SECONDS) as client:
            while not ended.wait(0.2):
                for picture in (Image.new("RGB", (64, 48)), Image.effect_noise((64, 48), 60)):
                    client.send_frames("shelf", [WatchFrame(encoded(picture.convert("RGB")))])

    thread = threading.Thread(target=see)
    if on:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if on:
            thread.join()
