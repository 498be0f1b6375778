import pytest

from ranker.domain.features import Money, Product, feature_names, price_band, price_range, split
from tests.fakes.ranker import product


def test_a_product_has_its_id_first_and_every_category_above_it() -> None:
    names = feature_names(product("p1", "Wine > Red > Dry"), ())
    assert names[0] == "id=p1"
    assert {"category=Wine", "category=Wine > Red", "category=Wine > Red > Dry"} < set(names)


def test_only_attributes_that_are_asked_for_become_features_and_each_value_is_one() -> None:
    one = product("p1", attributes=(("grape", "Merlot"), ("grape", "Syrah"), ("abv_text", "13")))
    names = feature_names(one, ("grape", "country"))
    assert "attribute.grape=Merlot" in names
    assert "attribute.grape=Syrah" in names
    assert not any("abv" in name for name in names)


def test_unknown_fields_make_no_feature() -> None:
    assert feature_names(Product("p1"), ("country",)) == ("id=p1",)


def test_the_order_of_tags_changes_nothing() -> None:
    one, other = product("p1", tags=("b", "a", "a")), product("p1", tags=("a", "b"))
    assert feature_names(one, ()) == feature_names(other, ())


@pytest.mark.parametrize(
    ("euros", "band"),
    [(0, "EUR:free"), (1, "EUR:0"), (1.4, "EUR:0"), (1.5, "EUR:1"), (10, "EUR:6"), (20, "EUR:8")],
)
def test_a_price_band_is_half_an_octave(euros: float, band: str) -> None:
    assert price_band(Money(int(euros * 1e6), "EUR")) == band


def test_prices_in_two_currencies_share_no_band() -> None:
    assert price_band(Money(5_000_000, "EUR")) != price_band(Money(5_000_000, "JPY"))


def test_an_attribute_is_named_by_its_key_and_a_value_may_hold_an_equals_sign() -> None:
    assert split("attribute.country=Italy") == ("country", "Italy")
    assert split("brand=A=B") == ("brand", "A=B")


@pytest.mark.parametrize("amount", [0.4, 1.0, 9.99, 14.15, 2500.0])
def test_a_price_lies_in_the_range_of_its_band(amount: float) -> None:
    band = price_band(Money(round(amount * 1e6), "EUR"))
    least, below = price_range(band)
    assert least.currency == "EUR"
    assert least.micros <= amount * 1e6 + 5000
    assert amount * 1e6 <= below.micros + 5000
    assert below.micros == pytest.approx(least.micros * 2**0.5, rel=0.02)


def test_what_is_free_has_no_range() -> None:
    assert price_range("EUR:free") == (Money(0, "EUR"), Money(0, "EUR"))
