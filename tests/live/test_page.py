"""The demo's page in a real browser."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from examples.wines import catalogue
from examples.wines.demo import page as demo_page
from examples.wines.demo.model import Answer, Scene, Shown
from sightline_client.cli import language
from sightline_client.cli.show import detected, evaluation_page, page, scene_page
from sightline_client.convert import from_wire
from sightline_client.convert.from_wire import evaluation
from tests import pages
from tests.fakes import evaluations, gateway, gateway_messages
from tests.fakes.scenes import BAD, scene_difference
from tests.pages import OFFLINE
from tests.tools import tool

pytestmark = pytest.mark.when("client", "docs", "protos")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page with one scene of real photos."""
    wines = catalogue.load_wines()[:3]
    message = gateway.answer()
    message.results[0].product.product_id = wines[0].id
    scene = Scene(
        title="1. A photo",
        intro="A photo was sent.",
        queries=tuple(Shown(wine.image.read_bytes(), wine.title) for wine in wines),
        answers=(Answer("What looks like it", from_wire.recommendations(message)),),
    )
    path = tmp_path_factory.mktemp("page") / "demo.html"
    photos = {wine.id: wine.image.read_bytes() for wine in wines}
    demo_page.write(path, lead=("Four services.",), scenes=[scene], photos=photos)
    return path


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an evaluation as a page."""
    path = tmp_path_factory.mktemp("page") / "evaluation.html"
    evaluation_page.write(path, evaluation(evaluations.evaluation()))
    return path


@pytest.fixture(scope="module")
def chromium() -> str:
    """Return the browser that `make tools` installs."""
    return tool("chromium")


@pytest.fixture(params=["light", "dark"])
def opened(
    request: pytest.FixtureRequest, chromium: str, written: Path
) -> Iterator[tuple[Page, list[str]]]:
    """Yield the page in a phone's view, and its errors and network requests."""
    yield from in_browser(chromium, written, request.param)


@pytest.fixture(params=["light", "dark"])
def plotted(
    request: pytest.FixtureRequest, chromium: str, evaluated: Path
) -> Iterator[tuple[Page, list[str]]]:
    """Yield the page of an evaluation in a phone's view, and its errors and network requests."""
    yield from in_browser(chromium, evaluated, request.param)


def in_browser(
    chromium: str, path: Path, colours: str, width: int = 390
) -> Iterator[tuple[Page, list[str]]]:
    """Open a page, in a phone's view at first. Yield it with its errors and network requests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", *OFFLINE]
        )
        tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=colours)
        trouble: list[str] = []
        tab.on("console", lambda message: trouble.append(message.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on(
            "request",
            lambda asked: (
                None if asked.url.startswith(("file:", "data:")) else trouble.append(asked.url)
            ),
        )
        tab.goto(path.as_uri())
        yield tab, trouble
        browser.close()


def test_every_photo_is_seen_and_nothing_is_fetched(opened: tuple[Page, list[str]]) -> None:
    tab, trouble = opened
    widths = tab.eval_on_selector_all("img", "images => images.map(each => each.naturalWidth)")
    assert len(widths) >= 4
    assert all(width > 0 for width in widths)
    assert trouble == []


def test_a_phone_needs_no_scrolling_sideways_and_text_stands_out(
    opened: tuple[Page, list[str]],
) -> None:
    tab, _ = opened
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    colours = tab.evaluate(
        "(() => { const style = getComputedStyle(document.body);"
        " return [style.color, style.backgroundColor]; })()"
    )
    light, dark = (sum(map(int, each[each.index("(") + 1 : -1].split(",")[:3])) for each in colours)
    assert abs(light - dark) > 300, colours


def test_an_evaluation_is_plotted_within_its_bounds_and_explained(
    plotted: tuple[Page, list[str]],
) -> None:
    tab, trouble = plotted
    assert trouble == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.locator(".plot, .field").count() >= 6
    outside = tab.evaluate(
        """() => [...document.querySelectorAll(".plot .dot, .field .number")].filter(dot => {
            const box = dot.getBoundingClientRect();
            const room = dot.closest(".plot, .field").getBoundingClientRect();
            return box.left < room.left || box.right > room.right
                || box.top < room.top || box.bottom > room.bottom;
        }).length"""
    )
    assert outside == 0
    assert tab.locator(".plot .limit").count() >= 2
    cut = """() => [...document.querySelectorAll(".scroll")].filter(
        each => each.scrollWidth > each.clientWidth).length"""
    assert tab.evaluate(cut) == 0
    verdict = tab.locator("main p").first.inner_text()
    assert verdict == "Do not promote: no difference is proven by 56 returning shoppers."
    for words in ("INCONCLUSIVE", "Only 56 shoppers", "Smallest effect", "Exposure by brand"):
        assert words in (tab.text_content("body") or "")


def test_a_browser_runs_no_script_that_gets_into_a_page(
    chromium: str, written: Path, tmp_path: Path
) -> None:
    path = tmp_path / "harmed.html"
    harm = "<script>document.title = 'harmed'</script><img src='x' onerror='document.title = 1'>"
    path.write_text(written.read_text("utf-8").replace("</main>", f"{harm}</main>"), "utf-8")
    for tab, trouble in in_browser(chromium, path, "light"):
        assert tab.title().startswith("Sightline")
        assert any("Content Security Policy" in each for each in trouble)


def test_words_of_any_length_fit_a_phone(chromium: str, tmp_path: Path) -> None:
    message = gateway.answer()
    product, word = message.results[0].product, "Donaudampfschifffahrtsgesellschaft" * 3
    product.title = product.brand = product.category_path[0] = word
    head = page.Head(word, [("filter", word)], [word])
    sections = [page.Section(from_wire.recommendations(message)), page.Section(None, word, word)]
    page.write(tmp_path / "a.html", head, sections, {})
    for tab, trouble in in_browser(chromium, tmp_path / "a.html", "light"):
        assert trouble == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_scenes_difference_fits_a_phone_and_runs_nothing_that_a_product_is_called(
    chromium: str, tmp_path: Path
) -> None:
    scene_page.write(tmp_path / "diff.html", "home", from_wire.scene_diff(scene_difference()))
    for tab, trouble in in_browser(chromium, tmp_path / "diff.html", "light"):
        assert trouble == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.locator("td.new").all_inner_texts() == [BAD]
        assert tab.locator("td.gone").all_inner_texts() == ["p1"]
        widths = tab.eval_on_selector_all(
            "td.bar .track > span", "bars => bars.map(bar => bar.getBoundingClientRect().width)"
        )
        assert len(widths) == 6
        assert max(widths) > 50
        for words in ("2 of", "Exposure", "Château A", "By brand"):
            assert words in (tab.text_content("body") or "")


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script of axe."""
    return pages.axe(tmp_path_factory.mktemp("axe"))


def write_shelf(path: Path, side: int, *, known: bool = True) -> None:
    """Write the page of a square photo with two products of a hostile name and an unknown object;
    `known` False: with the unknown object alone."""
    message = gateway_messages.detected()
    message.products[0].title = BAD
    message.detections[1].ClearField("heat_map")  # no picture
    if not known:
        del message.detections[:2], message.counts[:]
    file = io.BytesIO()
    Image.new("RGB", (side, side), (120, 90, 60)).save(file, "JPEG")
    found = from_wire.detections(message)
    products = {each.product_id: each for each in found.products}
    photos = dict.fromkeys(products, file.getvalue())
    detected.write(path, (f"{BAD}.jpg", file.getvalue()), found, products, photos)


@pytest.mark.parametrize("spoken", ["en", "zh"])
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_what_was_found_in_a_photo_stands_beside_it_by_number(
    chromium: str, axe: str, tmp_path: Path, width: int, colours: str, spoken: str
) -> None:
    with language.speaking(spoken):
        write_shelf(tmp_path / "shelf.html", 1000)
    for tab, trouble in in_browser(chromium, tmp_path / "shelf.html", colours, width):
        tab.add_init_script(axe)
        tab.reload()
        assert tab.evaluate(pages.SERIOUS) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator(".photo text").all_text_contents() == ["1", "2", "3"]
        assert tab.locator(".found > li.known").count() == 2
        assert tab.locator(".found > li.unknown").count() == 1
        seen = tab.eval_on_selector_all("img", "all => all.map(each => each.naturalWidth)")
        assert min(seen) > 0
        photo, listed = (tab.locator(each).bounding_box() for each in (".photo", ".found"))
        assert photo is not None
        assert listed is not None
        assert (listed["x"] > photo["x"] + photo["width"]) == (width == 1280)
        assert (listed["y"] > photo["y"] + photo["height"]) == (width == 390)
        assert BAD in (tab.text_content("body") or "")
        tab.locator(".photo a").nth(2).click()
        assert tab.locator(".found > :target b").inner_text().startswith("3. ")
        assert trouble == []


@pytest.mark.parametrize(("width", "least"), [(390, 340), (1280, 600)])
def test_a_small_photo_is_shown_large_with_what_to_do_next(
    chromium: str, axe: str, tmp_path: Path, width: int, least: int
) -> None:
    write_shelf(tmp_path / "small.html", 224, known=False)
    for tab, trouble in in_browser(chromium, tmp_path / "small.html", "light", width):
        tab.add_init_script(axe)
        tab.reload()
        assert tab.evaluate(pages.SERIOUS) == []
        photo = tab.locator(".photo img").bounding_box()
        assert photo is not None
        assert photo["width"] >= least
        steps = tab.locator(".steps li").all_inner_texts()
        assert len(steps) == 3
        assert "only 224 × 224 pixels" in steps[0]
        assert "--min-probability 0.25" in steps[1]
        found = tab.locator(".found b").all_inner_texts()
        assert found == ["1. not in the catalog: nearest is wine-2 (25%)"]
        assert trouble == []
