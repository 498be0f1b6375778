"""Rejected rows come back with the columns, the separator and the encoding of their file, and the
command that is printed reads them."""

import csv
import json
import re
import shlex
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from sightline.common.v1 import event_pb2, product_pb2
from sightline_client.cli.app import app
from sightline_client.files import events, products
from tests.unit.client.command_line import flat


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def checked(*words: str, kind: str = "products") -> Result:
    return CliRunner().invoke(app, [kind, "import", *words, "--dry-run"])


def again(result: Result, kind: str = "products") -> Result:
    """Run the command that was printed."""
    (line,) = [line for line in result.stdout.splitlines() if ", then run: " in line]
    words = shlex.split(line.partition(", then run: ")[2])
    assert words[:3] == ["sightline", kind, "import"]
    return checked(*words[3:], kind=kind)


def rows(path: Path, separator: str = ",", encoding: str = "utf-8") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [("cp1252", ";"), ("gb18030", ","), ("shift_jis", "\t"), ("utf-16", ";"), ("utf-8-sig", ",")],
)
def test_rows_of_a_mapped_table_come_back_as_they_came(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    path = tmp_path / "shop.csv"
    name = {"gb18030": "苹果", "shift_jis": "りんご"}.get(encoding, "Äpfel")
    lines = [("Nr", "Name", "Preis"), ("1", name, "2,50"), ("2", name, "abc"), ("3", "B", "1,00")]
    text = "".join(separator.join(f'"{cell}"' for cell in line) + "\n" for line in lines)
    path.write_text(text, encoding=encoding)
    said = ("--map", "nr=id", "--map", "name=title", "--map", "preis=price")
    options = () if encoding.startswith("utf") else ("--encoding", encoding)
    result = checked(str(path), *said, "--set", "currency=EUR", *options)
    kept = tmp_path / "shop.rejected.csv"
    (row,) = rows(kept, separator, encoding)
    assert {key: row[key] for key in ("Nr", "Name", "Preis", "_row")} == {
        **{"Nr": "2", "Name": name, "Preis": "abc", "_row": "2"}
    }
    assert "'abc' is not a number" in row["_problem"]
    marks = [each.read_bytes()[:2] for each in (path, kept)]
    assert [mark[:1] in (b"\xff", b"\xef") for mark in marks] == [encoding.startswith("utf")] * 2
    unchanged = again(result)
    assert unchanged.exit_code == 1
    assert "Row 1 (2): ROW_INVALID: price: 'abc' is not a number" in flat(unchanged.stderr)
    kept.write_text(kept.read_text(encoding=encoding).replace("abc", "3"), encoding=encoding)
    assert "1 product is valid" in again(result).stdout


def test_what_an_encoding_lacks_does_not_end_the_import(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes("id;title;price\n1;Käse;\n2;Käse;…\n".encode("cp1252"))
    assert checked(str(path)).exit_code == 1
    assert "K\udce4se" in (tmp_path / "shop.rejected.csv").read_text(errors="surrogateescape")
    checked(str(path), "--encoding", "ascii")
    assert b"K\xe4se" in (tmp_path / "shop.rejected.csv").read_bytes()


def test_a_guess_is_not_needed_for_the_rejected_rows(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Artikel Nr;Bezeichnung;Preis EUR\n1;A;2,50\n2;B;-1\n3;C;1,00\n")
    result = checked(str(path), "--map", "guess")
    assert "--map guess" not in result.stdout
    assert "Row 1 (2)" in flat(again(result).stderr)


def named(result: Result) -> list[str]:
    """Return the ids of rejected rows."""
    return re.findall(r"\d \((.*?)\)", flat(result.stderr))


SHOPIFY = (
    "Handle,Title,Option1 Name,Option1 Value,Variant Price,Image Src\n"
    "hat,Hat,Size,S,20,\nhat,,,M,dear,\nhat,,,,,https://e.com/hat.jpg\nmug,Mug,,,9,\n"
)
WOOCOMMERCE = (
    "ID,Type,SKU,Name,Regular price,Categories,Parent\n"
    "1,variable,l,Lamp,,Home,\n2,variation,l-s,Lamp S,dear,,id:1\n3,simple,p,Pan,9,Home,\n"
    "4,variation,l-m,Lamp M,dear,,id:1\n"
)


@pytest.mark.parametrize(
    ("text", "column", "kept"),
    [(SHOPIFY, "Handle", ["hat", "hat", "hat"]), (WOOCOMMERCE, "SKU", ["l", "l-s", "l-m"])],
)
def test_rows_of_an_export_come_back_with_what_they_inherit_from(
    tmp_path: Path, text: str, column: str, kept: list[str]
) -> None:
    path = tmp_path / "export.csv"
    path.write_text(text)
    result = checked(str(path), "--set", "currency=EUR")
    found = rows(tmp_path / "export.rejected.csv")
    assert [row[column] for row in found] == kept
    wrong = [bool(row["_problem"]) for row in found]
    assert wrong == [
        "dear" in (row.get("Variant Price"), row.get("Regular price")) for row in found
    ]
    ids = named(result)
    path = tmp_path / "export.rejected.csv"
    assert named(again(result)) == ids
    path.write_text(path.read_text().replace("dear", "7"))
    assert f"{len({*kept}) if column == 'SKU' else 2} products are valid" in again(result).stdout


def test_lines_of_json_come_back_with_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "shop.jsonl"
    items = [
        {"Nr": n, "names": {"de": f"N{n}"}, "Preis inkl. MwSt": price}
        for n, price in ((1, 2), (2, "x"))
    ]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    said = ("--map", "Nr=id", "--map", "names.de=title", "--map", "Preis inkl. MwSt=price")
    result = checked(str(path), *said, "--set", "currency=EUR")
    assert "1 product is valid" in result.stdout
    (line,) = (tmp_path / "shop.rejected.jsonl").read_text().splitlines()
    row = json.loads(line)
    found = (row["Nr"], row["names"], row["Preis inkl. MwSt"], row["_row"])
    assert found == (2, {"de": "N2"}, "x", 2)
    assert "Row 1 (2)" in flat(again(result).stderr)


def mended(path: Path, **cells: str) -> None:
    """Set cells of the only rejected row."""
    if path.suffix == ".xlsx":
        book = openpyxl.load_workbook(path)
        header = [cell.value for cell in book.active[1]]
        for name, value in cells.items():
            book.active.cell(2, header.index(name) + 1).value = value
        book.save(path)
        return
    if path.suffix == ".jsonl":
        (line,) = path.read_text("utf-8").splitlines()
        path.write_text(json.dumps(json.loads(line) | cells), "utf-8")
        return
    (row,) = rows(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*row], [*(row | cells).values()]])


def dumped(path: Path, lines: Sequence[Sequence[object]]) -> None:
    """Write a table, in the format that its name says."""
    names, *others = lines
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for each in lines:
            book.active.append(each)
        book.save(path)
    elif path.suffix == ".parquet":
        columns = dict(zip(names, zip(*others, strict=True), strict=True))
        parquet.write_table(pa.table({str(name): list(of) for name, of in columns.items()}), path)
    elif path.suffix == ".jsonl":
        items = (dict(zip(names, each, strict=True)) for each in others)
        path.write_text("".join(f"{json.dumps(item)}\n" for item in items), "utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)


def one_product(monkeypatch: pytest.MonkeyPatch, result: Result) -> product_pb2.Product:
    """Run the printed command. Return the product that it reads."""
    made: list[product_pb2.Product] = []
    read = products.product

    def noted(*given: Any, **options: Any) -> product_pb2.Product:
        made.append(read(*given, **options))
        return made[-1]

    monkeypatch.setattr(products, "product", noted)
    repeated = again(result)
    monkeypatch.undo()
    assert repeated.exit_code == 0, repeated.output + repeated.stderr
    (found,) = made
    return found


FORMS = ("csv", "xlsx", "jsonl")


@pytest.mark.parametrize("end", FORMS)
def test_what_all_rows_decided_holds_for_the_rejected_ones(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"shop.{end}"
    lines = [
        ("sku", "name", "preis", "gewicht", "model"),
        ("1", "Auto", "1.299,00", "1,5", "X5"),
        ("2", "", "1.299", "1.250", "911"),
    ]
    dumped(path, lines)
    pairs = ("sku=id", "name=title", "preis=price", "gewicht=attributes.gewicht")
    pairs = (*pairs, "model=attributes.model")
    options = [word for pair in pairs for word in ("--map", pair)]
    result = checked(str(path), *options, "--set", "currency=EUR")
    assert "title: is missing" in flat(result.stderr)
    kept = tmp_path / f"shop.rejected.{end}"
    assert "title: is missing" in flat(again(result).stderr)
    mended(kept, name="Auto")
    found = one_product(monkeypatch, result)
    attributes = {each.key: each for each in found.attributes}
    assert (found.price.units, attributes["gewicht"].number) == (1299, 1250)
    assert attributes["model"].text == "911"


@pytest.mark.parametrize("end", FORMS)
def test_the_order_of_a_date_and_its_zone_hold_for_rejected_events(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"clicks.{end}"
    lines = [
        ("wann", "kunde", "artikel", "was"),
        ("31/12/2025 10:00", "u", "p", "Kauf"),
        ("04/11/2025 17:59", "", "p", "Kauf"),
    ]
    dumped(path, lines)
    pairs = ("wann=time", "kunde=user_id", "artikel=product_id", "was=type")
    options = [word for pair in pairs for word in ("--map", pair)]
    zone = ("--time-zone", "Europe/Berlin")
    result = checked(str(path), *options, *zone, kind="events")
    kept = tmp_path / f"clicks.rejected.{end}"
    mended(kept, kunde="u")
    made: list[event_pb2.Event] = []
    read = events.event

    def noted(*given: Any) -> event_pb2.Event:
        made.append(read(*given))
        return made[-1]

    monkeypatch.setattr(events, "event", noted)
    repeated = again(result, kind="events")
    assert repeated.exit_code == 0, repeated.output + repeated.stderr
    assert made[0].event_time.ToJsonString() == "2025-11-04T16:59:00Z"


@pytest.mark.parametrize("end", [*FORMS, "parquet"])
def test_a_word_of_the_shop_is_replaced_once_also_in_rejected_rows(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"shop.{end}"
    dumped(path, [("id", "title", "available"), ("1", "A", "1"), ("2", "", "0")])
    words = ("--value", "available:0=1", "--value", "available:1=0")
    result = checked(str(path), *words)
    kept = tmp_path / f"shop.rejected.{'jsonl' if end == 'parquet' else end}"
    mended(kept, title="B")
    found = one_product(monkeypatch, result)
    assert found.availability == product_pb2.AVAILABILITY_IN_STOCK


@pytest.mark.parametrize("end", ["csv", "xlsx", "parquet"])
def test_a_row_of_an_export_comes_back_with_the_names_of_the_export(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"shop.{end}"
    typed = end != "csv"
    day: object = date(2099, 1, 31) if typed else "2099-01-31"
    names = ("SKU", "Name", "Published", "Regular price", "Sale price", "Date sale price ends")
    lines: list[tuple[object, ...]] = [
        names,
        ("1", "Pan", 1, 9.5, 5.5, day),
        ("2", "", 1, 9.5, 5.5, day),
    ]
    dumped(path, lines)
    result = checked(str(path), "--set", "currency=EUR")
    assert "title: is missing" in flat(result.stderr)
    kept = tmp_path / f"shop.rejected.{'jsonl' if end == 'parquet' else end}"
    assert "title: is missing" in flat(again(result).stderr)
    name = "name" if end == "parquet" else "Name"
    mended(kept, **{name: "Pot"})
    found = one_product(monkeypatch, result)
    assert (found.product_id, found.title) == ("2", "Pot")
    assert (found.price.units, found.price.currency_code) == (5, "EUR")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("price", "--form price names no form of a column"),
        ("price=;", "--form price=; names no form of a column"),
        ("prise=,", "'prise' is not a known column"),
    ],
)
def test_a_form_that_says_nothing_is_refused(tmp_path: Path, form: str, said: str) -> None:
    path = tmp_path / "shop.csv"
    dumped(path, [("id", "title"), ("1", "A")])
    result = checked(str(path), "--form", form)
    assert result.exit_code == 1
    assert said in flat(result.output + result.stderr)


def test_a_repeated_id_of_an_export_stays_rejected(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    head = "ID,Type,SKU,Name,Regular price\n"
    path.write_text(f"{head}1,simple,p,Pan,9\n2,simple,p,Pot,9\n")
    result = checked(str(path), "--set", "currency=EUR")
    assert "ID_TWICE" in result.stderr
    unchanged = again(result)
    assert unchanged.exit_code == 1
    assert "ID_TWICE" in unchanged.stderr
