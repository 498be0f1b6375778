"""The profile of a shop, and its extension for photos."""

import pytest

from sightline_agents.ucp.profile import LOOKUP, SEARCH, AddressInvalid, Shop
from tests.ucp import schemas
from tests.unit.agents.conftest import SHOP


def test_the_profile_follows_the_published_schema() -> None:
    assert not schemas.violations(SHOP.profile()["ucp"], schemas.PROFILE)


def test_the_extensions_name_belongs_to_the_domain_of_its_schema() -> None:
    (extension,) = SHOP.profile()["ucp"]["capabilities"][SHOP.extension]
    assert SHOP.extension == "example.shop.shopping.photo_search"
    assert extension["schema"] == SHOP.schema()["$id"]
    assert extension["schema"].startswith("https://shop.example/")
    assert SHOP.schema()["name"] == SHOP.extension
    assert extension["extends"] in SHOP.schema()["$defs"]


@pytest.mark.parametrize(
    ("request_", "valid"),
    [
        ({"photo": {"content": "aGVsbG8="}}, True),
        ({"query": "red", "photo": {"content": "aGVsbG8="}}, True),
        ({"query": "red"}, True),
        ({"photo": {}}, False),
        ({"photo": "aGVsbG8="}, False),
        ({"query": 7, "photo": {"content": "aGVsbG8="}}, False),
    ],
)
def test_the_extended_request_is_composed_of_the_published_one(
    request_: dict[str, object], valid: bool
) -> None:
    further = SHOP.schema()
    found = schemas.violations(request_, f"{further['$id']}#/$defs/{SEARCH}", further)
    assert (not found) is valid


@pytest.mark.parametrize(
    "address",
    [
        "http://shop.example",
        "shop.example",
        "https://localhost",
        "https://127.0.0.1",
        "https://shop.example/ucp",
        "https://ann@shop.example",
        "https://",
        "https://[",
    ],
)
def test_an_address_without_a_domain_is_rejected(address: str) -> None:
    with pytest.raises(AddressInvalid):
        Shop.at(address)


def test_a_domain_that_can_name_no_extension_has_none() -> None:
    shop = Shop.at("https://my-shop.example")
    assert shop.extension is None
    assert list(shop.profile()["ucp"]["capabilities"]) == [SEARCH, LOOKUP]
    assert not schemas.violations(shop.profile()["ucp"], schemas.PROFILE)


def test_a_port_and_a_slash_are_part_of_an_address() -> None:
    assert Shop.at("https://shop.example:8443/").address == "https://shop.example:8443"
