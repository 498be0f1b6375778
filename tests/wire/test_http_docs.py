"""The page of all calls that the HTTP server has, in a real browser without other hosts."""

import pytest
from playwright.async_api import Route, expect

from gateway.http import reference
from tests.pages import browsing
from tests.wire.http_face import Face, face

__all__ = ["face"]  # fixtures
pytestmark = pytest.mark.when("services/gateway/src/gateway/http", "protos")


async def test_the_page_may_load_nothing_but_its_own_files(face: Face) -> None:
    moved = await face.call("GET", "/")
    assert (moved.status_code, moved.headers["location"]) == (307, "docs")
    page = await face.call("GET", reference.PATH)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in reference.pages():
        assert (await face.call("GET", path)).status_code in (200, 307)


async def test_no_host_of_a_caller_is_in_the_description(face: Face) -> None:
    """The address is relative: the same bytes for all, so that no caller makes them anew."""
    one, other = [
        await face.call("GET", "/openapi.json", headers={"host": host}) for host in ("x", "evil:9")
    ]
    assert one.content == other.content
    assert one.json()["servers"] == [{"url": "."}]


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.full), "/shop"])
async def test_the_page_shows_calls_of_shops_first_and_makes_them(face: Face, prefix: str) -> None:
    """Behind a path of a proxy too, which takes it off and passes no other path on."""
    problems: list[str] = []
    origin = f"http://127.0.0.1:{face.port}"

    async def pass_on(route: Route) -> None:
        path = route.request.url.removeprefix(origin)
        if not path.startswith(f"{prefix}/"):
            await route.fulfill(status=404)
            return
        answer = await route.fetch(url=origin + path.removeprefix(prefix), max_redirects=0)
        await route.fulfill(response=answer)

    async with browsing() as browser:
        page = await browser.new_page()
        if prefix:
            await page.route(f"{origin}/**", pass_on)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        await page.goto(f"{origin}{prefix}/docs")
        tags = page.locator(".opblock-tag")
        await expect(tags.first).to_have_attribute(
            "data-tag", "RecommendationService", timeout=30_000
        )
        await page.locator("[data-tag=CatalogService]").click()
        call = page.locator("#operations-CatalogService-CatalogService_GetProduct")
        await expect(call.locator(".opblock-summary-description")).to_have_text("Returns a product")
        await call.locator(".opblock-summary-control").click()
        await call.get_by_role("button", name="Try it out").click()
        await call.locator("[data-param-name=product_id] input").fill("p1")
        await call.get_by_role("button", name="Execute").click()
        answer = call.locator(".live-responses-table .response-col_status").last
        await expect(answer).to_contain_text("200")
        sent = call.locator(".request-url")
        await expect(sent).to_contain_text(f"{origin}{prefix}/v1/catalogs/")
    assert problems == []
