"""The same value is the same in every notation and by every way in, or its row is rejected."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import (
    attribute_keys,
    events,
    numerals,
    products,
)
from sightline_client.files.mapping import column_map
from sightline_client.files.opening import Reading, look, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.proposing import propose
from sightline_client.files.shapes import PRODUCTS
from sightline_client.files.survey import Survey

WAYS = ("own", "mapped", "guessed", "shop", "json lines", "feed", "page")
SEPARATED = {",": ("", ".", " ", "\u00a0", "'"), ".": ("", ",", " ", "\u202f", "'")}
"""Decimal sign → what may stand between thousands."""
POINTLESS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def notation(value: Decimal, sign: str, between: str, places: int) -> str:
    """Write a number as people of a country do."""
    return f"{value:,.{places}f}".translate({ord(","): between, ord("."): sign})


Outcome = product_pb2.Product | SightlineError


def outcomes(path: Path, reading: Reading) -> Iterator[Outcome]:
    table = open_table(path, columns=products.COLUMNS, needed=products.NEEDED, reading=reading)
    with closing(table):
        for row in table.rows():
            try:
                if row.error is not None:
                    raise row.error
                yield products.product(row.cells, PhotoFolder(path.parent), read=False)
            except SightlineError as error:
                yield error


def imported(way: str, prices: list[str], folder: Path, decimal: str = "") -> list[Outcome]:
    """Import prices in euros by one of the ways in."""
    rows = [(f"p{number}", price) for number, price in enumerate(prices)]

    def quoted(names: str, end: str = "") -> Path:
        path = folder / "shop.csv"
        lines = [f'{key};"T";"{price}"{end}' for key, price in rows]
        path.write_text("\n".join([names, *lines]) + "\n", encoding="utf-8")
        return path

    euro = ("currency=EUR",)
    match way:
        case "own":
            path, reading = quoted("id;title;price;currency", ";EUR"), Reading(decimal=decimal)
        case "mapped":
            by = column_map(("nr=id", "name=title", "preis=price"), euro, products.COLUMNS)
            path, reading = quoted("nr;name;preis"), Reading(map=by, decimal=decimal)
        case "guessed":
            path = quoted("sku;name;price_eur")
            columns, first = look(path, products.COLUMNS)
            cells = [row.cells for row in first]
            by = propose(columns, cells, products.COLUMNS, products.NEEDED)
            reading = Reading(map=by, decimal=decimal)
        case "shop":
            by = column_map((), euro, products.COLUMNS)
            path = quoted("sku;name;regular price")
            reading = Reading(map=by, shape=PRODUCTS["woocommerce"], decimal=decimal)
        case "json lines":
            path = folder / "shop.jsonl"
            given_ = [{"id": key, "title": "T", "price": p, "currency": "EUR"} for key, p in rows]
            path.write_text("\n".join(map(json.dumps, given_)))
            reading = Reading(decimal=decimal)
        case "feed":
            path = folder / "shop.xml"
            items = "".join(
                f"<item><g:id>{key}</g:id><g:title>T</g:title><g:price>{price} EUR</g:price></item>"
                for key, price in rows
            )
            path.write_text(f"<rss><channel>{items}</channel></rss>", encoding="utf-8")
            reading = Reading(shape=PRODUCTS["google-merchant"], decimal=decimal)
        case _:
            path = folder / "shop.html"
            nodes = [
                {
                    **{"@type": "Product", "sku": key, "name": "T"},
                    "offers": {"@type": "Offer", "price": price, "priceCurrency": "EUR"},
                }
                for key, price in rows
            ]
            script = json.dumps({"@graph": nodes})
            path.write_text(f'<script type="application/ld+json">{script}</script>')
            reading = Reading(shape=PRODUCTS["schema-org"], decimal=decimal)
    return list(outcomes(path, reading))


def amount(product: product_pb2.Product) -> Decimal:
    assert product.price.currency_code == "EUR"
    return Decimal(product.price.units) + Decimal(product.price.nanos) / 10**9


@POINTLESS
@given(
    way=st.sampled_from(WAYS),
    values=st.lists(
        st.tuples(st.decimals(min_value=0, max_value=9_999_999, places=3), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    ),
    written=st.sampled_from([(sign, each) for sign, some in SEPARATED.items() for each in some]),
    said=st.booleans(),
)
def test_an_amount_is_the_same_in_every_notation_by_every_way_in(
    way: str,
    values: list[tuple[Decimal, int]],
    written: tuple[str, str],
    said: bool,
    tmp_path: Path,
) -> None:
    sign, between = written
    meant = [round(value, places) for value, places in values]
    shown = [notation(v, sign, between, p) for v, (_, p) in zip(meant, values, strict=True)]
    found = imported(way, shown, tmp_path, sign if said else "")
    assert len(found) == len(meant)
    for value, outcome in zip(meant, found, strict=True):
        if isinstance(outcome, product_pb2.Product):
            assert amount(outcome) == value
        else:
            assert not said
            assert "--decimal" in str(outcome)


@pytest.mark.parametrize("way", WAYS)
def test_a_column_decides_what_a_cell_does_not(way: str, tmp_path: Path) -> None:
    read = [amount(each) for each in imported(way, ["1.299,00", "1.299", "19,90"], tmp_path)]  # type: ignore[arg-type]
    assert read == [1299, 1299, Decimal("19.9")]
    read = [amount(each) for each in imported(way, ["1.299", "19.90"], tmp_path)]  # type: ignore[arg-type]
    assert read == [Decimal("1.299"), Decimal("19.9")]
    for alone in ("1.299", "1,299"):
        (refused,) = imported(way, [alone], tmp_path)
        assert "may be 1" in str(refused)
        assert [amount(each) for each in imported(way, [alone], tmp_path, ",")] == [  # type: ignore[arg-type]
            1299 if alone == "1.299" else Decimal("1.299")
        ]


def test_all_rows_decide_and_the_last_one_as_well(tmp_path: Path) -> None:
    *before, last = imported("own", ["1.299"] * 3_000 + ["19,90"], tmp_path)
    assert {amount(each) for each in before} == {Decimal(1299)}  # type: ignore[arg-type]
    assert amount(last) == Decimal("19.9")  # type: ignore[arg-type]
    (refused,) = {str(each) for each in imported("own", ["1.299"] * 3_000, tmp_path)}
    assert "--decimal" in refused


def test_a_row_against_what_is_said_is_rejected(tmp_path: Path) -> None:
    before, last = imported("own", ["1.299", "19.90"], tmp_path, ",")
    assert amount(before) == 1299  # type: ignore[arg-type]
    assert "has '.' as its decimal sign" in str(last)


def test_a_column_that_contradicts_itself_decides_nothing(tmp_path: Path) -> None:
    first, second, third = imported("own", ["19,90", "19.90", "1.299"], tmp_path)
    assert isinstance(first, product_pb2.Product)
    assert isinstance(second, product_pb2.Product)
    assert amount(first) == amount(second) == Decimal("19.9")
    assert "--decimal" in str(third)


# Currencies


@pytest.mark.parametrize(
    ("price", "currency", "code"),
    [
        *(("$19.99", "CAD", "CAD"), ("$19.99", "USD", "USD"), ("US$ 19.99", "", "USD")),
        *(("€ 19,99", "", "EUR"), ("19,99 EUR", "EUR", "EUR"), ("¥ 19.99", "CNY", "CNY")),
        *(("19,99 kr", "NOK", "NOK"), ("19.99", "EUR", "EUR"), ("19,- Euro", "", "EUR")),
        *(("￥１９.５０", "CNY", "CNY"), ("299円", "", "JPY"), ("19元", "CNY", "CNY")),
        *(("19元", "", ""), ("Fr. 19.-", "", "CHF"), ("1'299.—", "CHF", "CHF")),
        *(("$19.99", "", ""), ("€ 19,99", "CAD", ""), ("19.99 USD", "CAD", ""), ("19.99", "", "")),
    ],
)
def test_a_currency_is_what_the_row_says_or_the_row_is_rejected(
    price: str, currency: str, code: str
) -> None:
    row = {"id": "1", "title": "T", "price": price, "currency": currency}
    try:
        found = products.product(row, PhotoFolder(Path())).price.currency_code
    except SightlineError:
        found = ""
    assert found == code


def test_amounts_of_a_currency_without_cents_have_thousands(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("id;title;price;currency\n1;T;1,299;JPY\n2;T;2,500円;\n3;T;12,000;KRW\n")
    found = outcomes(path, Reading())
    assert [each.price.units for each in found] == [1299, 2500, 12000]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.299,-", "1299"), ("1'299.—", "1299"), ("１，２９９．５", "1299.5"), ("19,– €", "19")],
)
def test_signs_of_other_keyboards_are_the_same_numbers(text: str, value: str) -> None:
    row = {"id": "1", "title": "T", "price": text, "currency": "EUR"}
    assert amount(products.product(row, PhotoFolder(Path()))) == Decimal(value)


@pytest.mark.parametrize("sign", numerals.SIGNS)
@pytest.mark.parametrize("text", ["1.299", "1,299", "EUR 12,500", "1.250 €"])
def test_a_number_that_is_settled_is_settled_as_it_was(text: str, sign: str) -> None:
    once = numerals.settled(text, sign)
    assert numerals.settled(once, sign) == once
    number = numerals.amount(once)
    assert number is not None
    assert set(numerals.readings(number[0])) >= {sign}
    assert len(set(numerals.readings(number[0]).values())) == 1


@pytest.mark.parametrize("text", ["19⁹⁹ €", "5²", "H₂O 5", "①", "1⁰", "19,9⁰"])
def test_a_raised_or_lowered_digit_is_no_digit_of_a_number(text: str) -> None:
    assert numerals.amount(text) is None
    assert not numerals.readings(text)


def test_amounts_of_a_row_have_one_currency() -> None:
    row = {"id": "1", "title": "T", "price": "12 EUR", "cost": "5"}
    made = products.product(row, PhotoFolder(Path()))
    assert (made.price.currency_code, made.cost.currency_code) == ("EUR", "EUR")
    with pytest.raises(SightlineError, match="is not in"):
        products.product(row | {"cost": "5 USD"}, PhotoFolder(Path()))


# Attributes


def attributes(folder: Path, cells: list[str], name: str = "attributes.x") -> list[object]:
    path = folder / "shop.csv"
    path.write_text("\n".join(["id;title;x", *(f"p{n};T;{c}" for n, c in enumerate(cells))]))
    reading = Reading(map=column_map((f"x={name}",), (), products.COLUMNS))
    found: list[object] = []
    for outcome in outcomes(path, reading):
        if isinstance(outcome, SightlineError):
            found.append(str(outcome))
        else:
            found.append([getattr(a, str(a.WhichOneof("value"))) for a in outcome.attributes])
    return found


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["0012345678905", "4006381333931"], [["0012345678905"], ["4006381333931"]]),
        (["38", "M", ""], [["38"], ["M"], []]),
        (["38", "39,5"], [[38.0], [39.5]]),
        (["4006381333931"], [["4006381333931"]]),  # its check digit makes it a GTIN
        (["4006381333932"], [[4006381333932.0]]),
        (["12.5", "1.250"], [[12.5], [1.25]]),
        (["1.250", "1.500"], [["1.250"], ["1.500"]]),  # thousands or not: the text stays
        (["1.1", "1.10"], [["1.1"], ["1.10"]]),  # two versions
        (["1|2", "3"], [[1.0, 2.0], [3.0]]),
        (["+49301234", "030"], [["+49301234"], ["030"]]),
        (["12345678901234567890"], [["12345678901234567890"]]),
    ],
)
def test_an_attribute_has_one_type_in_a_column(
    cells: list[str], found: list[object], tmp_path: Path
) -> None:
    assert attributes(tmp_path, cells) == found


@pytest.mark.parametrize("last", ["007", "M"])
def test_one_text_makes_a_column_text_wherever_it_is(last: str, tmp_path: Path) -> None:
    *before, text = attributes(tmp_path, [*["38"] * 2_000, last])
    assert (before, text) == ([["38"]] * 2_000, [last])


@pytest.mark.full
def test_one_text_after_900_000_numbers_makes_a_column_text() -> None:
    found = Survey()
    for number in range(900_000):
        found.add({"attributes": {"model": str(900 + number % 500)}}, ("model",))
    column = found.attributes["model"]
    assert column.number_sign("") == "."
    found.add({"attributes": {"model": "X5"}}, ("model",))
    assert column.number_sign("") == ""
    assert column.numeric, "a part of the rows may look like numbers alone"


def test_an_attributes_type_can_be_said(tmp_path: Path) -> None:
    assert attributes(tmp_path, ["38", "39"], "attributes.x:text") == [["38"], ["39"]]
    first, last = attributes(tmp_path, ["38", "M"], "attributes.x:number")
    assert first == [38.0]
    assert "'M' is not a number: map it with :text" in str(last)


@given(st.text(max_size=100))
def test_every_name_has_a_key_of_an_attribute(name: str) -> None:
    key = attribute_keys.attribute_key(name)
    assert attribute_keys.KEY.fullmatch(key) if name.strip() else key == ""
    assert not key or attribute_keys.attribute_key(key) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *(("Shoe Size", "shoe_size"), ("Größe", "groesse"), ("Gro\u0308ße", "groesse")),
        *(("Crème brûlée", "creme_brulee"), ("цвет", "tsvet"), ("pa_color", "pa_color")),
        *(("wine-body", "wine-body"), ("Ärmel", "aermel")),
    ],
)
def test_a_key_can_be_read(name: str, key: str) -> None:
    assert attribute_keys.attribute_key(name) == key


# Times


@given(
    st.datetimes(
        min_value=datetime(1980, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ).map(lambda found: found.replace(microsecond=found.microsecond // 1000 * 1000))
)
def test_a_time_is_the_same_in_every_form(when: datetime) -> None:
    seconds = int(when.timestamp())
    millis = when.microsecond // 1000
    east = when.astimezone(timezone(timedelta(hours=1)))
    exact = [
        when.isoformat(),
        east.isoformat(),
        f"{seconds}.{millis:03}",
        f"{seconds}{millis:03}",
        f"{seconds}{millis:03}000",
        f"{seconds}{millis:03}000000",
    ]
    assume(seconds > 400_000_000)
    whole = [
        when.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        east.strftime("%a %b %d %Y %H:%M:%S GMT+0100 (Central European Standard Time)"),
        str(seconds),
    ]
    found = [read_time(text) for text in exact]
    assert {(each.seconds, each.nanos) for each in found} == {(seconds, millis * 1_000_000)}
    assert {read_time(text).seconds for text in whole} == {seconds}


def read_time(value: object) -> Timestamp:
    row = {"type": "VIEW", "user_id": "u", "product_id": "p", "time": value}
    return events.event(row).event_time


@pytest.mark.parametrize(
    "value",
    [
        *("46054.75", "46054", 46054.75, 46054, "20251125", "20251125120000", "2026110417"),
        *("202611041759", 202611041759, "04112026", "31122026", "2026", 2026, "04.11", "-5"),
        *("04 Nov 2026 17:59 JST", "04.11.99 10:00"),
    ],
)
def test_what_is_no_instant_is_not_made_one(value: object) -> None:
    with pytest.raises(SightlineError, match=r"spreadsheet|date without|since 1970|no time zone"):
        read_time(value)


# Texts and addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://a.example/w_4,h_4/1.jpg", ["https://a.example/w_4,h_4/1.jpg"]),
        (
            "https://a.example/w_4,h_4/1.jpg, https://a.example/2.jpg",
            ["https://a.example/w_4,h_4/1.jpg", "https://a.example/2.jpg"],
        ),
        ("https://a.example/?a=1&amp;copy=2", ["https://a.example/?a=1&copy=2"]),
        ("a.jpg, b.png", ["a.jpg", "b.png"]),
        ("hat,red.jpg", ["hat,red.jpg"]),
        ("hat,red.jpg|b.jpg", ["hat,red.jpg", "b.jpg"]),
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_commas_of_an_address_do_not_split_it(
    mapped: bool, text: str, found: list[str], tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.png", "b.jpg", "hat,red.jpg"):
        (tmp_path / name).write_bytes(b"photo")
    path = tmp_path / "shop.csv"
    path.write_text(f'id;title;{"bild" if mapped else "images"}\np;T;"{text}"\n')
    by = column_map(("bild=images",) if mapped else (), (), products.COLUMNS)
    table = open_table(
        path, columns=products.COLUMNS, needed=products.NEEDED, reading=Reading(map=by)
    )
    with closing(table):
        (row,) = table.rows()
    assert products.photos(row.cells, PhotoFolder(tmp_path)) == found


@pytest.mark.parametrize("mapped", [False, True])
def test_entities_and_forms_of_letters_are_the_same_in_every_column(
    mapped: bool, tmp_path: Path
) -> None:
    path = tmp_path / "shop.csv"
    names = "nr;name;art;marke;farbe" if mapped else "id;title;category;brand;attributes"
    last = '"Blue &amp; white"' if mapped else '"{""farbe"": ""Blue &amp; white""}"'
    path.write_text(
        f'{names}\n1;"Salt &amp; pepper";"Home &gt; Cafe\u0301";"<b>A</b> &amp; B";{last}\n'
    )
    pairs = ("nr=id", "name=title", "art=category", "marke=brand", "farbe=attributes.farbe")
    by = column_map(pairs if mapped else (), (), products.COLUMNS)
    (made,) = outcomes(path, Reading(map=by))
    assert isinstance(made, product_pb2.Product)
    assert (made.title, made.brand) == ("Salt & pepper", "A & B")
    assert list(made.category_path) == ["Home", "Caf\u00e9"]
    assert made.attributes[0].text == "Blue & white"
