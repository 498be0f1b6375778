"""The screen "Try it"."""

import html
import re
from typing import Any

import markupsafe
import pytest
from google.rpc import code_pb2

from sightline.common.v1 import answer_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client import SightlineClient
from sightline_client.values.photos import MAX_BYTES
from sightline_console.pages.rendering import Pages
from sightline_console.screens.visit import Console
from tests.engines import free_port
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status, wine
from tests.unit.console.conftest import HTTP, JPEG, Browser, browser

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{ 7*7 }}"""


def asked(gateway: FakeGateway, method: str = "Recommend") -> Any:
    """Return the last request of a call."""
    return gateway.requests[method][-1]


async def test_without_a_question_popular_products_are_shown(
    web: Browser, gateway: FakeGateway
) -> None:
    page = (await web.open()).text
    for text in ("Barolo", "wine-1", "12.50 EUR", "in stock", "Looks like your photo", "Beef"):
        assert text in page, text
    assert f'src="/photos/{"a" * 64}"' in page
    assert not asked(gateway).signals
    assert asked(gateway).page_size == 12


async def test_score_parts_are_in_words(web: Browser) -> None:
    page = (await web.open()).text
    assert "looks like the query" in page
    assert "fits the products viewed last" in page
    assert '<rect width="100.0"' in page
    assert '<rect width="25.0"' in page


async def test_what_an_answer_lacks_is_told(web: Browser) -> None:
    page = (await web.open()).text
    assert "the ranker did not answer" in page
    assert "computed without a part" in page
    assert "Not in the catalog:" in page
    assert "<bdi>gone</bdi>" in page


async def test_every_field_reaches_the_gateway(web: Browser, gateway: FakeGateway) -> None:
    product = "a/b \"'é😀"
    sent = await web.send(
        "/",
        {
            "text": "red wine", "product": product, "shopper": "ann", "kind": "user",
            "filter": "price < 30 EUR", "scene": "home", "market": "de", "size": "7",
        },
    )  # fmt: skip
    page = await web.follow(sent)
    assert page.status_code == 200, page.text
    request = asked(gateway)
    assert [each.WhichOneof("content") for each in request.signals] == ["text", "product_id"]
    assert request.signals[1].product_id == product
    assert request.shopper.user_id == "ann"
    assert request.filter.market_id == "de"
    assert (request.scene, request.page_size, request.language_code) == ("home", 7, "en")
    assert f'value="{markupsafe.escape(product)}"' in page.text


async def test_a_visitor_is_the_usual_shopper(web: Browser, gateway: FakeGateway) -> None:
    await web.follow(await web.send("/", {"shopper": "cookie-7"}))
    assert asked(gateway).shopper.visitor_id == "cookie-7"


@pytest.mark.parametrize("path", ["/", "/why", "/shelf"])
async def test_an_address_names_no_shopper(web: Browser, gateway: FakeGateway, path: str) -> None:
    led = await web.open(f"{path}?text=red&shopper=ann-7&kind=user")
    assert led.headers["location"] == f"{path}?text=red"
    assert not gateway.requests


async def test_a_photo_is_kept_and_searched_by(web: Browser, gateway: FakeGateway) -> None:
    fields = {"left": "10", "top": "20", "right": "60", "bottom": "90"}
    sent = await web.send("/", fields, photo=JPEG)
    page = await web.follow(sent)
    (signal,) = asked(gateway).signals
    assert signal.image == JPEG
    box = signal.box
    assert [box.left, box.top, box.right, box.bottom] == pytest.approx([0.1, 0.2, 0.6, 0.9])
    found = re.search(r'src="(/kept/photo/[^"]+)"', page.text)
    assert found is not None
    shown = await web.open(found[1])
    assert (shown.content, shown.headers["content-type"]) == (JPEG, "image/jpeg")
    assert "sandbox" in shown.headers["content-security-policy"]
    # The form of the page names it again.
    photo = found[1].rpartition("/")[2]
    again = await web.send("/", {"photo": photo, "text": "x"})
    assert f"photo={photo}" in again.headers["location"]
    without = await web.send("/", {"photo": photo, "no_photo": "1", "left": "5"})
    assert without.headers["location"] == "/"


async def test_a_photo_is_that_of_its_browser_alone(console: Console, web: Browser) -> None:
    sent = await web.send("/", {}, photo=JPEG)
    async with browser(console) as other:
        page = await other.get(sent.headers["location"])
    assert page.status_code == 400
    assert "choose it again" in page.text


async def test_a_photo_that_is_too_large_is_told_at_its_field(
    web: Browser, gateway: FakeGateway
) -> None:
    for size in (MAX_BYTES + 1, MAX_BYTES + 2**20):
        answer = await web.send("/", {}, photo=bytes(size))
        assert answer.status_code == 413
        assert 'id="photo-says" class="wrong"' in answer.text
    assert not any(each.signals for each in gateway.requests["Recommend"])


async def test_a_photo_of_a_caller_who_is_not_admitted_is_not_read(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("GetImage", status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_MISSING"))
    sent = await web.send("/", {}, photo=JPEG)
    assert sent.headers["location"].startswith("/sign-in")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("filter", "price <", "^"),
        ("filter", "pricee < 3 EUR", "price"),
        ("size", "0", "from 1 to 100"),
        ("size", "12345", "from 1 to 100"),
        ("size", "²", "from 1 to 100"),
    ],
)
async def test_an_invalid_field_is_told_at_its_place(
    web: Browser, gateway: FakeGateway, field: str, value: str, said: str
) -> None:
    page = await web.open(str(web.web.build_request("GET", "/", params={field: value}).url))
    assert page.status_code == 400
    told = page.text.partition(f'id="{field}-says" class="wrong"')[2].partition("</div>")[0]
    assert said in told
    assert not gateway.requests["Recommend"]


@pytest.mark.parametrize(
    ("violations", "reason", "field"),
    [
        ((("signals[0].image", "it has 50 megapixels"),), "IMAGE_TOO_LARGE", "photo"),
        ((), "IMAGE_UNDECODABLE", "photo"),
        ((), "SCENE_NOT_FOUND", "scene"),
        ((("filter.comparison", "no such field"),), "FILTER_INVALID", "filter"),
        ((("filter.market_id", "no such market"),), "REQUEST_INVALID", "market"),
        ((("shopper.user_id", "too long"),), "REQUEST_INVALID", "shopper"),
    ],
)
async def test_an_error_of_the_gateway_is_told_at_its_field(
    web: Browser, gateway: FakeGateway, violations: Any, reason: str, field: str
) -> None:
    why = status(code_pb2.INVALID_ARGUMENT, "bad <b>", reason=reason, violations=violations)
    gateway.fail("Recommend", why)
    page = await web.open("/?text=x")
    assert page.status_code == 400
    told = page.text.partition(f'id="{field}-says" class="wrong"')[2].partition("</div>")[0]
    assert (violations[0][1] if violations else "bad &lt;b&gt;") in told


@pytest.mark.parametrize(
    ("code", "shown", "said"),
    [
        (code_pb2.DEADLINE_EXCEEDED, 504, "takes too long"),
        (code_pb2.PERMISSION_DENIED, 403, "does not allow this"),
        (code_pb2.RESOURCE_EXHAUSTED, 429, "Too much at once"),
        (code_pb2.INTERNAL, 500, "has a fault"),
    ],
)
async def test_other_errors_stand_above_the_form_with_a_way_to_try_again(
    web: Browser, gateway: FakeGateway, code: int, shown: int, said: str
) -> None:
    gateway.fail("Recommend", status(code, "because", reason="THE_REASON"))
    page = await web.open("/?text=x")
    assert page.status_code == shown
    assert said in page.text
    assert "THE_REASON" in page.text
    assert '<a class="button" href="/?text=x">' in page.text
    assert 'value="x"' in page.text


async def test_a_gateway_that_is_gone_is_a_page_with_a_way_to_try_again() -> None:
    target = f"127.0.0.1:{free_port()}"
    async with (
        SightlineClient(target, timeout=5) as gone,
        browser(Console(gone, Pages(HTTP))) as web,
    ):
        page = await web.get("/?text=x")
    assert page.status_code in (503, 504)
    assert "Try again" in page.text
    assert "127.0.0.1:" not in page.text.partition("</form>")[0]


async def test_counts_and_scenes_that_are_not_to_be_had_leave_the_answer(
    web: Browser, gateway: FakeGateway
) -> None:
    denied = status(code_pb2.PERMISSION_DENIED, "no", reason="ROLE_MISSING")
    gateway.fail("ListScenes", denied)
    gateway.fail("List", denied)
    page = await web.open()
    assert page.status_code == 200
    assert "Barolo" in page.text


async def test_facets_narrow_the_filter(web: Browser, gateway: FakeGateway) -> None:
    gateway.listing.facets.add(field="brand").values.add(
        text=HOSTILE, product_count=7, filter_text='brand = "A & B"'
    )
    page = (await web.open("/?filter=price+%3C+30+EUR&text=x")).text
    link = re.search(r'<li><a href="([^"]+)"', page)
    assert link is not None
    assert "&lt;script&gt;" in page
    await web.open(html.unescape(link[1]))
    request = asked(gateway)
    assert len(getattr(request.filter.all, "filters")) == 2  # noqa: B009
    assert [each.field for each in asked(gateway, "List").facets] == [
        "category", "brand", "price", "tags"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "method"),
    [("", "List"), ("&text=x", "Search"), ("&product=wine-1", "Search")],
)
async def test_an_order_is_that_of_a_search_or_a_list_and_said_to_be(
    web: Browser, gateway: FakeGateway, query: str, method: str
) -> None:
    page = (await web.open(f"/?sort=PRICE_RISING{query}")).text
    assert "uses neither the scene nor the shopper" in page
    assert any(each.sort == rec.SORT_PRICE_RISING for each in gateway.requests[method])
    assert not gateway.requests["Recommend"]


async def test_further_pages_follow(web: Browser, gateway: FakeGateway) -> None:
    gateway.recommendation.next_page_token = "t/2"
    gateway.pages = 2
    page = (await web.open("/?text=x")).text
    link = re.search(r'class="button" href="([^"]+page=[^"]+)"', page)
    assert link is not None
    await web.open(html.unescape(link[1]))
    assert asked(gateway).page_token
    assert asked(gateway).signals[0].text == "x"


async def test_an_empty_catalog_says_what_to_do(web: Browser, gateway: FakeGateway) -> None:
    del gateway.recommendation.results[:]
    gateway.listing.product_count = 0
    assert "sightline products import FILE" in (await web.open()).text


async def test_a_filter_that_fits_nothing_says_so_and_offers_to_leave_it_out(
    web: Browser, gateway: FakeGateway
) -> None:
    del gateway.recommendation.results[:]
    reason = gateway.recommendation.empty_reason
    reason.text, reason.condition = "No product passes brand = <x>.", "brand = <x>"
    page = (await web.open("/?filter=brand+%3D+x&text=y")).text
    assert "No product passes brand = &lt;x&gt;." in page
    assert '<a href="/?text=y">' in page


async def test_nothing_of_a_product_becomes_markup(web: Browser, gateway: FakeGateway) -> None:
    product = wine(HOSTILE, HOSTILE)
    product.brand = HOSTILE
    product.tags[:] = [HOSTILE]
    product.category_path[:] = [HOSTILE]
    product.uri = "javascript:alert(1)"
    product.images[0].image_id = HOSTILE
    result = gateway.recommendation.results[0]
    result.product.CopyFrom(product)
    result.matched_image_id = HOSTILE
    result.reasons[0].text = HOSTILE
    result.parts.append(answer_pb2.ScorePart(name=HOSTILE, value=0.5))
    gateway.recommendation.degradations[0].substitute = HOSTILE
    gateway.recommendation.missing_product_ids[:] = [HOSTILE]
    params = {"text": HOSTILE, "scene": HOSTILE, "market": HOSTILE, "shopper": HOSTILE}
    for path in ("/", "/why"):
        page = (await web.follow(await web.web.get(path, params=params))).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "javascript:" not in page
        assert "{{ 7*7 }}" in page


async def test_titles_keep_their_direction_to_themselves(
    web: Browser, gateway: FakeGateway
) -> None:
    title = "\u202eنبيذ أحمر"
    gateway.recommendation.results[0].product.title = title
    assert f"<bdi>{title}</bdi>" in (await web.open()).text


async def test_photos_of_products_come_through_the_console(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.photo = b"\x89PNG photo"
    answer = await web.open(f"/photos/{'a' * 64}")
    assert (answer.content, answer.headers["content-type"]) == (b"\x89PNG photo", "image/png")
    gateway.photo = b"<svg onload=alert(1)>"
    assert (await web.open("/photos/b")).headers["content-type"] == "image/jpeg"
    gateway.fail("GetImage", status(code_pb2.NOT_FOUND, "none", reason="IMAGE_NOT_FOUND"))
    assert (await web.open("/photos/c")).status_code == 404


async def test_a_request_outlives_the_session(web: Browser, gateway: FakeGateway) -> None:
    await web.send("/sign-in", {"key": "slk_mine"})
    gateway.fail("GetImage", status(code_pb2.UNAUTHENTICATED, "who?", reason="TOKEN_EXPIRED"))
    page = await web.send("/", {"text": "red wine"}, photo=b"")
    assert page.status_code == 401
    assert 'name="unsent-text" value="red wine"' in page.text


@pytest.mark.parametrize(
    ("steered_by", "text"),
    [
        (2, "This catalog is steered by the record"),
        (1, "This catalog is steered by files"),
        (0, ""),
    ],
)
@pytest.mark.parametrize("path", ["/", "/why?why=wine-2"])
async def test_screens_that_use_a_scene_say_what_steers_the_catalog(
    web: Browser, gateway: FakeGateway, path: str, steered_by: int, text: str
) -> None:
    gateway.steered_by = steered_by
    page = (await web.open(path)).text
    assert ("This catalog is steered by" in page) is bool(text)
    assert text in page
