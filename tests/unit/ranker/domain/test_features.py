import pytest

from ranker.domain import features
from ranker.domain.features import (
    MOST_OF_TITLE,
    Money,
    Product,
    feature_names,
    price_band,
    price_range,
    split,
    title_words,
    vocabulary_in,
    vocabulary_of,
)
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


def titled(*titles: str, count: int = 0) -> list[Product]:
    """Return products with these titles, and untitled ones up to `count`."""
    given = [*titles, *[""] * (count - len(titles))]
    return [Product(f"p{number:04}", title=title) for number, title in enumerate(given)]


def test_words_of_a_title_are_folded_and_counted_once() -> None:
    assert title_words("Château MARGAUX, château 2015") == ("chateau", "margaux", "2015")


def test_a_long_title_counts_with_its_first_words() -> None:
    words = [f"w{number}" for number in range(MOST_OF_TITLE + 5)]
    assert title_words(" ".join(words)) == tuple(words[:MOST_OF_TITLE])


def test_a_vocabulary_has_words_of_two_products_to_two_percent_of_them() -> None:
    titles = ("the star wars", "the star trek", "the wars star", "the last trek trek")
    assert vocabulary_of(titled(*titles, count=100)) == {"wars", "trek"}
    assert vocabulary_of(titled(*titles, count=150)) == {"wars", "trek", "star"}
    assert vocabulary_of(titled(*titles, count=99)) == set()


def test_a_vocabulary_that_is_too_large_keeps_the_words_of_most_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "MOST_WORDS", 2)
    products = titled("b a c", "c b", "a c", count=200)
    assert vocabulary_of(products) == vocabulary_of(products[::-1]) == {"a", "c"}


def test_only_words_of_the_vocabulary_become_features() -> None:
    one = Product("p1", title="Star Wars")
    assert feature_names(one, (), {"star", "trek"}) == ("id=p1", "word=star")
    assert feature_names(one, ()) == ("id=p1",)


def test_a_vocabulary_is_read_from_the_names_of_features() -> None:
    assert vocabulary_in(("id=word=a", "tag=star", "word=trek", "word=wars")) == {"trek", "wars"}
