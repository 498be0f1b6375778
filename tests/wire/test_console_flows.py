"""The main flow of each screen of the console by the keyboard alone: in two languages, light and
dark, on a phone, on a desk and at 200% zoom, with axe.

A new screen without its flow fails. One case of each screen runs with every change.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urljoin

import pytest
from google.rpc import code_pb2
from playwright.async_api import Browser

from tests import pages
from tests.console_pages import SCREENS
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.pages import Keyboard
from tests.wire.test_console import (
    LANGUAGES,
    SHOPPER,
    address,
    axe,
    browser,
    gateway,
    photo,
    tab,
)

__all__ = ["address", "axe", "browser", "gateway"]  # fixtures

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.when("client", "console", "protos", "tests/wire"),
]

WINDOWS: Mapping[str, Mapping[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 800}},
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "zoom": {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2},
}
"""A browser's zoom of 200% halves the width of a window in CSS pixels."""


@dataclass
class Hands(Keyboard):
    """A user who has a keyboard alone, before a gateway."""

    gateway: FakeGateway

    def asked(self, method: str) -> Any:
        """Return the last request of a method."""
        return self.gateway.requests[method][-1]


Flow: TypeAlias = Callable[[Hands], Awaitable[None]]


async def try_it(hands: Hands) -> None:
    """Search by a part of a photo and a text, and look at a score."""
    await hands.choose("#file", "a.jpg", photo())
    await hands.page.wait_for_selector("canvas")
    await hands.reach("[data-part]")
    for keys in ("Shift+ArrowLeft", "Shift+ArrowUp", "ArrowRight"):
        await hands.page.keyboard.press(keys)
    await hands.type("#text", "merlot")
    await hands.follow("button.main")
    photographed, said = hands.asked("Recommend").signals
    assert said.text == "merlot"
    assert photographed.box.left == pytest.approx(0.01)
    await hands.press(".cards summary")
    assert await hands.page.locator(".cards details[open]").count() == 1


async def why(hands: Hands) -> None:
    """Ask for a product that is missing, and follow what would bring it back."""
    await hands.type("#why", "wine-2")
    await hands.follow("button.main")
    assert hands.asked("ExplainRecommendation").product_id == "wine-2"
    assert await hands.page.locator(".steps .lost").count() == 1
    await hands.follow("main h3 + ul a, main section ul a")


async def shelf(hands: Hands) -> None:
    """Move a product to another place, and publish that."""
    await hands.page.goto(urljoin(hands.page.url, "/shelf?scene=home"))
    await hands.reach("[data-place='3'] [data-handle]")
    await hands.page.keyboard.press("ArrowUp")
    async with hands.page.expect_navigation(url="**#shelf"):
        await hands.page.keyboard.press("Enter")
    control = tomllib.loads(hands.asked("WriteSceneDraft").toml)["controls"][-1]
    assert (control["product_ids"], control["place"]) == (["wine/3"], 2)
    await hands.type("form:has([value=publish]) input[name=comment]", "for Christmas")
    await hands.follow("form:has([value=publish]) button.main")
    assert hands.asked("PublishScene").comment == "for Christmas"


async def synonyms(hands: Hands) -> None:
    """Write a rule into the draft."""
    await hands.type("#toml", "vino => wine")
    await hands.follow("form:has(#toml) button")
    assert hands.asked("WriteSceneDraft").toml.strip() == "vino => wine"


async def imports(hands: Hands) -> None:
    """Import a file, and correct a row."""
    hands.gateway.refused["w2"] = status(code_pb2.INVALID_ARGUMENT, "bad", reason="PRODUCT_INVALID")
    rows = b"Nr;Name;Preis;Farbe\nw1;Rot;12,50;rot\nw2;Other;7;\n"
    await hands.choose("#file", "wines.csv", rows)
    await hands.follow("button.main")
    await hands.type("#currency", "EUR")
    await hands.follow(".ask button")
    await hands.follow("button.main")
    await hands.page.wait_for_selector("#rows")
    assert hands.gateway.products["w1"].title == "Rot"
    del hands.gateway.refused["w2"]
    await hands.follow("button.main")
    await hands.follow("button.main")
    await hands.page.wait_for_selector("section:not([data-again]) a.button")
    assert hands.gateway.products["w2"].title == "Other"


async def results(hands: Hands) -> None:
    """Look at a longer period, and at all figures."""
    await hands.follow("main nav a[href*='days=28']")
    assert hands.asked("GetOnlineReport").days == 28
    await hands.press("main summary")
    assert await hands.page.locator("main details[open]").count() == 1


async def shopper(hands: Hands) -> None:
    """Find a shopper, store a decision, and erase them."""
    await hands.type("#shopper", SHOPPER)
    await hands.follow("button.main")
    await hands.press("summary")
    await hands.type("#source", "a letter")
    await hands.follow("form:has(#source) button")
    assert hands.asked("SetConsent").source == "a letter"
    await hands.press("details:has(#typed) > summary")
    await hands.type("#typed", SHOPPER)
    await hands.follow("form:has(#typed) button")
    assert hands.asked("EraseUser").shopper.user_id == SHOPPER


async def models(hands: Hands) -> None:
    """Promote a model."""
    await hands.follow("a[href*=promote-model]")
    await hands.follow("button.main")
    assert hands.asked("PromoteModel").model_version == "m1"


async def health(hands: Hands) -> None:
    """Read on through tables that are wider than the window."""
    await hands.reach("main .scroll")
    before = len(hands.gateway.requests["GetStatus"])
    await hands.page.keyboard.press("F5")
    await hands.page.reload()
    assert len(hands.gateway.requests["GetStatus"]) > before


async def catalogs(hands: Hands) -> None:
    """Choose another catalog."""
    await hands.follow("main button[value=shop-0]")
    assert hands.asked("Recommend").catalog_id == "shop-0"


FLOWS: Mapping[str, Flow] = {
    "Try it": try_it,
    "Why": why,
    "Shelf": shelf,
    "Synonyms": synonyms,
    "Import": imports,
    "Results": results,
    "Shopper": shopper,
    "Models": models,
    "Health": health,
    "Catalogs": catalogs,
}


async def test_each_screen_has_a_flow() -> None:
    assert FLOWS.keys() == SCREENS.keys()


def _cases() -> Iterator[Any]:
    """Yield all cases; of each screen one, each time another, is not left to `make full`."""
    ways = [*itertools.product(LANGUAGES, ("light", "dark"), WINDOWS)]
    for place, screen in enumerate(FLOWS):
        for number, way in enumerate(ways):
            marks = () if number == place % len(ways) else (pytest.mark.full,)
            yield pytest.param(screen, *way, marks=marks, id="-".join((screen, *way)))


@pytest.mark.parametrize(("screen", "language", "theme", "window"), [*_cases()])
async def test_a_flow_is_walked_by_keys_alone(
    browser: Browser,
    address: str,
    gateway: FakeGateway,
    axe: str,
    screen: str,
    language: str,
    theme: Any,
    window: str,
) -> None:
    options = {"locale": LANGUAGES[language], "color_scheme": theme, **WINDOWS[window]}
    async with tab(browser, address, **options) as watched:
        await watched.page.add_init_script(axe)
        hands = Hands(watched.page, gateway)
        await watched.open("/sign-in")
        await hands.follow(f"header a[href='{SCREENS[screen][0]}']")
        await FLOWS[screen](hands)
        spoken = await watched.page.get_attribute("html", "lang")
        assert spoken == ("zh-Hans" if language == "zh" else "en")
        width = await watched.page.evaluate("document.documentElement.scrollWidth")
        assert width <= options["viewport"]["width"]
        assert not await watched.page.evaluate(pages.SERIOUS)
