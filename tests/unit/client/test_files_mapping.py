"""Tables with other column names, read by a mapping or by guessing it."""

from contextlib import closing
from pathlib import Path

import pytest

from sightline.common.v1 import product_pb2
from sightline_client.errors import SightlineError
from sightline_client.files import numerals, products, texts
from sightline_client.files.mapping import ColumnMap, column_map
from sightline_client.files.model import FileRefused
from sightline_client.files.opening import Reading, look, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.proposing import Proposal, propose, words

ROOT = Path(__file__).parents[3]
WINES = ROOT / "examples" / "wines" / "wines.csv"


def read(path: Path, by: ColumnMap, encoding: str = "") -> list[product_pb2.Product]:
    table = open_table(
        path,
        columns=products.COLUMNS,
        needed=products.NEEDED,
        reading=Reading(map=by, encoding=encoding),
    )
    photos = PhotoFolder(path.parent)
    with closing(table):
        return [products.product(row.cells, photos, read=False) for row in table.rows()]


def written(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "shop.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def by(*pairs: str, constants: tuple[str, ...] = ()) -> ColumnMap:
    return column_map(pairs, constants, products.COLUMNS)


def test_the_wines_as_they_came_are_read_by_what_their_columns_look_like() -> None:
    columns, rows = look(WINES, products.COLUMNS)
    found = propose(columns, [row.cells for row in rows], products.COLUMNS, products.NEEDED)
    assert found.columns["wineid"] == "id"
    assert found.columns["winename"] == "title"
    assert found.columns["type"] == "category"
    assert found.columns["country"] == "attributes.country"
    assert found.columns["vintages"] == ""
    assert "column wineid looks like id" in words(found)
    wines = read(WINES, found)
    assert len(wines) == 100
    first = wines[0]
    assert (first.product_id, first.title, list(first.category_path)) == (
        *("100062", "Origem Merlot"),
        ["Red"],
    )
    values = {one.key: one for one in first.attributes}
    assert values["country"].text == "Brazil"
    assert values["abv"].number == 13.0
    assert [one.text for one in first.attributes if one.key == "harmonize"][:2] == ["Beef", "Lamb"]


def test_a_proposal_finds_a_currency_in_a_name_and_leaves_long_texts_out() -> None:
    columns = ("sku", "product name", "price_eur", "notes")
    rows = [{"sku": "1", "product name": "A", "price_eur": "12,50", "notes": "x" * 200}]
    found = propose(columns, rows, products.COLUMNS, products.NEEDED)
    own = {"sku": "id", "product name": "title", "price_eur": "price"}
    assert found == Proposal(own | {"notes": ""}, {"currency": "EUR"})
    assert "column notes is left out" in words(found)


def test_a_map_names_ours_fills_in_what_is_the_same_everywhere_and_makes_attributes(
    tmp_path: Path,
) -> None:
    (tmp_path / "7.jpg").write_bytes(b"photo")
    path = written(tmp_path, "Nr;Name;Preis;Farbe", "7;Stuhl;1.299,00;rot|blau")
    given = by(
        *("Nr=id", "Name=title", "Preis=price", "Farbe=attributes.colour"),
        constants=("currency=EUR", "images={id}.jpg"),
    )
    (chair,) = read(path, given)
    assert (chair.product_id, chair.title) == ("7", "Stuhl")
    assert (chair.price.units, chair.price.currency_code) == (1299, "EUR")
    assert [one.text for one in chair.attributes] == ["rot", "blau"]
    assert len(chair.images) == 1


@pytest.mark.parametrize(
    ("written", "found"),
    [
        *(("12.50", (12_500, "")), ("12,50", (12_500, "")), ("1.299,00", (1_299_000, ""))),
        *(
            ("1,299.00", (1_299_000, "")),
            ("1'299.00", (1_299_000, "")),
            ("€ 19,90", (19_900, "€")),
        ),
        *(("19.90 USD", (19_900, "USD")), ("1 299,00 kr", (1_299_000, "kr")), ("5 apples", None)),
        *(("1.299.000", (1_299_000_000, "")), ("12,34,567.5", (1_234_567_500, ""))),
        *(("on request", None), ("1.2.3", None), ("12 50", None), ("", None)),
    ],
)
def test_amounts_are_read_as_people_write_them(written: str, found: tuple[int, str] | None) -> None:
    amount = numerals.amount(written)
    read = None if amount is None else numerals.number(amount[0])
    assert (None if amount is None or read is None else (read * 1000, amount[1])) == found


@pytest.mark.parametrize("amount", ["1,299", "1.299", "1.299 €"])
def test_an_amount_that_may_mean_two_things_is_refused_with_what_to_say(
    amount: str, tmp_path: Path
) -> None:
    path = written(tmp_path, "id;title;cost;currency", f"1;A;{amount};EUR")
    for given in (by("cost=price"), ColumnMap()):
        with pytest.raises(SightlineError, match=r"may be .*--decimal"):
            read(path, given)


def test_html_in_titles_is_text(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "id,name,about",
        "1,<b>Salt</b> &amp; pepper,<p>Two<br>mills</p><script>x()</script>",
    )
    (mills,) = read(path, by("name=title", "about=description"))
    assert (mills.title, mills.description) == ("Salt & pepper", "Two mills")
    assert texts.plain("5 < 6 > 4") == "5 < 6 > 4"


def test_other_encodings_are_read_when_they_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "id,title", "1,Café", encoding="mac_roman")
    with pytest.raises(SightlineError, match="--encoding"):
        read(path, ColumnMap())
    assert read(path, ColumnMap(), "mac_roman")[0].title == "Café"
    with pytest.raises(FileRefused, match="not a known encoding"):
        read(path, ColumnMap(), "klingon")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (("name",), "names no column"),
        (("name=titel",), "'titel' is not a known column"),
        (("a=title", "b=title"), "a, b can't all be title"),
    ],
)
def test_a_map_that_can_not_be_meant_is_refused(pairs: tuple[str, ...], words: str) -> None:
    with pytest.raises(FileRefused, match=words):
        by(*pairs)


def test_a_map_that_leaves_ids_out_is_refused_with_what_to_say(tmp_path: Path) -> None:
    path = written(tmp_path, "nr,name", "1,A")
    with pytest.raises(FileRefused, match="lacks the column 'id'") as caught:
        read(path, by("name=title", "nr="))
    assert "--map theirs=id" in caught.value.fix


def test_columns_of_which_nothing_is_said_are_refused_as_without_a_map(tmp_path: Path) -> None:
    path = written(tmp_path, "nr,name,colour", "1,A,red")
    with pytest.raises(FileRefused, match="unknown column 'colour'"):
        read(path, by("nr=id", "name=title"))


def test_values_within_values_are_named_by_their_path(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    path.write_text(
        '{"sku": "1", "names": {"en": "A"}, "cost": {"amount": 5, "in": "EUR"},'
        ' "media": [{"url": "https://a/1.jpg"}, {"url": "https://a/2.jpg"}]}\n'
    )
    (found,) = read(
        path,
        by("sku=id", "names.en=title", "cost.amount=price", "cost.in=currency", "media.url=images"),
    )
    assert (found.title, found.price.units) == ("A", 5)
    assert [image.uri for image in found.images] == ["https://a/1.jpg", "https://a/2.jpg"]
