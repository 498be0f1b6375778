"""Text becomes a filter, or an error with its position."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.filter_text import FilterSyntaxError, parse
from sightline_client import Availability, F, Filter, all_of, any_of, money
from sightline_client.convert.filter_text import FIELDS, parse_filter
from sightline_client.values.filters import Comparison, Membership, Operator
from tests.work import assert_grows_evenly

VINTAGE, GRAPE, ORGANIC = map(F.attribute, ("vintage", "grape", "organic"))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('category = "Red" AND price < 3 EUR', (F.category == "Red") & (F.price < money(3, "EUR"))),
        ("price >= 12.50USD", all_of(F.price >= money("12.50", "USD"))),
        ("price<=3 eur AND tags:a", (F.price <= money(3, "EUR")) & (F.tags == "a")),
        ("price>.5 EUR", all_of(F.price > money("0.5", "EUR"))),
        ('price = "30 EUR"', all_of(F.price == money(30, "EUR"))),
        ("brand = Aurora OR brand = 'Miolo'", all_of(F.brand.in_("Aurora", "Miolo"))),
        ("(brand = A OR (brand = B)) AND tags:Beef", F.brand.in_("A", "B") & (F.tags == "Beef")),
        ("brand = A AND tags = x OR tags = y", (F.brand == "A") & F.tags.in_("x", "y")),
        ("((brand != Aurora))", all_of(F.brand != "Aurora")),
        ("availability = IN_STOCK", all_of(F.availability == Availability.IN_STOCK)),
        ('create_time > "2026-03-01T12:00:00Z"', all_of(F.create_time > NOON)),
        ('update_time <= "2026-03-01"', all_of(F.update_time <= NOON.replace(hour=0))),
        ("brand = 30", all_of(F.brand == "30")),
        ("brand = Rosé AND brand != 7Up", (F.brand == "Rosé") & (F.brand != "7Up")),
        ("brand = ANDORRA", all_of(F.brand == "ANDORRA")),
        ("brand = A OR price = 3 EUR", all_of(any_of(F.brand == "A", F.price == money(3, "EUR")))),
        ("brand = A OR brand != B", all_of((F.brand == "A") | (F.brand != "B"))),
        ("brand = A OR (brand = B AND tags = c)",
         all_of((F.brand == "A") | ((F.brand == "B") & (F.tags == "c")))),
        ("brand = A OR (brand = B OR brand = C)", all_of(F.brand.in_("A", "B", "C"))),
        ("tags:a OR (price:* OR title:b)",
         all_of(any_of(F.tags == "a", F.price.exists(), F.title.contains("b")))),
        ("NOT brand = x", all_of(~(F.brand == "x"))),
        ("-brand = x AND NOT(tags:a AND tags:b)",
         all_of(~(F.brand == "x"), ~((F.tags == "a") & (F.tags == "b")))),
        ("NOT brand = A OR brand = B", all_of(~(F.brand == "A") | (F.brand == "B"))),
        ("NOT (brand = A OR brand = B)", all_of(~F.brand.in_("A", "B"))),
        ("NOT NOT tags:a", all_of(F.tags == "a")),
        ("brand = NOTE AND brand = NOT", (F.brand == "NOTE") & (F.brand == "NOT")),
        ("brand:* AND NOT price:*", F.brand.exists() & ~F.price.exists()),
        ('brand:"*" AND brand = *', F.brand.contains("*") & (F.brand == "*")),
        ("category:wine", all_of(F.category.contains("wine"))),
        ("attributes.vintage >= 2015", all_of(VINTAGE >= 2015)),
        ("attributes.vintage:2015 AND tags:a", (VINTAGE == 2015) & (F.tags == "a")),
        ("attributes.vintage < 1e5", all_of(VINTAGE < 1e5)),
        ("attributes.vintage != -13.5", all_of(VINTAGE != -13.5)),
        ('attributes.vintage = "2015"', all_of(VINTAGE == "2015")),
        ("attributes.grape:merlot", all_of(GRAPE.contains("merlot"))),
        ("attributes.grape = A OR attributes.grape = 'true'", all_of(GRAPE.in_("A", "true"))),
        ("attributes.organic = true", all_of(ORGANIC == True)),  # noqa: E712
        ("NOT attributes.organic:*", all_of(~ORGANIC.exists())),
        ("attributes.a.b-c_d = x", all_of(F.attribute("a.b-c_d") == "x")),
        ("", all_of()),
        ("  ", all_of()),
    ],
)  # fmt: skip
def test_what_a_text_means(text: str, meaning: Filter) -> None:
    assert parse_filter(text) == meaning


def test_an_amount_alone_is_in_the_given_currency() -> None:
    assert parse_filter("price < 30", currency="eur") == all_of(F.price < money(30, "EUR"))
    assert parse_filter("price < 30 USD", currency="EUR") == all_of(F.price < money(30, "USD"))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("price < 30", 8, "missing currency: write 30 EUR"),
        ("prise < 3 EUR", 0, "did you mean price?"),
        ("brand = a AND colour = red", 14, "fields are category"),
        ("brand < x", 6, "takes = and !="),
        ("price:3 EUR", 5, "only as price:"),
        ('brand:""', 5, "at least one character"),
        ("title = x", 6, "takes only ':'"),
        ("attributes.a < x", 13, "not < with a text"),
        ("attributes.a <= true", 13, "not <= with a text or a flag"),
        ("attributes.a = 3 EUR", 15, "not a number"),
        ("attributes.a = 1e999", 15, "too large"),
        ("attribute.a = 3", 0, "attributes.<key>"),
        ('brand = "x', 8, "quote is left open"),
        ("NOT", 3, "ends too early"),
        ("brand = x NOT tags:y", 10, "expected AND or OR"),
        ("brand = x AND", 13, "ends too early"),
        ("(brand = x", 10, "closing parenthesis"),
        ("brand = a brand = b", 10, "expected AND or OR"),
        ("availability = maybe", 15, "IN_STOCK"),
        ("price < cheap", 8, "not an amount of money"),
        ("price < 1.2.3 EUR", 8, "not an amount of money"),
        ("price < -3 EUR", 8, "not an amount of money"),
        ("price < 0.1234567 EUR", 8, "6 decimals"),
        ("price < 10000000000000 EUR", 8, "13 digits"),
        ("attributes.Grape = x", 0, "an attribute's key"),
        ('brand = "a\ud800"', 10, "surrogate"),
        (f"brand = {'x' * 1_025}", 8, "1,024 characters"),
        ('create_time > "0001-01-01T00:00:00+14:00"', 14, "is not a time"),
        ('create_time > "yesterday"', 14, "is not a time"),
        ('create_time > "2026-03-01T12:00:00"', 14, "must have a time zone"),
        (")", 0, "unexpected"),
        ("(" * 10_000 + "brand = a" + ")" * 10_000, 32, "nested too deep"),
        ("NOT " * 5000 + "brand = a", 32 * 4, "nested too deep"),
        ("brand = " + "x" * 70_000, 0, "65,536"),
    ],
)
def test_a_mistake_is_reported_with_its_place(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterSyntaxError, match=words) as caught:
        parse_filter(text)
    assert caught.value.column == column


def test_the_caret_stands_under_the_culprit_whatever_stands_before() -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter('brand = "白酒" AND prise < 3 EUR')
    shown, caret = caught.value.pointer.split("\n")
    assert shown.strip() == 'brand = "白酒" AND prise < 3 EUR'
    assert caret.index("^") == 2 + len('brand = "白酒" AND ') + 2  # two characters are wide


@pytest.mark.slow
@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=0, max_size=40))
def test_any_text_in_quotes_is_compared_literally(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_filter(f'brand = "{quoted}"') == all_of(F.brand == value)


TOKENS = (
    *("brand", "=", ":", "AND", "OR", "NOT", "-", "(", ")", "*", '"', "'", "\\", "\0", "\ud800"),
    *("price", "<", "3", "EUR", "attributes.a", "rating", ">=", "4.5", "true", " ", "availability"),
)


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(TOKENS)).map("".join)))
def test_no_text_does_worse_than_a_syntax_error(text: str) -> None:
    try:
        found = parse_filter(text)
    except FilterSyntaxError as error:
        found, shown = None, (error.column, str(error).encode())
    assert isinstance(found, Filter) or 0 <= shown[0] <= len(text)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_a_field_of_flags_takes_true_and_false(text: str, value: bool) -> None:
    found = parse(f"sale = {text}", {"sale": "FLAG"}).comparison.value
    assert (found.WhichOneof("kind"), found.flag) == ("flag", value)
    with pytest.raises(FilterSyntaxError, match="neither true nor false"):
        parse("sale = yes", {"sale": "FLAG"})


PIECES = (
    *(
        "tags:a OR ",
        "-tags:a AND ",
        "(tags:a)AND",
        "(tags:a AND tags:b OR brand:*)OR",
        "price<3EUR ",
    ),
    *("(", "NOT ", "-", '"', 'brand="\\', "1", "price<1", "a", " ", ".", "a.", "\0", "tags:", "'"),
)


@pytest.mark.first(2)
@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_the_time_of_a_long_text_grows_as_its_length(piece: str) -> None:
    def work(text: str) -> None:
        for start in ("", "brand = ", 'brand = "', "price < 1"):
            with contextlib.suppress(FilterSyntaxError):
                parse((start + text)[: len(text)], FIELDS)

    assert_grows_evenly(work, lambda size: (piece * size)[:size], 65_536)


def test_the_values_of_or_keep_their_order() -> None:
    (found,) = parse_filter("tags = c OR tags = a OR tags:b").filters  # type: ignore[attr-defined]
    assert found == Membership("tags", ("c", "a", "b"))
    assert parse_filter("tags:x") == all_of(Comparison("tags", Operator.EQUAL, "x"))
