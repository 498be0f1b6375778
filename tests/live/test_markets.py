"""The page Markets, typed as it stands: columns of markets, their offers and their answers."""

import re
import shlex
from pathlib import Path

import pytest

from sightline_client import Availability, F, SightlineClient, money
from tests.live.hands import Hands

PAGE = (Path(__file__).parents[2] / "docs/integrate/markets.md").read_text("utf-8")
(FILE,) = re.findall(r"^```\n(id,title.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(each)[1:] for each in re.findall(r"^sightline .+$", PAGE, re.MULTILINE)]
OFFERS = "id,price,currency,available\nshirt-1,24,EUR,true\nshirt-2,24,EUR,true\n"


@pytest.mark.when("docs", "client")
async def test_the_commands_of_the_page_do_what_it_says(gateway: str, tmp_path: Path) -> None:
    hands = Hands(gateway, tmp_path, "markets")
    (tmp_path / "shirts.csv").write_text(FILE, "utf-8")
    (tmp_path / "prices-de.csv").write_text(OFFERS, "utf-8")
    async with SightlineClient(gateway, catalog="markets") as client:
        await client.create_catalog("markets")
        imports, offers, recommend, listing, get = COMMANDS
        assert "2 products stored" in hands.run(*imports)
        whole = await client.get_product("shirt-1")
        assert [each.market_id for each in whole.markets] == ["ch-fr", "de", "fr"]
        swiss, german, french = whole.markets
        assert (swiss.price, german.title) == (money("29.50", "CHF"), "Hemd")
        assert (french.price, french.availability) == (None, Availability.IN_STOCK)
        said = hands.run(*offers, code=1)  # shirt-2 lists no market
        assert "MARKET_NOT_FOUND" in said
        assert "1 offer set" in said
        assert "Hemd" in (shown := hands.run(*recommend))
        assert "Linen" not in shown  # 40 EUR
        listed = hands.run(*listing)
        assert listed.index("Hemd") < listed.index("Linen shirt")
        assert "24" in hands.run(*get)


async def test_answers_of_a_market_have_its_products_and_values(
    gateway: str, tmp_path: Path
) -> None:
    lines = (
        '{"id": "a", "title": "Cap", "price": 10, "currency": "EUR",'
        ' "markets": {"de": {"price": 8, "title": "Mütze"}, "fr": {}}}\n'
        '{"id": "b", "title": "Hat", "price": 20, "currency": "EUR", "price@fr": 15}\n'
    )
    (tmp_path / "hats.jsonl").write_text(lines, "utf-8")
    async with SightlineClient(gateway, catalog="market-lines") as client:
        await client.create_catalog("market-lines")
        hands = Hands(gateway, tmp_path, "market-lines")
        assert "2 products stored" in hands.run("products", "import", "hats.jsonl")
        for market, expected in (
            ("", {"a": 10, "b": 20}),
            ("de", {"a": 8}),
            ("fr", {"a": 10, "b": 15}),
            ("at", {}),
        ):
            listed = await client.listing(market=market, facets=["price"])
            prices = {each.product.product_id: each.product.price for each in listed.results}
            assert prices == {name: money(price, "EUR") for name, price in expected.items()}
            assert not any(each.product.markets for each in listed.results)
            read = [each async for each in client.list_products(market=market)]
            assert {each.product_id for each in read} == expected.keys()
        sold = client.list_products(filter=F.market == "de")
        assert [each.product_id async for each in sold] == ["a"]
        answer = await client.recommend(market="fr", filter=F.price < money(12, "EUR"))
        assert [each.product.product_id for each in answer.results] == ["a"]
