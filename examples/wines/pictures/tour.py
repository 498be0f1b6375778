"""Pictures of the console's screens, with a suite that has the wines."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page

from examples.wines.loading import Wine
from examples.wines.local import own
from examples.wines.pictures.camera import Camera
from local_suite.programs import console
from local_suite.suite import Report, Suite
from sightline_client import Event, EventType, SightlineClient

SCENE, PINNED, REVIEWER = "popular", "100191", "1209683"
PLACES = 6
VISITS = 150
SCENES = ("popular", "for-you", "new", "trending")
ONE_LANGUAGE = "document.querySelector('.languages')?.remove()"
"""A machine without a Chinese font draws boxes in place of that language's name."""
MILLISECONDS = 30_000.0
"""Patience with a page."""


@contextmanager
def served(suite: Suite, catalog: str, report: Report) -> Iterator[str]:
    """Start a console of the suite. Yield its address."""
    gateway = suite.addresses()["gateway"]
    port_base = int(gateway.rpartition(":")[2])
    program = console(port_base, catalog)
    with own(lambda data: Suite(data, [program], report=report)):
        yield f"http://127.0.0.1:{program.ports['page']}"


async def shop(client: SightlineClient) -> None:
    """Let made-up visitors look at answers, and buy of some, so that there are results."""
    draw = random.Random(7)
    for visit in range(VISITS):
        visitor, events = f"visitor-{visit}", list[Event]()
        scene = draw.choice(SCENES)
        answer = await client.recommend(visitor=visitor, scene=scene, page_size=PLACES)
        for place, item in enumerate(answer.results, 1):
            kinds = [EventType.IMPRESSION]
            if draw.random() < 1 / (4 + place):
                kinds += [EventType.CLICK, *[EventType.PURCHASE][: draw.randrange(2)]]
            events += [
                Event(
                    f"tour-{visit}-{place}-{kind.name}",
                    kind,
                    item.product.product_id,
                    visitor=visitor,
                    scene=scene,
                    position=place,
                    attribution_token=answer.attribution_token,
                    quantity=1 if kind is EventType.PURCHASE else 0,
                    unit_price=item.product.price if kind is EventType.PURCHASE else None,
                )
                for kind in kinds
            ]
        await client.write_events(events)


def take(
    browser: Browser, camera: Camera, address: str, wines: Sequence[Wine], folder: Path
) -> None:
    """Walk through the screens, and write a picture of each."""
    page = browser.new_page(**camera.window())
    page.set_default_timeout(MILLISECONDS)
    walks: Mapping[str, Callable[[], object]] = {
        "try-it": lambda: _try_it(page, address, wines[0]),
        "why": lambda: _press(page, page.locator(".why").first),
        "shelf": lambda: _shelf(page, address),
        "import": lambda: _import(page, address, wines, folder),
        "results": lambda: page.goto(f"{address}/results"),
        "shopper": lambda: _shopper(page, address),
        "models": lambda: page.goto(f"{address}/models"),
        "health": lambda: page.goto(f"{address}/health"),
    }
    for name, walk in walks.items():
        walk()
        page.wait_for_load_state("networkidle")
        page.evaluate(ONE_LANGUAGE)
        camera.write(page.screenshot(), f"console/{name}")
    page.close()


def _press(page: Page, what: Locator) -> None:
    """Press what leads to another page."""
    with page.expect_navigation():
        what.click()


def _button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True).first


def _try_it(page: Page, address: str, wine: Wine) -> None:
    page.goto(address)
    page.set_input_files("#file", wine.image)
    page.wait_for_selector("canvas")
    _press(page, page.locator("button.main"))
    page.locator(".cards").first.evaluate("(cards) => cards.scrollIntoView()")


def _shelf(page: Page, address: str) -> None:
    """Pin a wine in the draft of a scene."""
    page.goto(f"{address}/shelf?scene={SCENE}&size={PLACES}")
    _press(page, _button(page, "Copy them into the record"))
    _press(page, _button(page, "Let the record steer the catalog"))
    page.fill(".missing [name=subject]", PINNED)
    _press(page, _button(page, "Pin"))


def _import(page: Page, address: str, wines: Sequence[Wine], folder: Path) -> None:
    """Choose a file of wines, and name its columns."""
    file = folder / "weine.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        written = csv.writer(stream, delimiter=";")
        written.writerow(("Nummer", "Bezeichnung", "Preis"))
        for number, wine in enumerate(wines[:10], 1):
            written.writerow((wine.id, wine.title, f"{number + 8},90"))
    page.goto(f"{address}/import")
    page.set_input_files("#file", file)
    _press(page, _button(page, "Look at the file"))
    for number, ours in enumerate(("id", "title", "price"), 1):
        page.select_option(f"#c{number}", ours)
    page.fill("#currency", "EUR")
    _press(page, _button(page, "Show the products so"))


def _shopper(page: Page, address: str) -> None:
    page.goto(f"{address}/shopper")
    page.fill("#shopper", REVIEWER)
    page.select_option("main [name=kind]", "user")
    _press(page, page.locator("button.main"))
