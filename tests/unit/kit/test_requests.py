import pytest

from servicekit import telemetry
from servicekit.errors import FieldViolation
from servicekit.requests import (
    CatalogNotFound,
    PageSizeInvalid,
    PageTokenInvalid,
    RequestInvalid,
    describe,
    enter,
    page_size,
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
        FieldViolation("page_token", "is not one of this list"),
    )
    assert describe([]) == ""
