"""A text that stands for no value is no product and no shopper."""

from pathlib import Path

import pytest

from sightline_client.errors import SightlineError
from sightline_client.files import events, offers, placeholders, products
from sightline_client.files.conversion import ExportDates
from sightline_client.files.model import Row
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.placeholders import PLACEHOLDER, is_placeholder
from sightline_client.files.shapes import EVENTS
from sightline_rules.placeholders import PLACEHOLDERS

WRITTEN = ("(not set)", "undefined", "NULL", "NaN", "None", "-", "n/a", " null ", "[object Object]")
VIEW = {"type": "VIEW", "user_id": "u", "product_id": "p"}


def test_the_client_and_the_services_know_the_same() -> None:
    assert placeholders.PLACEHOLDERS == PLACEHOLDERS
    assert all(text == text.strip().casefold() for text in PLACEHOLDERS)


@pytest.mark.parametrize("text", WRITTEN)
def test_rows_with_a_placeholder_as_an_id_are_rejected_with_the_column(text: str) -> None:
    for name in ("user_id", "product_id"):
        with pytest.raises(SightlineError) as refusal:
            events.event(VIEW | {name: text})
        assert (refusal.value.reason, refusal.value.violations[0].field) == (PLACEHOLDER, name)
    with pytest.raises(SightlineError):
        events.event({"type": "VIEW", "visitor_id": text, "product_id": "p"})
    with pytest.raises(SightlineError):
        offers.offer({"id": text, "available": "true"})


def test_a_placeholder_beside_the_other_shopper_says_nothing() -> None:
    assert events.event(VIEW | {"visitor_id": "null"}).shopper.user_id == "u"
    assert events.event(VIEW | {"user_id": "null", "visitor_id": "v"}).shopper.visitor_id == "v"


def test_orders_sessions_and_queries_of_that_name_are_none() -> None:
    made = events.event(
        VIEW | {"order_id": "(not set)", "session_id": "null", "query": "undefined"}
    )
    assert (made.order_id, made.session_id, made.query) == ("", "", "")


@pytest.mark.parametrize("text", ["4.00638E+12", "1,5E+10"])
def test_an_id_that_a_spreadsheet_has_shortened_is_rejected(text: str) -> None:
    with pytest.raises(SightlineError, match="format the column as text"):
        offers.offer({"id": text, "available": "true"})


@pytest.mark.parametrize("text", ["no-name", "n", "NA-1", "0", "null-1", "1E5", "none of these"])
def test_other_ids_are_ids(text: str) -> None:
    assert not is_placeholder(text)
    assert events.event(VIEW | {"product_id": text}).product_id == text


def test_items_without_a_product_are_left_out_of_an_export() -> None:
    items = [{"item_id": "(not set)"}, {"item_id": "P1"}]
    row = Row(1, {"event_name": "view_item", "user_pseudo_id": "1.2", "items": items})
    found = list(EVENTS["ga4"].read(iter([row]), ExportDates()))
    assert [one.left_out != "" for one in found] == [True, False]
    assert found[1].cells["product_id"] == "P1"


def test_a_product_with_a_placeholder_as_its_id_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SightlineError):
        products.product({"id": "null", "title": "Pan"}, PhotoFolder(tmp_path))


def test_entries_that_a_row_repeats_count_once(tmp_path: Path) -> None:
    row = {"id": "1", "title": "a", "tags": "sale|new|sale", "attributes": {"c": ["x", "x", 1, 1]}}
    made = products.product(row, PhotoFolder(tmp_path))
    assert list(made.tags) == ["sale", "new"]
    assert len(made.attributes) == 2
