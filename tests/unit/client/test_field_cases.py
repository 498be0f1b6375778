"""Inputs of kinds that shops report in public are read with the values that people mean, or their
rows are rejected: none is stored otherwise, and none vanishes.

The files in `field_cases` are our own, each of the shape of such a report.
"""

import unicodedata
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import typer

from sightline.common.v1 import product_pb2
from sightline_client.cli.commands.events import EVENTS
from sightline_client.cli.work.columns import FileColumns
from sightline_client.cli.work.importing import open_file
from sightline_client.errors import SightlineError
from sightline_client.files import events, products
from sightline_client.files.accounts import accounted
from sightline_client.files.model import Row, RowTable
from sightline_client.files.seen import SeenIds, twice

CASES = Path(__file__).parent / "field_cases"
Values = Mapping[str, str]
REJECTED: Values = {}
"""The row is rejected, with a reason."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@dataclass(frozen=True)
class Case:
    """A file, and what its rows mean."""

    file: str
    right: Mapping[str, Values]
    map: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    rejected: frozenset[str] = field(default_factory=frozenset)
    """Rows that may be rejected instead."""

    @property
    def columns(self) -> FileColumns:
        return FileColumns(
            typer.Context(click.Command("import")), map=[*self.map], constants=[*self.set]
        )


def either(*ids: str) -> frozenset[str]:
    return frozenset(ids)


EUR = ("currency=EUR",)
PRODUCTS = (
    Case(
        "quote-inch.csv",
        {
            "r1": {"price": "12.50 EUR"},
            "r2": {"title": "Muffe"},
            "r3": {"title": "Bogen"},
            "r4": {"price": "6.50 EUR"},
            "r5": {"title": "Kappe"},
        },
        rejected=either("r1", "r2", "r3", "r4"),
    ),
    Case(
        "quote-last.tsv",
        {
            "r1": {"title": "Poêle"},
            "r2": {"price": "11 EUR"},
            "r3": {"title": "Couvercle"},
            "r4": {"title": "Sauteuse"},
        },
        rejected=either("r2", "r3", "r4"),
    ),
    Case(
        "quote-count.csv",
        {"r1": {"price": "20 CNY"}, "r2": {"title": "壶"}, "r3": {"title": "盖"}},
        map=("商品编号=id", "商品名称=title", "售价=price"),
        set=("currency=CNY",),
        rejected=either("r1", "r2", "r3"),
    ),
    Case(
        "quote-lines.csv",
        {"r1": {"description": 'Zeile eins\nZeile zwei; mit "Zoll"\n\nZeile vier'}, "r2": {}},
    ),
    Case(
        "price-comma.csv",
        {"r1": {"price": "1299 EUR"}, "r2": {"price": "1.299 EUR"}, "r3": {"price": "19.90 EUR"}},
        map=("sku=id", "name=title", "prix=price"),
        set=EUR,
    ),
    Case(
        "price-english.csv",
        {"r1": {"price": "1299 EUR"}, "r2": {"price": "1299 EUR"}, "r3": {"price": "19.90 EUR"}},
        map=("sku=id", "name=title", "price each=price"),
        set=EUR,
    ),
    Case(
        "price-swiss.csv",
        {"r1": {"price": "1299 CHF"}, "r2": {"price": "1299 CHF"}, "r3": {"price": "19 CHF"}},
        map=("sku=id", "name=title", "preis=price"),
        set=("currency=CHF",),
    ),
    Case("price-feed.xml", {"r1": {"price": "2500 USD"}, "r2": {"price": "2500 USD"}}),
    Case(
        "currency-yen.csv",
        {"r1": {"price": "19.99 CNY"}, "r2": {"price": "19.99 CNY"}},
        map=("货号=id", "品名=title", "价格=price"),
        set=("currency=CNY",),
    ),
    Case(
        "currency-aud.csv",
        {"r1": {"price": "7.50 AUD"}, "r2": {"price": "7.50 AUD"}},
        map=("sku=id", "name=title"),
        set=("currency=AUD",),
        rejected=either("r1"),
    ),
    Case(
        "option-name.csv",
        {
            "r1": {"price": "10 EUR", "attributes.schuhgroesse_eu": "40"},
            "r2": {"price": "10 EUR", "attributes.schuhgroesse_eu": "41"},
        },
        set=EUR,
    ),
    Case(
        "option-pack.csv",
        {"r1": {"price": "20 EUR", "attributes.packungsgroesse": "250 g"}},
        set=EUR,
    ),
    Case(
        "guess-headers.csv",
        {"r1": {"title": "帽子", "attributes.groesse": "M"}, "r2": {"title": "手套"}},
        map=("guess",),
    ),
    Case(
        "stock-draft.csv", {"r1": {"stock": "OUT_OF_STOCK"}, "r2": {"stock": "IN_STOCK"}}, set=EUR
    ),
    Case(
        "stock-untracked.csv",
        {"r1": {"stock": "IN_STOCK"}, "r2": {"stock": "OUT_OF_STOCK"}},
        set=EUR,
    ),
    Case(
        "stock-words.csv",
        {
            "r1": {"stock": "IN_STOCK"},
            "r2": {"stock": "OUT_OF_STOCK"},
            "r3": {"stock": "PREORDER"},
            "r4": {"stock": "OUT_OF_STOCK"},
            "r5": {"stock": "BACKORDER"},
            "r6": REJECTED,
        },
    ),
    Case("sale-ended.csv", {"r1": {"price": "20 EUR"}, "r2": {"price": "5 EUR"}}, set=EUR),
    Case("sale-ended-feed.tsv", {"r1": {"price": "20 EUR"}, "r2": {"price": "5 EUR"}}),
    Case(
        "variant-inherits.csv",
        {"r1": {"category": "Wohnen > Lampen", "brand": "Acme", "price": "12 EUR"}, "r": {}},
        set=EUR,
    ),
    Case("page-list-price.html", {"r1": {"price": "15 EUR"}}),
    Case("page-reference.html", {"r1": {"price": "9.90 CHF", "stock": "OUT_OF_STOCK"}}),
    Case(
        "entity-page.html",
        {"r1": {"title": "Café & Thé", "category": "Maison > Cuisine", "brand": "D'Or & Fils"}},
    ),
    Case(
        "entity-own.csv",
        {"r1": {"title": "Café & Thé", "category": "Maison > Cuisine", "brand": "D'Or & Fils"}},
    ),
    Case(
        "code-zeros.csv",
        {
            "r1": {"attributes.ean": "0012345678905", "attributes.plz": "01067"},
            "r2": {"attributes.ean": "4006381333931", "attributes.plz": "80331"},
        },
        map=(
            *("artikelnummer=id", "bezeichnung=title", "ean-code=attributes.ean"),
            "plz=attributes.plz",
        ),
    ),
    Case("id-formula.tsv", {"007": {"title": "Lampe"}, "08": {"title": "Schirm"}}),
    Case(
        "image-comma.csv",
        {
            "r1": {
                "images": "https://images.example.com/x/upload/w_400,h_400,c_fill/hut.jpg"
                " https://images.example.com/x/b,2.jpg"
            }
        },
        map=("sku=id", "name=title", "bild=images"),
    ),
    Case(
        "header-shopify.csv",
        {
            "r1": {"price": "25 EUR", "stock": "IN_STOCK", "category": "Kleidung > Hüte"},
            "r2": {"price": "26 EUR", "stock": "BACKORDER", "category": "Kleidung > Hüte"},
        },
        set=EUR,
    ),
    Case("header-trailing.csv", {"r1": {"price": "10 EUR"}, "r2": {"price": "11 EUR"}}),
    Case("header-sep.csv", {"r1": {"title": "Lampe", "price": "19.90 EUR"}}),
    Case("tags-twice.csv", {"r1": {"tags": "Neu Angebot"}}, rejected=either("r1")),
)
NOON = "2025-11-02T11:00:00"
ACTIONS = (
    Case("time-digits.csv", {f"r{n}": {"time": "2025-11-24T18:48:32"} for n in (1, 2, 3)}),
    Case("time-browser.csv", {"r1": {"time": NOON}, "r2": {"time": NOON}}),
    Case("time-spreadsheet.csv", {"r1": REJECTED, "r2": REJECTED}),
)


def product(row: Row, open_: object) -> dict[str, str]:
    made = products.product(row.cells, open_, read=False)  # type: ignore[arg-type]
    stock = product_pb2.Availability.Name(made.availability).removeprefix("AVAILABILITY_")
    price = f"{made.price.units + made.price.nanos / 1e9:.3f}"
    price = price.removesuffix("0").removesuffix(".00")
    return {
        "id": made.product_id,
        "title": made.title,
        "description": made.description,
        "brand": made.brand,
        "category": " > ".join(made.category_path),
        "tags": " ".join(made.tags),
        "price": f"{price} {made.price.currency_code}",
        "stock": stock,
        "images": " ".join(products.photos(row.cells, open_)),  # type: ignore[arg-type]
        **{f"attributes.{each.key}": each.text for each in made.attributes},
    }


def action(row: Row) -> dict[str, str]:
    made = events.event(row.cells)
    at = datetime.fromtimestamp(made.event_time.seconds, UTC)
    return {"id": made.event_id, "time": at.strftime("%Y-%m-%dT%H:%M:%S")}


def outcome(
    table: RowTable, make: Callable[[Row], dict[str, str]]
) -> tuple[dict[str, Values], list[str]]:
    """Read all rows. Return those that are stored, by their ids, and the reasons of others with
    their cells."""
    stored: dict[str, Values] = {}
    rejected: list[str] = []
    with closing(table), SeenIds() as seen:
        for row in accounted(table):
            try:
                if row.error is not None:
                    raise row.error
                made = make(row)
                if (error := twice(seen, row, made["id"])) is not None:
                    raise error
                stored[made["id"]] = made
            except SightlineError as error:
                rejected.append(f"{error} {row.cells}")
    return stored, rejected


def check(case: Case, stored: Mapping[str, Values], rejected: list[str]) -> None:
    for id_, values in case.right.items():
        if values is REJECTED or (id_ not in stored and id_ in case.rejected):
            assert id_ not in stored
            assert any(id_ in each for each in rejected), f"{id_} vanished"
            continue
        assert id_ in stored, rejected
        found = {name: stored[id_][name] for name in values}
        assert found == values


@pytest.mark.parametrize("case", PRODUCTS, ids=lambda case: case.file)
def test_a_table_of_products_means_what_people_mean(case: Case) -> None:
    source = open_file(CASES / case.file, None, case.columns, "catalog")
    check(case, *outcome(source.table, lambda row: product(row, source.photos)))


@pytest.mark.parametrize("case", ACTIONS, ids=lambda case: case.file)
def test_a_table_of_events_means_what_people_mean(case: Case) -> None:
    table = EVENTS.open(CASES / case.file, case.columns, scope="catalog")
    check(case, *outcome(table, action))


def test_an_event_without_a_product_is_left_out_and_counted() -> None:
    case = Case("placeholder.jsonl", {})
    table = EVENTS.open(CASES / case.file, case.columns, scope="catalog")
    with closing(table):
        found = [events.event(row.cells).product_id for row in accounted(table)]
    assert found == ["P1"]


def test_a_photo_with_a_decomposed_name_is_that_of_the_composed_id(tmp_path: Path) -> None:
    photo = tmp_path / unicodedata.normalize("NFD", "Brûlée-1.jpg")
    photo.write_bytes(b"jpeg")
    case = Case("names.csv", {})
    source = open_file(CASES / case.file, tmp_path, case.columns, "catalog")
    with closing(source.table):
        (row,) = accounted(source.table)
    made = products.product(row.cells, source.photos)
    assert [image.content for image in made.images] == [b"jpeg"]


def test_every_file_has_a_case() -> None:
    named = {case.file for case in (*PRODUCTS, *ACTIONS)} | {"placeholder.jsonl", "names.csv"}
    assert named == {path.name for path in CASES.iterdir()}
