"""Markets by the client, the command line and files."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sightline.common.v1 import product_pb2
from sightline_client import (
    Availability,
    MarketValues,
    Offer,
    Product,
    Shelf,
    SightlineClient,
    money,
    parse_filter,
)
from sightline_client.cli import app
from sightline_client.convert import from_wire, to_wire
from sightline_client.errors import SightlineError
from sightline_client.files import opening, products
from sightline_client.files.mapping import column_map
from sightline_client.files.model import FileRefused
from sightline_client.files.photos import PhotoFolder
from tests.fakes.gateway import FakeGateway

ROW = {"id": "1", "title": "Wine", "price": "10", "currency": "EUR"}


def test_values_by_market_are_sent_and_read() -> None:
    market = MarketValues(
        "de", money(5, "EUR"), Availability.PREORDER, "Wein", "Rot", "de", "https://x.de"
    )
    given = Product("1", "Wine", markets=(market, MarketValues("fr")))
    message = to_wire.product(given)
    assert [each.market_id for each in message.markets] == ["de", "fr"]
    assert from_wire.product(message).markets == given.markets


async def test_each_call_sends_its_market(gateway: FakeGateway) -> None:
    async with SightlineClient(gateway.target) as client:
        await client.recommend(market="de", filter=parse_filter("brand = A"))
        await client.search(market="de", text="wine")
        await client.listing(market="de")
        await client.shelves(
            [Shelf("a", listing={}), Shelf("b", listing={"market": "fr"})], market="de"
        )
        await client.get_product("wine-1", market="de")
        [each async for each in client.list_products(market="de")]
        await client.update_offers([Offer("wine-1", money(5, "EUR"))], market="de")
        await client.recommend()
    first, last = gateway.requests["Recommend"]
    assert first.filter.market_id == "de"
    assert first.filter.WhichOneof("expression")
    assert not last.HasField("filter")
    for name in ("Search", "List", "ListProducts"):
        assert gateway.requests[name][0].filter.market_id == "de"
    shelves = gateway.requests["RecommendShelves"][0].shelves
    assert [each.list.filter.market_id for each in shelves] == ["de", "fr"]
    assert gateway.requests["GetProduct"][0].market_id == "de"
    assert gateway.requests["UpdateOffers"][0].market_id == "de"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("recommend --market de", "Recommend"),
        ("search --text wine --market de", "Search"),
        ("similar wine-1 --market de", "Search"),
        ("list --market de", "List"),
        ("values brand --market de", "RecommendValues"),
        ("explain wine-1 --market de", "ExplainRecommendation"),
        ("products list --market de", "ListProducts"),
        ("products get wine-1 --market de", "GetProduct"),
    ],
)
def test_commands_take_a_market(gateway: FakeGateway, line: str, name: str) -> None:
    done = CliRunner().invoke(app, [*line.split(), "--target", gateway.target])
    assert done.exit_code == 0, done.output
    (request,) = gateway.requests[name]
    inner = getattr(request, "request", request)
    assert (inner.market_id if name == "GetProduct" else inner.filter.market_id) == "de"


def read(row: dict[str, Any], tmp_path: Path) -> product_pb2.Product:
    return products.product({**ROW, **row}, PhotoFolder(tmp_path))


def test_columns_of_a_market_are_its_values(tmp_path: Path) -> None:
    made = read(
        {
            "price@de": "5.50",
            "title@de": "Wein",
            "language@de": "de",
            "availability@fr": "preorder",
            "price@ch-fr": "7",
            "currency@ch-fr": "chf",
            "title@at": " ",
        },
        tmp_path,
    )
    swiss, german, french = made.markets
    assert (swiss.market_id, swiss.price.units, swiss.price.currency_code) == ("ch-fr", 7, "CHF")
    assert (german.price.currency_code, german.title, german.language_code) == ("EUR", "Wein", "de")
    assert (french.market_id, french.availability) == ("fr", product_pb2.AVAILABILITY_PREORDER)
    assert not french.HasField("price")
    assert (made.price.units, made.price.currency_code) == (10, "EUR")


@pytest.mark.parametrize(
    "cell",
    [{"de": {"price": 5, "available": True}, "fr": {}}, '{"fr": {}, "de": {"price": 5}}'],
)
def test_a_column_of_markets_is_an_object_by_market(cell: object, tmp_path: Path) -> None:
    german, french = read({"markets": cell, "title@de": "Wein"}, tmp_path).markets
    assert (german.market_id, german.price.units, german.title) == ("de", 5, "Wein")
    assert french == product_pb2.MarketValues(market_id="fr")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"price@de": "five"}, "price@de"),
        ({"currency@de": "EUR"}, "currency@de"),
        ({"availability@de": "maybe"}, "available@de"),
        ({"markets": "{"}, "markets"),
        ({"markets": "[]"}, "markets"),
        ({"markets": {"de": 5}}, "markets"),
        ({"markets": {"de": {"prize": 5}}}, "markets"),
    ],
)
def test_an_invalid_cell_of_a_market_is_named(
    row: dict[str, Any], column: str, tmp_path: Path
) -> None:
    with pytest.raises(SightlineError) as caught:
        read(row, tmp_path)
    assert [each.field for each in caught.value.violations] == [column]


def test_tables_may_have_columns_of_markets_and_no_others(tmp_path: Path) -> None:
    table = tmp_path / "wines.csv"
    table.write_text("id,title,price@de\n1,Wine,5\n", "utf-8")
    lines = tmp_path / "wines.jsonl"
    lines.write_text('{"id": "1", "title": "Wine", "price@de": 5}\n', "utf-8")
    for path in (table, lines):
        opened = opening.open_table(path, columns=products.COLUMNS, needed=products.NEEDED)
        assert [row.error for row in opened.rows()] == [None]
        opened.close()
    for name in ("stock@de", "price@", "price@d_e"):
        table.write_text(f"id,title,{name}\n1,Wine,5\n", "utf-8")
        with pytest.raises(FileRefused):
            opening.open_table(table, columns=products.COLUMNS, needed=products.NEEDED)


def test_a_foreign_column_may_be_mapped_to_one_of_a_market(tmp_path: Path) -> None:
    table = tmp_path / "wines.csv"
    table.write_text('id,title,Preis\n1,Wine,"CHF 7,50"\n', "utf-8")
    by = column_map(["Preis=price@ch"], [], products.COLUMNS)
    reading = opening.Reading(map=by)
    opened = opening.open_table(
        table, columns=products.COLUMNS, needed=products.NEEDED, reading=reading
    )
    (row,) = opened.rows()
    opened.close()
    made = products.product(row.cells, PhotoFolder(tmp_path))
    assert (made.markets[0].price.units, made.markets[0].price.currency_code) == (7, "CHF")
