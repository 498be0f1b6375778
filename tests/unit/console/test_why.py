"""The screen "Why"."""

import html
import re
from typing import Any

import pytest
from google.rpc import code_pb2

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.values.explanations import ProductOutcome
from sightline_console.screens import verdicts
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import JPEG, Browser

OUTCOMES = [each for each in ProductOutcome if each is not ProductOutcome.UNKNOWN]


def outcome(gateway: FakeGateway, value: str) -> Any:
    """Set the outcome of the next explanation, and return it."""
    gateway.explanation.outcome = rec.ExplainRecommendationResponse.Outcome.Value(
        f"OUTCOME_{value}"
    )
    return gateway.explanation


async def test_without_a_product_there_is_a_form(web: Browser, gateway: FakeGateway) -> None:
    page = await web.open("/why?text=red")
    assert page.status_code == 200
    assert 'name="text" value="red"' in page.text
    assert not gateway.requests["ExplainRecommendation"]


async def test_the_request_of_the_cards_is_explained(web: Browser, gateway: FakeGateway) -> None:
    fields = {"text": "red", "scene": "home", "shopper": "v"}
    page = (await web.follow(await web.send("/", fields))).text
    found = re.search(r'class="why" href="([^"]+)"', page)
    assert found is not None
    await web.open(html.unescape(found[1]))
    (asked,) = gateway.requests["ExplainRecommendation"]
    assert asked.product_id == "wine-1"
    assert asked.request.signals[0].text == "red"
    assert (asked.request.scene, asked.request.shopper.visitor_id) == ("home", "v")


async def test_a_shown_product_has_parts_rules_reasons_and_neighbours(
    web: Browser, gateway: FakeGateway
) -> None:
    outcome(gateway, "SHOWN")
    page = (await web.open("/why?why=wine-2")).text
    for text in (
        "Nebbiolo", "It stands at place 12.", "Fits your taste",
        "its score", "fits this customer&#39;s history", "brand=Aurora",
        "9 places down: limit of products per brand.",
        "it is one of 100 candidates", "it is not among the first 7",
        "Products that look like it", "Barolo",
    ):  # fmt: skip
        assert text in page, text
    assert "From the catalog to the page" not in page


@pytest.mark.parametrize("value", OUTCOMES)
async def test_an_absent_product_has_the_step_that_lost_it_and_a_remedy(
    web: Browser, gateway: FakeGateway, value: str
) -> None:
    outcome(gateway, value)
    page = await web.open("/why?why=wine-2&filter=price+%3C+3+EUR")
    assert page.status_code == 200
    if value == "SHOWN":
        return
    assert page.text.count('<li class="lost">') == 1
    remedies = page.text.partition("What would bring it back")[2].partition("</ul>")[0]
    assert "<li>" in remedies


@pytest.mark.parametrize("value", OUTCOMES)
def test_steps_before_the_lost_one_are_passed_and_later_ones_unknown(value: ProductOutcome) -> None:
    states = [each.state for each in verdicts.steps(value)]
    if value is ProductOutcome.SHOWN:
        assert set(states) == {verdicts.SHOWN}
        return
    at = states.index(verdicts.LOST)
    assert set(states[:at]) <= {verdicts.SHOWN}
    assert set(states[at + 1 :]) <= {verdicts.UNKNOWN}
    assert verdicts.LOST not in [each.state for each in verdicts.steps(ProductOutcome.UNKNOWN)], (
        "a client that is too old knows no step"
    )


async def test_the_control_that_excluded_a_product_is_named(
    web: Browser, gateway: FakeGateway
) -> None:
    found = outcome(gateway, "EXCLUDED_BY_CONTROL")
    page = (await web.open("/why?why=wine-2&scene=home")).text
    assert "Remove the control “hero” of scene home." in page
    rules = page.partition("Controls and limits that concern it")[2]
    for text in ("leaves it out", "words: red", "brand = Aurora", "4 / 9"):
        assert text in rules, text
    for text in ("limit of products per brand", "Aurora"):
        assert text in rules, text
    found.product_controls[0].scene = ""
    page = (await web.open("/why?why=wine-2")).text
    assert "Leave the control “hero” out of the request." in page


async def test_the_scenes_categories_that_a_product_fails_are_named(
    web: Browser, gateway: FakeGateway
) -> None:
    outcome(gateway, "FILTERED").excluded_category_paths.append("Wine > Red")
    page = html.unescape((await web.open("/why?why=wine-2&filter=price+%3C+3+EUR")).text)
    assert "leaves out the categories of what the request is about: Wine > Red." in page


async def test_what_becomes_of_a_product_without_the_filter_is_asked(
    web: Browser, gateway: FakeGateway
) -> None:
    outcome(gateway, "FILTERED")
    page = (await web.open("/why?why=wine-2&filter=price+%3C+3+EUR")).text
    first, second = gateway.requests["ExplainRecommendation"]
    assert first.request.filter.WhichOneof("expression")
    assert not second.request.filter.WhichOneof("expression")
    assert "price &lt; 10 EUR" in page
    assert "it has price: 12.50 EUR" in page
    assert "Leave the filter out." in page
    assert 'href="/why?why=wine-2"' in page


async def test_a_product_that_ranks_too_low_is_shown_by_a_longer_page(
    web: Browser, gateway: FakeGateway
) -> None:
    page = (await web.open("/why?why=wine-2&text=red")).text
    assert 'href="/?text=red&amp;size=12"' in page


async def test_how_far_a_product_was_from_the_candidates(
    web: Browser, gateway: FakeGateway
) -> None:
    found = outcome(gateway, "NOT_A_CANDIDATE")
    branch = found.branches[0]
    branch.named, branch.similarity, branch.last_similarity = False, 0.125, 0.25
    page = (await web.open("/why?why=wine-2&text=red")).text
    assert "it is not among the first 100: it has 0.125, and the last of them 0.250." in page
    assert "It would have place 12." in page


async def test_a_photo_has_a_heat_map(web: Browser, gateway: FakeGateway) -> None:
    sent = await web.send("/", {}, photo=JPEG)
    page = (await web.open(f"/why{sent.headers['location'][1:]}&why=wine-2")).text
    (drawn,) = gateway.requests["DrawHeatMap"]
    assert (drawn.image, drawn.product_id) == (JPEG, "wine-2")
    found = re.search(r'src="(/kept/map/[^"]+)"', page)
    assert found is not None
    assert (await web.open(found[1])).status_code == 200
    why = status(code_pb2.FAILED_PRECONDITION, "no positions", reason="HEAT_MAP_UNAVAILABLE")
    gateway.fail("DrawHeatMap", why)
    page = (await web.open(f"/why{sent.headers['location'][1:]}&why=wine-2")).text
    assert "There is no heat map:" in page
    assert "no positions" in page


async def test_a_product_that_is_not_in_the_catalog(web: Browser, gateway: FakeGateway) -> None:
    found = outcome(gateway, "PRODUCT_NOT_FOUND")
    for name in ("product", "score", "last_shown"):
        found.ClearField(name)
    del found.branches[:]
    page = await web.open("/why?why=%3Cb%3E%2F%22%F0%9F%8D%B7")
    assert page.status_code == 200
    assert "Import it" in page.text
    assert "<b>/" not in page.text
    assert not gateway.requests["Search"]


async def test_an_invalid_id_is_told_at_its_field(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail(
        "ExplainRecommendation",
        status(
            code_pb2.INVALID_ARGUMENT,
            "bad",
            reason="REQUEST_INVALID",
            violations=(("product_id", "has 200 bytes"),),
        ),
    )
    page = await web.open("/why?why=x")
    assert page.status_code == 400
    assert 'id="why-says" class="wrong"' in page.text


async def test_neighbours_that_are_not_to_be_had_leave_the_explanation(
    web: Browser, gateway: FakeGateway
) -> None:
    why = status(code_pb2.UNAVAILABLE, "gone", reason="INDEX_UNAVAILABLE")
    gateway.after["Search"] = (0, why)
    page = await web.open("/why?why=wine-2")
    assert page.status_code == 200
    assert "Nebbiolo" in page.text
    assert "Products that look like it" not in page.text
