"""Exports of other systems become products and events."""

from contextlib import closing
from pathlib import Path

import pytest

from sightline.common.v1 import event_pb2, product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import events, products
from sightline_client.files.conversion import Shape
from sightline_client.files.mapping import ColumnMap
from sightline_client.files.model import FileRefused, Row
from sightline_client.files.opening import Reading, look, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.shapes import EVENTS, PRODUCTS, shape_of

EXPORTS = Path(__file__).parents[3] / "examples" / "exports"


def read_products(name: str) -> dict[str, product_pb2.Product]:
    path = EXPORTS / name
    shape = known(path, PRODUCTS)
    euros = ColumnMap(constants={"currency": "EUR"})
    reading = Reading(map=euros, shape=shape)
    with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
        made = [products.product(row.cells, PhotoFolder(EXPORTS)) for row in table.rows()]
    return {each.product_id: each for each in made}


def read_events(path: Path) -> list[event_pb2.Event]:
    shape = known(path, EVENTS)
    with closing(open_table(path, columns=(), needed=(), reading=Reading(shape=shape))) as table:
        return [events.event(row.cells) for row in table.rows()]


def known(path: Path, shapes: dict[str, Shape]) -> Shape | None:
    columns, _ = look(path, ())
    return shape_of(columns, shapes)


def test_shopify_rows_are_variants_of_one_product_and_its_photos() -> None:
    found = read_products("shopify.csv")
    assert list(found) == ["LS-W-S", "LS-W-M", "LS-B-M", "enamel-mug", "POST-1"]
    shirt = found["LS-B-M"]
    assert (shirt.title, shirt.parent_id, shirt.brand) == (
        "Linen shirt",
        "linen-shirt",
        "Northwind",
    )
    assert shirt.description == "Cool & light. 100% linen"
    assert list(shirt.category_path)[-1] == "Shirts & Tops"
    assert list(shirt.tags) == ["summer", "linen"]
    assert {one.key: one.text for one in shirt.attributes} == {"colour": "Blue", "size": "M"}
    assert (shirt.price.units, shirt.price.nanos) == (54, 900_000_000)
    assert [image.uri.rpartition("/")[2] for image in shirt.images] == [
        *("linen-blue.jpg", "linen-white.jpg", "linen-detail.jpg")
    ]
    assert [found[sku].availability for sku in ("LS-W-S", "LS-W-M", "LS-B-M", "POST-1")] == [
        product_pb2.AVAILABILITY_IN_STOCK,
        product_pb2.AVAILABILITY_OUT_OF_STOCK,
        product_pb2.AVAILABILITY_BACKORDER,
        product_pb2.AVAILABILITY_OUT_OF_STOCK,
    ]
    mug = found["enamel-mug"]
    assert (mug.parent_id, len(mug.images), len(mug.attributes)) == ("", 2, 0)


def test_what_an_export_leaves_empty_is_filled_in_as_is_said() -> None:
    path = EXPORTS / "shopify-wines.csv"
    said = ColumnMap(constants={"currency": "EUR", "images": "{id}.jpg"})
    reading = Reading(map=said, shape=known(path, PRODUCTS))
    with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
        rows = list(table.rows())
    assert [row.cells["images"] for row in rows[:2]] == ["100062.jpg", "100191.jpg"]


def test_woocommerce_variations_name_their_parent() -> None:
    found = read_products("woocommerce.csv")
    assert list(found) == ["HOODIE", "HOODIE-BLUE", "HOODIE-RED", "id:60"]
    assert found["HOODIE"].description == "Thick cotton ."
    assert list(found["HOODIE"].category_path) == ["Clothing", "Hoodies"]
    assert [one.text for one in found["HOODIE"].attributes] == ["Blue", "Red"]
    assert found["HOODIE-RED"].parent_id == "HOODIE"
    assert found["HOODIE-RED"].price.units == 42
    assert found["HOODIE-RED"].availability == product_pb2.AVAILABILITY_OUT_OF_STOCK
    assert (found["id:60"].price.units, found["id:60"].price.nanos) == (18, 500_000_000)


def rows_of(tmp_path: Path, shape: str, text: str) -> list[Row]:
    path = tmp_path / "export.csv"
    path.write_text(text)
    reading = Reading(shape=PRODUCTS[shape])
    with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
        return list(table.rows())


def test_a_variant_without_a_price_stays_one(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "shopify",
        "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src\n"
        "shirt,Shirt,Size,S,S1,10.00,a.jpg\n"
        "shirt,,,M,S2,,\n"
        "shirt,,,L,,,\n"
        "shirt,,,,,,b.jpg\n",
    )
    assert [row.cells["id"] for row in rows] == ["S1", "S2", "shirt-L"]
    assert {row.cells["parent_id"] for row in rows} == {"shirt"}
    assert sum(row.records for row in rows) == 4


WOOCOMMERCE = (
    "ID,Type,SKU,Regular price,Categories,Tags,Parent,Attribute 1 name,Attribute 1 value(s)"
)


def test_two_spellings_of_one_column_are_refused(tmp_path: Path) -> None:
    text = "Handle,Title,Variant Price,Price\nmug,Mug,99.00,10.00\n"
    with pytest.raises(FileRefused, match="'variant price' and 'price' are names of one column"):
        rows_of(tmp_path, "shopify", text)


def test_commas_within_values_of_woocommerce_do_not_divide_them(tmp_path: Path) -> None:
    line = r'1,simple,A,10,"Beer\, wine > Red, Other","a\, b, c",,Volume,"1\,5 l, 2 l"'
    (row,) = rows_of(tmp_path, "woocommerce", f"{WOOCOMMERCE}\n{line}\n")
    assert row.cells["category"] == "Beer, wine > Red"
    assert row.cells["tags"] == ["a, b", "c"]
    assert row.cells["attributes"] == {"volume": ["1,5 l", "2 l"]}


@pytest.mark.parametrize("parent", ["SHIRT", "id:10"])
def test_variations_of_a_product_that_can_not_be_read_are_rejected(
    tmp_path: Path, parent: str
) -> None:
    lines = ["10,variable,SHIRT,,Shirts,,,Size,S,surplus", f"11,variation,SHIRT-S,9,,,{parent},,"]
    for order in (lines, lines[::-1]):
        rows = rows_of(tmp_path, "woocommerce", "\n".join([WOOCOMMERCE, *order]))
        assert [row.error is not None for row in rows] == [True, True]
    (row,) = rows_of(tmp_path, "woocommerce", f"{WOOCOMMERCE}\n{lines[1]}")
    assert (row.cells["parent_id"], row.error) == (parent, None)  # an export of a part


def test_products_of_the_retail_api_keep_their_numbers_and_texts() -> None:
    found = read_products("google-retail.jsonl")
    shoe, variant = found["p-100"], found["p-100-43"]
    assert (shoe.parent_id, variant.parent_id) == ("", "p-100")
    assert (shoe.price.currency_code, shoe.price.units) == ("EUR", 89)
    assert list(shoe.category_path) == ["Shoes", "Running"]
    assert [(one.key, one.number or one.text) for one in shoe.attributes] == [
        *(("drop_mm", 6.0), ("colour", "black"), ("colour", "green"))
    ]
    assert variant.availability == product_pb2.AVAILABILITY_OUT_OF_STOCK


def test_ga4_events_are_one_for_each_item_and_the_same_each_time() -> None:
    found = read_events(EXPORTS / "ga4.jsonl")
    kinds = [event_pb2.EventType.Name(each.type).removeprefix("EVENT_TYPE_") for each in found]
    assert kinds == ["VIEW", "PURCHASE", "PURCHASE", "SEARCH"]
    assert [each.product_id for each in found] == ["100062", "100062", "100191", ""]
    assert found[0].shopper.visitor_id == "1234.5678"
    assert found[1].shopper.user_id == "alice"
    assert found[0].event_time.seconds == 1_772_366_400
    assert (found[1].order_id, found[1].quantity, found[1].unit_price.currency_code) == (
        *("T-1", 2),
        "EUR",
    )
    assert found[3].query == "red wine"
    again = read_events(EXPORTS / "ga4.jsonl")
    assert [each.event_id for each in again] == [each.event_id for each in found]
    assert len({each.event_id for each in found}) == 4


def test_events_of_the_retail_api_are_one_for_each_product() -> None:
    found = read_events(EXPORTS / "google-retail-events.jsonl")
    assert [each.product_id for each in found] == ["100062", "100062", "100191", ""]
    assert found[1].order_id == "T-1"
    assert found[1].quantity == 2
    assert found[3].query == "red wine"


@pytest.mark.parametrize("rubbish", ["{", "[]", '{"event_name": "view_item", "items": 3}'])
def test_a_bad_row_is_said_and_the_others_are_read(tmp_path: Path, rubbish: str) -> None:
    path = tmp_path / "ga4.jsonl"
    good = (EXPORTS / "ga4.jsonl").read_text().splitlines()
    path.write_text("\n".join([good[0], rubbish, good[3]]) + "\n")
    with closing(
        open_table(path, columns=(), needed=(), reading=Reading(shape=EVENTS["ga4"]))
    ) as table:
        rows = list(table.rows())
    assert [row.number for row in rows] == [1, 2, 3]
    if rows[1].error is None:
        with pytest.raises(SightlineError):
            events.event(rows[1].cells)


def test_what_is_none_of_them_is_no_shape() -> None:
    assert shape_of(("id", "title"), PRODUCTS) is None
    assert sorted(PRODUCTS) == [
        *("akeneo", "google-merchant", "google-retail", "magento", "schema-org", "shopify"),
        *("shopware", "shopware-5", "woocommerce"),
    ]
