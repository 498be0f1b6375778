"""Each documented column of an export is read, or ignored for a reason; others are reported."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from sightline_client.files.conversion import ExportDates, Shape, Shaped
from sightline_client.files.forms import unformed
from sightline_client.files.model import Row, bad
from sightline_client.files.opening import Reading, open_table
from sightline_client.files.shapes import EVENTS, PRODUCTS
from tests.unit.client.files_made import Made, exports

TABULAR = ("shopify", "woocommerce", "google-merchant", "google-retail")


def shape_of(made: Made) -> Shape:
    return (EVENTS if made.events else PRODUCTS)[made.shape]


class Watched(dict[str, object]):
    """Cells that note which columns a converter asks for."""

    asked: ClassVar[set[str]] = set()

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> object:
        self.asked.add(name)
        return super().__getitem__(name)


def asked(made: Made, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the columns that the converter of an export asks for, in the form of its table."""
    monkeypatch.setattr(Watched, "asked", set())
    shape = shape_of(made)
    form = shape.columns.form
    rows = [
        Row(n, Watched({form(k): v for k, v in row.items()})) for n, row in enumerate(made.values)
    ]
    assert list(shape.read(iter(rows), ExportDates()))
    return {shape.columns.named(name) for name in Watched.asked}


@pytest.mark.parametrize("made", exports(), ids=lambda made: made.name)
def test_every_documented_column_is_in_one_table(made: Made) -> None:
    columns = shape_of(made).columns
    assert [name for name in made.columns if not columns.knows(columns.form(name))] == []
    assert not columns.read.keys() & columns.ignored.keys()
    assert all(why.strip() for why in (*columns.read.values(), *columns.ignored.values()))


@pytest.mark.parametrize("made", exports(), ids=lambda made: made.name)
def test_a_converter_reads_no_column_that_its_table_does_not_name(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(made, monkeypatch) <= shape_of(made).columns.read.keys()


@pytest.mark.parametrize("name", ["shopify", "woocommerce", "magento", "shopware", "shopware-5"])
def test_a_converter_reads_every_column_that_its_table_calls_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: dict[str, object] = {"Sale price": "5", "Variant Inventory Qty": "0"}
    values |= {"Variant Inventory Tracker": "x", "special_price": "5", "manage_stock": "0"}
    values |= {"use_config_manage_stock": "1"}
    values |= {"is_in_stock": "1", "qty": "0", "laststock": "1", "is_closeout": "1"}
    for made in exports():
        if made.name == name:
            made.values[0].update(
                {key: cell for key, cell in values.items() if key in made.columns}
            )
            wanted = shape_of(made).columns
            there = {wanted.named(wanted.form(column)) for column in made.columns}
            assert asked(made, monkeypatch) >= wanted.read.keys() & there


@pytest.mark.parametrize(
    "made", [each for each in exports() if each.name != "akeneo"], ids=lambda made: made.name
)
def test_a_new_column_with_a_value_is_reported_and_an_empty_one_is_not(
    tmp_path: Path, made: Made
) -> None:
    made = Made(**{**vars(made), "more": {"Sold Until": "2026-03-01", "Other": ""}})
    reading = Reading(shape=shape_of(made))
    with closing(open_table(made.write(tmp_path), columns=(), needed=(), reading=reading)) as table:
        shaped = unformed(table)
        assert isinstance(shaped, Shaped)
        list(table.rows())
        assert [*shaped.foreign] == [shape_of(made).columns.form("Sold Until")]


def read(shape: str, *rows: Mapping[str, object]) -> list[Row]:
    numbered = (Row(n, row) for n, row in enumerate(rows, start=1))
    return [*PRODUCTS[shape].read(numbered, ExportDates())]


def woo(**more: object) -> dict[str, object]:
    names = {name.replace("_", " "): value for name, value in more.items()}
    return (
        {"id": "7", "type": "simple", "sku": "w", "name": "Lamp", "in stock?": "1"}
        | {"regular price": "49"}
        | names
    )


@pytest.mark.parametrize(
    ("more", "available"),
    [
        ({}, "true"),
        ({"published": "1"}, "true"),
        ({"published": "-1"}, "false"),
        ({"published": "0"}, "false"),
        ({"visibility_in_catalog": "hidden"}, "false"),
        ({"visibility_in_catalog": "search"}, "true"),
        ({"in stock?": "backorder"}, "backorder"),
    ],
)
def test_woocommerce_drafts_and_hidden_products_are_not_available(
    more: dict[str, object], available: str
) -> None:
    assert read("woocommerce", woo(**more))[0].cells["available"] == available


@pytest.mark.parametrize(
    ("start", "end", "price"),
    [
        ("", "", "9"),
        ("2020-01-01", "2099-01-31", "9"),
        ("2020-01-01", "9999-12-31", "9"),
        ("2020-01-01", "", "9"),
        ("", "2099-12-31", "9"),
        ("2024-01-01", "2024-01-31", "49"),
        ("2098-01-01", "2099-01-31", "49"),
        ("", "2024-01-31 23:59:59", "49"),
    ],
)
def test_a_sale_price_counts_while_its_sale_is_on(start: str, end: str, price: str) -> None:
    dates = {"date sale price starts": start, "date sale price ends": end}
    assert read("woocommerce", woo(sale_price="9", **dates))[0].cells["price"] == price


def test_a_sale_of_which_nobody_knows_the_dates_is_rejected_with_its_id() -> None:
    (row,) = read("woocommerce", woo(sale_price="9", **{"date sale price ends": "soon"}))
    assert row.error is not None
    assert row.cells["id"] == "w"
    assert row.error.violations[0].field == "date sale price ends"


@pytest.mark.parametrize("order", [1, -1])
def test_variations_inherit_from_their_parent_wherever_it_stands(order: int) -> None:
    parent = woo(id="1", type="variable", sku="p", categories="Home > Lamps", brands="Acme")
    parent |= {"images": "https://e.com/a.jpg", "description": "Warm"}
    own = {"brands": "Other", "parent": "id:1", "type": "variation"}
    found = read("woocommerce", *[parent, woo(id="2", sku="v", **own)][::order])
    (variation,) = (row.cells for row in found if row.cells["id"] == "v")
    assert (variation["parent_id"], variation["category"]) == ("p", "Home > Lamps")
    assert (variation["brand"], variation["description"]) == ("Other", "Warm")
    assert variation["images"] == ["https://e.com/a.jpg"]


def test_variations_of_a_draft_are_not_available() -> None:
    parent = woo(id="1", type="variable", sku="p", published="-1")
    *_, variation = read("woocommerce", parent, woo(id="2", type="variation", parent="p", sku="v"))
    assert variation.cells["available"] == "false"


def shop(handle: str, **more: object) -> dict[str, object]:
    names = {name.replace("_", " "): value for name, value in more.items()}
    return {"handle": handle, "variant price": "9", "title": handle.title()} | names


@pytest.mark.parametrize(
    ("more", "available"),
    [
        ({"variant_inventory_tracker": "", "variant_inventory_qty": "0"}, "true"),
        ({"variant_inventory_tracker": "shopify", "variant_inventory_qty": "0"}, "false"),
        ({"variant_inventory_qty": "0"}, "false"),
        ({"variant_inventory_qty": "-2", "variant_inventory_policy": "CONTINUE"}, "backorder"),
        ({"published": "FALSE"}, "false"),
        ({"status": "Draft"}, "false"),
        ({"status": "Active", "published": "TRUE"}, "true"),
    ],
)
def test_shopify_stock_counts_where_it_is_tracked(more: dict[str, object], available: str) -> None:
    assert read("shopify", shop("mug", **more))[0].cells["available"] == available


def broken(number: int, handle: str = "") -> Row:
    return Row(number, {"handle": handle} if handle else {}, bad("", "too few cells"))


def group(*rows: Row | dict[str, object]) -> dict[int, tuple[object, bool]]:
    made = [row if isinstance(row, Row) else Row(n, row) for n, row in enumerate(rows, start=1)]
    return {row.number: (row.cells.get("id"), row.error is None) for row in _read(made)}


def _read(rows: list[Row]) -> Iterator[Row]:
    return PRODUCTS["shopify"].read(iter(rows), ExportDates())


def size(value: str) -> dict[str, object]:
    return shop("hat", option1_name="Size", option1_value=value)


@pytest.mark.parametrize("handle", ["", "hat", "h"])
def test_a_broken_row_does_not_divide_a_product(handle: str) -> None:
    found = group(size("S"), broken(2, handle), size("M"), size("L"), shop("mug"))
    assert found[1] == ("hat-S", True)
    assert [found[number] for number in (3, 4)] == [("hat-M", True), ("hat-L", True)]
    assert found[5] == ("mug", True)
    assert found[2][1] is False


def test_an_id_that_depends_on_a_broken_row_is_not_guessed() -> None:
    found = group(size("S"), broken(2), shop("mug"))
    assert found[1][1] is False
    assert found[3] == ("mug", True)
    with_sku = group(size("S") | {"variant sku": "hat-1"}, broken(2), shop("mug"))
    assert with_sku[1] == ("hat-1", True)


def test_variants_without_the_row_that_all_share_are_rejected() -> None:
    found = group(shop("mug"), broken(2, "hat"), size("M"), size("L"))
    assert found[1] == ("mug", True)
    assert [found[number][1] for number in (3, 4)] == [False, False]


@pytest.mark.parametrize(
    ("more", "available", "price"),
    [
        ({}, "IN_STOCK", 9),
        ({"expiretime": "2024-01-01T00:00:00Z"}, "false", 9),
        ({"availabletime": "2099-01-01T00:00:00Z"}, "false", 9),
        ({"availabletime": "2020-01-01T00:00:00.123Z"}, "IN_STOCK", 9),
        ({"until": "2024-01-01T00:00:00Z"}, "IN_STOCK", 12),
        ({"from": "2099-01-01T00:00:00Z"}, "IN_STOCK", 12),
        ({"from": "2020-01-01T00:00:00Z"}, "IN_STOCK", 9),
    ],
)
def test_times_of_the_retail_api_decide_price_and_availability(
    more: dict[str, object], available: str, price: int
) -> None:
    own = dict(more)
    info: dict[str, object] = {"price": 9, "originalPrice": 12, "currencyCode": "EUR"}
    info |= {"priceExpireTime": own.pop("until", ""), "priceEffectiveTime": own.pop("from", "")}
    row = {"id": "1", "title": "a", "availability": "IN_STOCK", "priceinfo": info} | own
    (made,) = read("google-retail", row)
    assert (made.cells["available"], made.cells["price"]) == (available, price)


def test_an_item_of_a_feed_that_has_expired_is_not_available() -> None:
    item = {"id": "1", "title": "a", "availability": "in_stock", "expiration_date": "2024-01-01"}
    assert read("google-merchant", item)[0].cells["available"] == "false"
    assert (
        read("google-merchant", item | {"expiration_date": "2099-01-01T00:00+0100"})[0].cells[
            "available"
        ]
        == "in_stock"
    )
