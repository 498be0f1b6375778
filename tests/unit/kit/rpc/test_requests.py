from typing import Any

import pytest

from servicekit import telemetry
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import (
    CatalogNotFound,
    Pages,
    PageSizeInvalid,
    PageTokenInvalid,
    RequestInvalid,
    check_count,
    describe,
    enter,
    page_place,
    page_size,
    page_token,
)


def test_an_empty_catalog_means_default_where_that_is_declared() -> None:
    assert enter("", "", ["default", "shop"]) == "default"
    assert enter("shop", "", ["default", "shop"]) == "shop"
    with pytest.raises(CatalogNotFound):
        enter("", "", ["shop"])


@pytest.mark.parametrize("name", ["nobody", "Default", "../default", "default "])
def test_an_undeclared_catalog_is_refused_with_its_field(name: str) -> None:
    with pytest.raises(CatalogNotFound) as caught:
        enter(name, "", ["default"])
    assert caught.value.violations[0].field == "catalog_id"


def test_a_usable_request_id_goes_into_the_log_and_another_does_not() -> None:
    telemetry.request_id.set("from the transport")
    enter("", "mine-1", ["default"])
    assert telemetry.request_id.get() == "mine-1"
    enter("", "two words\n", ["default"])
    assert telemetry.request_id.get() == "mine-1"


@pytest.mark.parametrize(("given", "expected"), [(0, 50), (1, 1), (200, 200)])
def test_a_page_size_within_its_range_is_taken(given: int, expected: int) -> None:
    assert page_size(given, 50, 200) == expected


@pytest.mark.parametrize("given", [-1, 201, 10**9])
def test_a_page_size_out_of_its_range_is_refused(given: int) -> None:
    with pytest.raises(PageSizeInvalid) as caught:
        page_size(given, 50, 200)
    assert caught.value.reason == "PAGE_SIZE_INVALID"
    assert "200" in caught.value.message


def test_refusals_name_their_fields_and_stay_short() -> None:
    error = RequestInvalid(*(FieldViolation(f"f{number}", "is odd") for number in range(9)))
    assert error.reason == "REQUEST_INVALID"
    assert error.message == "f0: is odd; f1: is odd; f2: is odd; and 6 more"
    assert len(error.violations) == 9
    assert PageTokenInvalid().violations == (
        FieldViolation("page_token", "is not a page token of this list"),
    )
    assert describe([]) == ""


@pytest.mark.parametrize("place", [("a",), (0,), (-(2**63) + 1, 'é/\\"葡'), (7, 8)])
def test_a_page_token_gives_its_place_back_to_its_own_list_alone(place: tuple[Any, ...]) -> None:
    token = page_token(("default", "train"), *place)
    types = [type(part) for part in place]
    assert page_place(token, ("default", "train"), *types) == place
    assert page_place("", ("default", "train"), *types) == ()
    for about in (("default", ""), ("other", "train"), ("default",), ("default", "train", "x")):
        with pytest.raises(PageTokenInvalid):
            page_place(token, about, *types)


@pytest.mark.parametrize(
    "place", [("",), ("a\0",), ("\ud800",), (2**63,), (True,), (1.5,), (None,), ([],), ("a", "b")]
)
def test_a_place_that_no_store_can_hold_is_a_wrong_token(place: tuple[Any, ...]) -> None:
    token = page_token(("default",), *place)
    for kind in (str, int):
        with pytest.raises(PageTokenInvalid):
            page_place(token, ("default",), kind)


@pytest.mark.parametrize("token", ["x", "?", "é", "bnVsbA", "W10=", "e30", "W" * 100_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        page_place(token, ("default",), str)


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_out_of_range_is_refused_by_name(count: int) -> None:
    with pytest.raises(RequestInvalid) as caught:
        check_count("products", count, 100)
    assert caught.value.violations[0].field == "products"


def test_a_batch_in_range_is_taken() -> None:
    check_count("products", 1, 100)
    check_count("products", 100, 100)


async def test_a_page_begins_after_the_last_entry_of_the_one_before() -> None:
    pages = Pages[int](2, 3, lambda entry: (entry,), (int,))

    async def read(place: tuple[int, ...], limit: int) -> list[int]:
        return [each for each in range(5) if not place or each > place[0]][:limit]

    first, token = await pages.read(("numbers",), 0, "", read)
    second, rest = await pages.read(("numbers",), 3, token, read)
    assert (first, second, rest) == ([0, 1], [2, 3, 4], "")
    with pytest.raises(PageSizeInvalid):
        await pages.read(("numbers",), 4, "", read)
    with pytest.raises(PageTokenInvalid):
        await pages.read(("letters",), 0, token, read)
