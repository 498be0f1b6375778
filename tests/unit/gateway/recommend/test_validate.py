"""Requests that are rejected before any peer is called."""

import math
from dataclasses import replace

import pytest

from gateway.model.errors import ImageRefused
from gateway.model.query import RequestQuery, Signal, SignalKind
from gateway.recommend.validate import MOST_IMAGE_BYTES, catalog, check
from servicekit.rpc.requests import CatalogNotFound, PageSizeInvalid, RequestInvalid
from sightline.common.v1.photo_pb2 import Box
from sightline_core.shoppers import Identity, Shopper
from tests.fakes.gateway_values import address, near, photo, words

DECLARED = ("default", "shop")


@pytest.mark.parametrize("page_size", [0, 1, 200])
def test_a_page_size_in_its_range_is_taken(page_size):
    check(RequestQuery(page_size=page_size), DECLARED)


@pytest.mark.parametrize("page_size", [-1, 201, 10**9, -(2**31)])
def test_a_page_size_out_of_its_range_is_refused(page_size):
    with pytest.raises(PageSizeInvalid) as caught:
        check(RequestQuery(page_size=page_size), DECLARED)
    assert caught.value.reason == "PAGE_SIZE_INVALID"


def test_no_catalog_is_the_default_one_and_an_undeclared_one_is_not_found():
    assert catalog("", DECLARED) == "default"
    with pytest.raises(CatalogNotFound):
        catalog("nope", DECLARED)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (RequestQuery(signals=(Signal(0, SignalKind.NOTHING),)), "signals[0]"),
        (RequestQuery(signals=(photo(weight=-1.0),)), "signals[0].weight"),
        (RequestQuery(signals=(photo(weight=math.nan),)), "signals[0].weight"),
        (RequestQuery(signals=(photo(weight=101.0),)), "signals[0].weight"),
        (RequestQuery(signals=(words(""),)), "signals[0].text"),
        (RequestQuery(signals=(words("x" * 4097),)), "signals[0].text"),
        (RequestQuery(signals=(near(""),)), "signals[0].product_id"),
        (RequestQuery(signals=(near("a\x00b"),)), "signals[0].product_id"),
        (RequestQuery(signals=(near("x" * 129),)), "signals[0].product_id"),
        (RequestQuery(shopper=Shopper(Identity.USER, "")), "shopper.user_id"),
        (RequestQuery(shopper=Shopper(Identity.VISITOR, "x" * 129)), "shopper.visitor_id"),
        (RequestQuery(exclude_product_ids=("x", "")), "exclude_product_ids[1]"),
        (RequestQuery(min_quality=1.5), "min_quality"),
        (RequestQuery(min_quality=math.nan), "min_quality"),
        (RequestQuery(min_answer_quality=5), "min_answer_quality"),
        (RequestQuery(min_answer_quality=-1), "min_answer_quality"),
        (RequestQuery(priority=7), "priority"),
        (RequestQuery(session_id="é" * 65), "session_id"),
        (RequestQuery(request_id="x" * 129), "request_id"),
        (RequestQuery(language_code="x" * 65), "language_code"),
        (RequestQuery(scene="x" * 65), "scene"),
        (RequestQuery(page_token="x" * 4097), "page_token"),
        (RequestQuery(min_index_token="x" * 4097), "min_index_token"),
    ],
)
def test_a_bad_field_is_named(query, field):
    with pytest.raises(RequestInvalid) as caught:
        check(query, DECLARED)
    assert [item.field for item in caught.value.violations] == [field]


def test_all_bad_fields_are_named_at_once():
    with pytest.raises(RequestInvalid) as caught:
        check(RequestQuery(min_quality=2, priority=9), DECLARED)
    assert [item.field for item in caught.value.violations] == ["min_quality", "priority"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [(b"", "IMAGE_UNDECODABLE"), (bytes(MOST_IMAGE_BYTES + 1), "IMAGE_TOO_LARGE")],
)
def test_a_photo_without_bytes_or_with_too_many_is_refused_here(image, reason):
    with pytest.raises(ImageRefused) as caught:
        check(RequestQuery(signals=(words(), photo(1, image))), DECLARED)
    assert caught.value.reason == reason
    assert caught.value.violations[0].field == "signals[1].image"


def test_a_photo_of_the_most_bytes_is_taken():
    check(RequestQuery(signals=(photo(image=bytes(MOST_IMAGE_BYTES)),)), DECLARED)


@pytest.mark.parametrize(
    "uri",
    ["", "photos.test/a.jpg", "file:///etc/passwd", "https:/a", "https://" + "a" * 2_041],
)
def test_an_address_of_another_kind_or_length_is_refused_here(uri):
    with pytest.raises(RequestInvalid) as caught:
        check(RequestQuery(signals=(address(0, uri),)), DECLARED)
    assert [item.field for item in caught.value.violations] == ["signals[0].image_uri"]
    check(RequestQuery(signals=(address(0, "HTTPS://" + "a" * 2_040),)), DECLARED)


def test_chinese_texts_and_ids_are_taken():
    check(RequestQuery(signals=(words("红酒" * 2048), near("酒-7", 1))), DECLARED)


def test_search_needs_a_signal():
    with pytest.raises(RequestInvalid):
        check(RequestQuery(), DECLARED, signals_required=True)


@pytest.mark.parametrize(
    ("signal", "field"),
    [
        (replace(photo(), box=Box(left=0.5, top=0, right=0.5, bottom=1)), "signals[0].box"),
        (replace(photo(), box=Box(left=0, top=0, right=float("nan"), bottom=1)), "signals[0].box"),
        (replace(photo(), box=Box(left=-0.1, top=0, right=1, bottom=1)), "signals[0].box"),
        (replace(photo(), box=Box(left=0, top=0.9, right=1, bottom=0.1)), "signals[0].box"),
        (replace(near("p1"), box=Box(left=0, top=0, right=1, bottom=1)), "signals[0].box"),
        (replace(words(), box=Box(left=0, top=0, right=1, bottom=1)), "signals[0].box"),
    ],
)
def test_a_part_of_a_photo_that_can_not_be_is_refused(signal: Signal, field: str):
    with pytest.raises(RequestInvalid) as caught:
        check(RequestQuery(signals=(signal,)), {"default"})

    assert [violation.field for violation in caught.value.violations] == [field]


def test_the_whole_photo_is_a_box():
    check(
        RequestQuery(signals=(replace(photo(), box=Box(left=0, top=0, right=1, bottom=1)),)),
        {"default"},
    )
