"""An export gives the same products from CSV and after another program has saved it: Excel and
Parquet give the cells types."""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from google.protobuf.json_format import MessageToDict
from pyarrow import parquet

from sightline_client.errors import SightlineError
from sightline_client.files import products
from sightline_client.files.conversion import past
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
    assert not past(day.format(TODAY), "end")
    assert past(day.format(TODAY - timedelta(days=1)), "end")
    with pytest.raises(SightlineError):
        past("soon", "end")


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
