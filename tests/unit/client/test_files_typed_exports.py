"""An export gives the same products from CSV and after another program has saved it: Excel and
Parquet give the cells types."""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pytest
from google.protobuf.json_format import MessageToDict
from pyarrow import parquet

from sightline_client.errors import SightlineError
from sightline_client.files import products
from sightline_client.files.conversion import ExportDates
from sightline_client.files.mapping import ColumnMap
from sightline_client.files.opening import Reading, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.shapes import PRODUCTS

TODAY = datetime.combine(datetime.now(UTC), time())
TABLES: Mapping[str, Sequence[str]] = {
    "shopify": (
        "handle,title,published,variant price,variant sku,variant inventory tracker,"
        "variant inventory qty,variant inventory policy,option1 name,option1 value",
        "a,Hat,false,9,a,,5,deny,,",
        "b,Hat,true,9.5,b,shopify,0,deny,,",
        "c,Hat,true,9,41,shopify,0,continue,Size,38",
        "c,,,9,42,shopify,2,deny,Size,40",
    ),
    "woocommerce": (
        "id,type,sku,name,published,in stock?,regular price,sale price,date sale price ends,parent,"
        "attribute 1 name,attribute 1 value(s)",
        "1,variable,7,Pan,1,1,9.5,,,,Size,38",
        "2,variation,8,Pan,1,0,9,5,2020-01-01,7,Size,38",
        f"3,simple,9,Pan,0,1,9,5,{TODAY:%Y-%m-%d},,Weight,1.5",
        "4,simple,10,Pan,false,true,9,,,,,",
        "5,simple,11,Pan,true,false,9,,,,,",
    ),
    "magento": (
        "sku,attribute_set_code,product_type,name,product_online,visibility,price,special_price,"
        "special_price_to_date,qty,allow_backorders,is_in_stock,manage_stock,"
        "use_config_manage_stock,country_of_manufacture",
        "1,Default,simple,Pan,1,4,9,,,0,0,0,1,1,4",
        "2,Default,simple,Pan,0,4,9,,,5,0,1,1,1,",
        f"3,Default,simple,Pan,1,1,9,,{TODAY:%Y-%m-%d},5,0,1,1,1,",
        f"4,Default,simple,Pan,1,4,9,5,{TODAY:%Y-%m-%d},0,1,1,1,1,",
        "5,Default,simple,Pan,1,4,9.5,5,2020-01-01,0,0,0,0,0,",
        "6,Default,simple,Pan,true,4,9,,,0,false,false,true,true,",
    ),
    "shopware": (
        "id,product_number,name,active,stock,price_gross,is_closeout",
        "a,1,Pan,0,4,9,0",
        "b,2,Pan,1,0,9.5,1",
        "c,3,Pan,true,0,9,false",
        "d,4,Pan,false,0,9,true",
    ),
    "shopware-5": (
        "ordernumber,mainnumber,name,price_ek,active,instock,laststock,additionaltext",
        "1,1,Pan,9,0,4,0,38",
        "2,1,Pan,9.5,1,0,1,40",
    ),
    "akeneo": (
        "sku,family,categories,enabled,name-en_us,price-eur,pieces,weight,warm",
        "1,pans,home,0,Pan,9,0,1.5,false",
        "2,pans,home,false,Pan,9.5,4,2,true",
        "3,pans,home,1,4711,9,4,2,true",
    ),
    "google-merchant": (
        "id,title,link,image_link,price,availability,expiration_date,gtin,adult,multipack,size",
        "1,Pan,https://e.com/1,https://e.com/1.jpg,9 EUR,in stock,,4006381333931,false,0,38",
        f"2,Pan,https://e.com/2,https://e.com/2.jpg,9 EUR,0,{TODAY:%Y-%m-%d},,true,6,7.5",
    ),
}


def typed(text: str) -> object:
    """Return a cell as Excel keeps it."""
    if text in ("true", "false"):
        return text == "true"
    for read in (int, float, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    return text or None


def made(path: Path, shape: str) -> list[object]:
    reading = Reading(ColumnMap(constants={"currency": "EUR"}), shape=PRODUCTS[shape])
    found: list[object] = []
    with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
        for row in table.rows():
            assert row.error is None
            product = products.product(row.cells, PhotoFolder(path.parent), read=False)
            found.append(MessageToDict(product))
    return found


@pytest.mark.parametrize("shape", TABLES)
def test_an_export_means_the_same_with_types(tmp_path: Path, shape: str) -> None:
    names, *rows = csv.reader(TABLES[shape])
    path = tmp_path / "export.csv"
    path.write_text("\n".join(TABLES[shape]), "utf-8")
    expected = made(path, shape)
    assert "AVAILABILITY_OUT_OF_STOCK" in str(expected)

    book = openpyxl.Workbook()
    for row in (names, *([typed(cell) for cell in row] for row in rows)):
        book.active.append(row)
    book.save(tmp_path / "export.xlsx")
    assert made(tmp_path / "export.xlsx", shape) == expected

    columns = {}
    for name, *cells in zip(names, *rows, strict=True):
        values = [typed(cell) for cell in cells]
        kinds = {type(value) for value in values if value is not None}
        alike = len(kinds) <= 1 or kinds == {int, float}
        columns[name] = pa.array(values if alike else [cell or None for cell in cells])
    parquet.write_table(pa.table(columns), tmp_path / "export.parquet")
    assert made(tmp_path / "export.parquet", shape) == expected


@pytest.mark.parametrize("day", ["{:%Y-%m-%d}", "{0.day}. {0:%B %Y}"])
def test_a_day_is_over_when_it_ends(day: str) -> None:
    assert not ExportDates().past(day.format(TODAY), "end")
    assert ExportDates().past(day.format(TODAY - timedelta(days=1)), "end")
    with pytest.raises(SightlineError):
        ExportDates().past("soon", "end")


def test_the_last_day_of_all_is_never_over() -> None:
    assert not ExportDates().past("9999-12-31", "end")


ZONES = ("Pacific/Kiritimati", "Etc/GMT+12")
"""Zones in which it is never the same day."""
SALES: Mapping[str, tuple[str, ...]] = {
    "woocommerce": ("id,sku,name,regular price,sale price,{when}", "1,1,Pan,9,5,{at}"),
    "magento": (
        "sku,attribute_set_code,product_type,name,price,special_price,{when}",
        "1,Default,simple,Pan,9,5,{at}",
    ),
    "google-merchant": (
        "id,title,link,image_link,price,sale_price,{when}",
        "1,Pan,https://e.com/1,https://e.com/1.jpg,9 EUR,5 EUR,{at}",
    ),
}
ENDS: Mapping[str, tuple[str, str]] = {
    "woocommerce": ("date sale price ends", "{at}"),
    "magento": ("special_price_to_date", "{at}"),
    "google-merchant": ("sale_price_effective_date", "2020-01-01/{at}"),
}


@pytest.mark.parametrize("shape", SALES)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%d %H:%M"])
def test_a_sale_ends_in_the_zone_that_is_said(
    tmp_path: Path, shape: str, zone: str, form: str
) -> None:
    """Five minutes before and after now, and the days around it, as people of the zone write."""
    path, local = tmp_path / "export.csv", datetime.now(ZoneInfo(zone))
    step = timedelta(days=1) if form == "%Y-%m-%d" else timedelta(minutes=5)
    when, at = ENDS[shape]
    for end, price in ((local - step, 9), (local + step, 5)):
        text = "\n".join(SALES[shape])
        path.write_text(text.format(when=when, at=at.format(at=end.strftime(form))), "utf-8")
        reading = Reading(
            ColumnMap(constants={"currency": "EUR"}), PRODUCTS[shape], zone=ZoneInfo(zone)
        )
        with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
            (row,) = table.rows()
        made = products.product(row.cells, PhotoFolder(tmp_path), read=False)
        assert made.price.units == price


def test_a_product_of_the_retail_api_is_for_sale_in_the_zone_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    for zone in map(ZoneInfo, ZONES):
        local = datetime.now(zone)
        for end, price in ((local - timedelta(minutes=5), 9), (local + timedelta(minutes=5), 5)):
            until = end.strftime("%Y-%m-%dT%H:%M:%S")
            of = {"price": 5, "originalPrice": 9, "currencyCode": "EUR", "priceExpireTime": until}
            item = {"id": "1", "title": "Pan", "priceInfo": of}
            path.write_text(json.dumps(item), "utf-8")
            reading = Reading(shape=PRODUCTS["google-retail"], zone=zone)
            with closing(open_table(path, columns=(), needed=(), reading=reading)) as table:
                (row,) = table.rows()
            assert row.cells["price"] == price


@pytest.mark.parametrize("fault", ["#N/A", "#REF!", "#NV"])
@pytest.mark.parametrize("column", ["title", "brand", "tags", "attributes"])
@pytest.mark.parametrize("end", ["csv", "xlsx"])
def test_the_fault_of_a_formula_is_no_text(
    tmp_path: Path, end: str, column: str, fault: str
) -> None:
    row = {"id": "1", "title": "Pan", column: fault}
    if column == "attributes":
        row[column] = json.dumps({"size": fault})
    path = tmp_path / f"shop.{end}"
    if end == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([row, row.values()])
    else:
        book = openpyxl.Workbook()
        book.active.append([*row])
        book.active.append([*row.values()])
        book.save(path)
    with closing(open_table(path, columns=products.COLUMNS, needed=products.NEEDED)) as table:
        (read,) = table.rows()
    assert read.error is None
    with pytest.raises(SightlineError, match=f"{column}: '{fault}' is the fault of a formula"):
        products.product(read.cells, PhotoFolder(tmp_path), read=False)
