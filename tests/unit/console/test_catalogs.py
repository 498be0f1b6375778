"""The catalog that the screens are about."""

import pytest
from google.rpc import code_pb2

from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.console.conftest import Browser

FORBIDDEN = status(code_pb2.PERMISSION_DENIED, "not yours", reason="CATALOG_FORBIDDEN")
NO_ROLE = status(code_pb2.PERMISSION_DENIED, "role is missing", reason="ROLE_MISSING")


async def test_all_screens_are_about_the_chosen_catalog(web: Browser, gateway: FakeGateway) -> None:
    page = await web.open("/catalogs")
    assert all(text in page.text for text in ("shop-0", "shop-1", "the catalog default"))
    sent = await web.send("/catalogs", {"catalog": "shop-1"})
    assert sent.status_code == 303
    page = await web.follow(sent)
    assert "<bdi>shop-1</bdi>" in page.text
    assert gateway.requests["Recommend"][-1].catalog_id == "shop-1"
    await web.open("/health")
    assert gateway.requests["GetStatus"][-1].catalog_id == "shop-1"


async def test_a_form_of_another_catalogs_page_is_not_taken(
    web: Browser, gateway: FakeGateway
) -> None:
    token = await web.csrf("/shelf")
    await web.send("/catalogs", {"catalog": "shop-1"})
    typed = {"csrf": token, "act": "publish", "scene": "home"}
    refused = await web.send("/shelf", typed)
    assert refused.status_code == 403
    assert "for the catalog shop-1" in refused.text
    assert not gateway.requests["PublishScene"]


@pytest.mark.parametrize("typed", ["", "../x", "A B", "x" * 64])
async def test_what_is_no_id_is_told_at_its_field(web: Browser, typed: str) -> None:
    answer = await web.send("/catalogs", {"catalog": typed})
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers or "console-catalog" not in str(answer.headers)


async def test_a_catalog_that_the_key_may_not_read_is_not_chosen(
    web: Browser, gateway: FakeGateway
) -> None:
    gateway.fail("GetImage", FORBIDDEN)
    answer = await web.send("/catalogs", {"catalog": "secret"})
    assert answer.status_code == 400
    assert "not yours" in answer.text
    await web.open("/")
    assert gateway.requests["Recommend"][-1].catalog_id == "default"


async def test_a_key_that_may_list_none_types_the_id(web: Browser, gateway: FakeGateway) -> None:
    gateway.fail("ListCatalogs", NO_ROLE)
    page = await web.open("/catalogs")
    assert page.status_code == 200
    assert "type one that you were told" in page.text


async def test_a_cookie_that_names_no_catalog_is_left_out(
    web: Browser, gateway: FakeGateway
) -> None:
    web.web.cookies.set("sightline-console-catalog", "../../x")
    await web.open("/")
    assert gateway.requests["Recommend"][-1].catalog_id == "default"
