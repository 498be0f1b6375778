"""offers.csv is the output of make_offers.py."""

from decimal import Decimal

from examples.wines import catalogue, make_offers


def test_the_committed_offers_are_the_bytes_that_the_script_writes() -> None:
    wines = (make_offers.HERE / "wines.csv").read_text(encoding="utf-8")
    committed = (make_offers.HERE / "offers.csv").read_bytes()
    assert make_offers.make_offers(wines).encode() == committed


def test_prices_lie_in_the_range_of_the_type_and_about_a_tenth_is_sold_out() -> None:
    wines = catalogue.load_wines()
    for wine in wines:
        low, high, _ = make_offers.PRICE_RANGES[wine.type]
        assert Decimal(low) <= wine.price <= Decimal(high)
    assert 5 <= sum(not wine.available for wine in wines) <= 15
