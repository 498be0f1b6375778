"""The TypeScript client in a real browser, on a page of another origin than the gateway's."""

import io
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Page

from tests.npm import CLIENT, Shop, install
from tests.pages import Pages, browsing, serving, tab
from tests.wire.http_face import Face, serving_http

README = (CLIENT / "README.md").read_text("utf-8")
(SNIPPET,) = (
    each
    for each in re.findall(r"^```ts\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    if "document." in each
)
ADDRESS = "http://127.0.0.1:8680"
ORIENTATION = 0x0112
UPSIDE_DOWN = 3


pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.when("client", "docs", "protos"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return install(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with serving(tmp_path_factory.mktemp("pages")) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def face(pages: Pages) -> AsyncIterator[Face]:
    async with serving_http({"origins": (pages.origin,)}) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(pages: Pages, shop: Shop, browser: Browser) -> AsyncIterator[Page]:
    """Yield a page on which `sightline` is the package, bundled as a shop does."""
    module = pages.folder / "client.js"
    (shop.folder / "all.js").write_text('export * from "sightline-client";', "utf-8")
    await bundle(shop, "all.js", module)
    async with tab(browser) as opened:
        await opened.goto(pages.write("empty.html", ""))
        await opened.evaluate("async () => { self.sightline = await import('/client.js'); }")
        yield opened


async def bundle(shop: Shop, name: str, target: Path) -> None:
    esbuild = "node_modules/esbuild/bin/esbuild"
    options = ("--bundle", "--minify", "--format=esm", "--log-level=error", f"--outfile={target}")
    await shop.run("node", esbuild, name, *options)


async def ask(page: Page, face: Face, code: str, given: Any = None) -> Any:
    """Return what code returns that has a client."""
    address = f"http://127.0.0.1:{face.port}"
    making = f"const client = sightline.createSightlineClient({{ address: '{address}' }});"
    return await page.evaluate(f"async (given) => {{ {making} {code} }}", given)


async def test_a_page_calls_by_connect(page: Page, face: Face) -> None:
    found = await ask(
        page,
        face,
        """
        const { results } = await client.recommendations.search(
          { signals: [await sightline.photoSignal(new Blob(["photo"]))], pageSize: 3 });
        return results.map((each) => each.product.productId);
        """,
    )
    assert found == ["p3", "p1", "p4"]


async def test_a_page_reads_an_error_whole(page: Page, face: Face) -> None:
    found = await ask(
        page,
        face,
        """
        const e = await client.catalog.getProduct({ productId: "nope" }).catch((each) => each);
        return [e instanceof sightline.SightlineError, e.code, e.reason, e.requestId];
        """,
    )
    assert found[:3] == [True, "NOT_FOUND", "PRODUCT_NOT_FOUND"]
    assert found[3]


async def test_a_page_follows_a_job(page: Page, face: Face) -> None:
    code = """
    const done = [];
    for await (const job of client.watchJob("ranker/1")) done.push(Number(job.done));
    return done;
    """
    assert await ask(page, face, code) == [1, 2]


async def test_a_page_of_another_origin_gets_no_answer(page: Page) -> None:
    async with serving_http({"origins": ("https://shop.example",)}) as other:
        code = """
        const error = await client.catalog.getProduct({ productId: "p1" }, { timeoutMs: 5000 })
          .catch((each) => each);
        return [error.reason, error.whatToDo];
        """
        reason, advice = await ask(page, other, code)
    assert reason == "GATEWAY_UNREACHABLE"
    assert "GATEWAY_HTTP_ORIGINS" in advice


def upside_down(width: int, height: int) -> bytes:
    """Return a photo of a red upper and a blue lower half, stored upside down."""
    image = Image.new("RGB", (width, height), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, width, height // 2))
    exif = Image.Exif()
    exif[ORIENTATION] = UPSIDE_DOWN
    file = io.BytesIO()
    image.rotate(180).save(file, "JPEG", exif=exif)
    return file.getvalue()


async def test_the_photo_of_a_form_is_searched_by_as_the_readme_says(
    pages: Pages, shop: Shop, face: Face, page: Page, tmp_path: Path
) -> None:
    (shop.folder / "form.ts").write_text(
        SNIPPET.replace(ADDRESS, f"http://127.0.0.1:{face.port}"), "utf-8"
    )
    await bundle(shop, "form.ts", pages.folder / "form.js")
    form = "<input type=file><output></output><script type=module src=/form.js></script>"
    await page.goto(pages.write("form.html", form))
    (tmp_path / "shelf.jpg").write_bytes(upside_down(3000, 2000))
    await page.set_input_files("input", tmp_path / "shelf.jpg")
    await page.wait_for_function("document.querySelector('output').value")
    shown = await page.evaluate("document.querySelector('output').value")
    assert shown.splitlines() == ["Title p3", "Title p1", "Title p4", "Title p2"]
    (sent,) = photos(face)
    image = Image.open(io.BytesIO(sent))
    assert (image.format, image.size) == ("JPEG", (672, 448))
    assert not image.getexif()
    red, _, blue = image.convert("RGB").getpixel((336, 10))
    assert red > 200 > 50 > blue, "the photo is not upright"


def photos(face: Face) -> list[bytes]:
    """Return the photos that reached the embedder."""
    requests = face.suite.embedder.script.requests("BatchEmbed")
    return [item.image for request in requests for item in request.items]


SHRUNK = """
const bytes = Uint8Array.from(given, (each) => each);
const made = await sightline.photoBytes(bytes, { shortSide: 100 });
return [...made];
"""


async def test_a_photo_that_is_small_or_unknown_to_the_browser_is_sent_as_it_is(
    page: Page, face: Face
) -> None:
    for photo in (upside_down(120, 90), b"ftypheic: not a photo that a browser decodes"):
        assert bytes(await ask(page, face, SHRUNK, list(photo))) == photo


async def test_what_is_transparent_becomes_white(page: Page, face: Face) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(file, "PNG")
    made = bytes(await ask(page, face, SHRUNK, list(file.getvalue())))
    image = Image.open(io.BytesIO(made)).convert("RGB")
    assert image.size == (150, 100)
    assert min(image.getpixel((75, 50))) > 250
