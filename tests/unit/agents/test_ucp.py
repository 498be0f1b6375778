"""UCP's addresses, in front of a gateway with canned answers: each answer by its schema."""

import base64
from decimal import Decimal

import httpx
import pytest

from sightline_agents.ucp import products
from sightline_client import Money
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status, wine
from tests.ucp import schemas
from tests.unit.agents.conftest import JPEG, SHOP

SEARCH, LOOKUP, PRODUCT = (f"/ucp/catalog/{name}" for name in ("search", "lookup", "product"))
PHOTO = {"content": base64.b64encode(JPEG).decode()}


async def asked(web: httpx.AsyncClient, path: str, request: object, schema: str) -> dict:
    response = await web.post(path, json=request)
    assert response.status_code == 200, response.text
    found = response.json()
    assert not schemas.violations(found, schema)
    return found


async def failed(web: httpx.AsyncClient, path: str, request: object, code: int) -> dict:
    response = await web.post(path, json=request)
    assert response.status_code == code, response.text
    found = response.json()
    assert found.keys() == {"code", "content"}
    return found


async def test_the_profile_is_public(web: httpx.AsyncClient) -> None:
    response = await web.get("/.well-known/ucp")
    assert response.json() == SHOP.profile()
    assert "public, max-age=" in response.headers["cache-control"]
    assert (await web.get("/ucp/schemas/photo_search.json")).json() == SHOP.schema()


async def test_a_query_is_searched_with_its_filters(
    web: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    request = {
        "query": "red",
        "context": {"currency": "EUR", "address_country": "IT"},
        "filters": {"categories": ["Wine > Red", "Beer"], "price": {"min": 500, "max": 2000}},
        "pagination": {"limit": 500, "cursor": "0"},
    }
    gateway.pages = 2
    found = await asked(web, SEARCH, request, schemas.SEARCH)
    (sent,) = gateway.requests["Recommend"]
    assert (sent.signals[0].text, sent.page_size, sent.page_token) == ("red", 50, "0")
    assert all(word in str(sent.filter) for word in ("Wine > Red", "Beer", "units: 5", "units: 20"))
    assert found["pagination"] == {"has_next_page": True, "cursor": "1"}
    (first, *_) = found["products"]
    assert first["variants"][0]["price"] == {"amount": 1250, "currency": "EUR"}
    assert first["media"][0]["url"] == f"https://shop.example/ucp/photos/{'a' * 64}"
    assert first["metadata"]["reasons"]
    assert list(found["ucp"]["capabilities"]) == ["dev.ucp.shopping.catalog.search"]


async def test_a_photo_is_our_extension(web: httpx.AsyncClient, gateway: FakeGateway) -> None:
    found = await asked(web, SEARCH, {"photo": PHOTO}, schemas.SEARCH)
    (sent,) = gateway.requests["Recommend"]
    assert sent.signals[0].image == JPEG
    assert SHOP.extension in found["ucp"]["capabilities"]


async def test_filters_alone_are_a_listing(web: httpx.AsyncClient, gateway: FakeGateway) -> None:
    found = await asked(web, SEARCH, {"filters": {"categories": ["Wine"]}}, schemas.SEARCH)
    assert found["pagination"] == {
        "has_next_page": True,
        "cursor": "second",
        "total_count": 37,
    }
    assert len(gateway.requests["List"]) == 1


async def test_what_is_not_applied_is_said(web: httpx.AsyncClient, gateway: FakeGateway) -> None:
    request = {"query": "red", "filters": {"price": {"max": 5}, "color": "blue"}}
    found = await asked(web, SEARCH, request, schemas.SEARCH)
    said = [each["content"] for each in found["messages"] if each["code"] == "filter_ignored"]
    assert len(said) == 2
    assert not gateway.requests["Recommend"][0].HasField("filter")


async def test_a_product_without_a_price_is_left_out_and_named(
    web: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.products["free"] = wine("free")
    gateway.products["free"].ClearField("price")
    found = await asked(web, LOOKUP, {"ids": ["free", "wine-1"]}, schemas.LOOKUP)
    assert [each["id"] for each in found["products"]] == ["wine-1"]
    assert {"type": "info", "code": "price_unknown", "content": "free"} in found["messages"]


async def test_a_lookup_returns_each_product_once_and_names_the_missing(
    web: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    ids = ["wine-1", "nope", "wine-1", "x" * 200]
    found = await asked(web, LOOKUP, {"ids": ids}, schemas.LOOKUP)
    (product,) = found["products"]
    assert product["variants"][0]["inputs"] == [{"id": "wine-1", "match": "exact"}]
    missing = [each["content"] for each in found["messages"] if each["code"] == "not_found"]
    assert missing == ["nope", "x" * 200]
    assert len(gateway.requests["GetProduct"]) == 3


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({"categories": ["Wine"]}, True),
        ({"categories": ["Beer", "Wine > Red"]}, True),
        ({"categories": ["Wine > R"]}, False),
        ({"price": {"max": 1250}}, True),
        ({"price": {"max": 1249}}, False),
        ({"price": {"min": 1251}}, False),
    ],
)
async def test_filters_of_a_lookup_exclude_products(
    web: httpx.AsyncClient, gateway: FakeGateway, filters: dict[str, object], passes: bool
) -> None:
    request = {"filters": filters, "context": {"currency": "EUR"}}
    found = await asked(web, LOOKUP, {"ids": ["wine-1"], **request}, schemas.LOOKUP)
    assert bool(found["products"]) is passes
    schema = schemas.PRODUCT if passes else schemas.ERROR
    await asked(web, PRODUCT, {"id": "wine-1", **request}, schema)


async def test_an_unknown_product_is_an_answer(web: httpx.AsyncClient) -> None:
    found = await asked(web, PRODUCT, {"id": "nope"}, schemas.ERROR)
    assert found["messages"][0]["severity"] == "unrecoverable"
    assert (await asked(web, PRODUCT, {"id": "wine-1"}, schemas.PRODUCT))["product"]["id"]


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("path", "request_", "code"),
    [
        (SEARCH, {}, "invalid_request"),
        (SEARCH, {"query": " "}, "invalid_request"),
        (SEARCH, {"filters": {}}, "invalid_request"),
        (SEARCH, {"filters": {"color": "blue"}}, "invalid_request"),
        (SEARCH, {"query": 7}, "invalid_request"),
        (SEARCH, {"query": "x" * 4_097}, "invalid_request"),
        (SEARCH, {"query": "red", "pagination": {"limit": 0}}, "invalid_request"),
        (SEARCH, {"filters": {"price": {"max": -1}}}, "invalid_request"),
        (SEARCH, {"photo": {"content": ""}}, "invalid_request"),
        (SEARCH, {"photo": {"content": "https://a.example/b.jpg"}}, "photo_invalid"),
        (LOOKUP, {"ids": []}, "invalid_request"),
        (LOOKUP, {"ids": [str(each) for each in range(21)]}, "request_too_large"),
        (PRODUCT, [], "invalid_request"),
        (PRODUCT, {"id": "x" * 1_025}, "invalid_request"),
    ],
)
async def test_bad_input_reaches_no_service(
    web: httpx.AsyncClient, gateway: FakeGateway, path: str, request_: object, code: str
) -> None:
    found = await failed(web, path, request_, 400)
    assert found["code"] == code
    assert not gateway.requests


@pytest.mark.parametrize("header", ["", "profile=x", 'profile="http://agent.example/p"'])
async def test_a_platform_names_its_profile(web: httpx.AsyncClient, header: str) -> None:
    response = await web.post(PRODUCT, json={"id": "wine-1"}, headers={"ucp-agent": header})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_profile_url")


@pytest.mark.parametrize(
    ("code", "reason", "http"),
    [
        (16, "TOKEN_MISSING", 401),
        (7, "ROLE_MISSING", 403),
        (8, "QUOTA_EXHAUSTED", 429),
        (13, "INTERNAL", 500),
        (5, "CATALOG_NOT_FOUND", 404),
    ],
)
async def test_a_failed_call_has_its_status_and_reason(
    web: httpx.AsyncClient, gateway: FakeGateway, code: int, reason: str, http: int
) -> None:
    gateway.fail("GetProduct", status(code, "it failed", reason=reason))
    found = await failed(web, PRODUCT, {"id": "wine-1"}, http)
    assert found["code"] == reason.lower()


async def test_a_photo_is_served_as_itself(web: httpx.AsyncClient, gateway: FakeGateway) -> None:
    gateway.photo = JPEG
    response = await web.get(f"/ucp/photos/{'a' * 64}", headers={"authorization": "Bearer slk_a"})
    assert response.content == JPEG
    assert response.headers["x-content-type-options"] == "nosniff"
    assert gateway.authorizations[-1] == "Bearer slk_a"
    denied = await web.get("/ucp/photos/x", headers={"authorization": "Basic YTpi"})
    assert (denied.status_code, denied.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.50", "EUR", 1250), ("12.345", "EUR", 1235), ("1200", "JPY", 1200), ("1.5", "KWD", 1500)],
)
def test_prices_are_in_minor_units(amount: str, currency: str, minor: int) -> None:
    assert products.minor_units(Money(Decimal(amount), currency)) == minor
    again = products.money(minor, currency)
    assert products.minor_units(again) == minor
