"""Excel workbooks are read like other tables, in bounded memory."""

import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

from sightline_client.cli.app import app
from sightline_client.files import products, workbook
from sightline_client.files.mapping import column_map
from sightline_client.files.model import FileRefused
from sightline_client.files.opening import Reading, open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.workbook import Workbook

HEADER = ("id", "title", "price", "currency")


def book(folder: Path, *rows: Sequence[object], formats: Sequence[str] = ()) -> Path:
    made = openpyxl.Workbook()
    sheet = made.active
    for row in rows:
        sheet.append(list(row))
    for place, form in enumerate(formats, start=1):
        for cell in sheet[chr(64 + place)]:
            cell.number_format = form or cell.number_format
    path = folder / "shop.xlsx"
    made.save(path)
    return path


def cells(path: Path) -> list[dict[str, object]]:
    with closing(Workbook(path)) as table:
        return [dict(row.cells) for row in table.rows()]


def test_values_come_as_they_are_shown(tmp_path: Path) -> None:
    at = datetime(2026, 11, 4, 17, 59)  # noqa: DTZ001 - spreadsheets know no zone
    path = book(
        tmp_path,
        ("Nr", "Name", "Wann", "Neu", "EAN", "Plz"),
        (1.0, " Pan ", at, True, 4006381333931, 1067),
        (2.5, None, None, False, "0012345678905", 10115),
        formats=("", "", "", "", "", "00000"),
    )
    first, second = cells(path)
    assert first == {
        **{"nr": 1, "name": "Pan", "wann": at, "neu": True, "ean": 4006381333931, "plz": "01067"}
    }
    assert (second["nr"], second["ean"], second["plz"]) == (2.5, "0012345678905", "10115")


def test_a_workbook_is_imported_by_a_map_with_codes_as_text(tmp_path: Path) -> None:
    rows = [("Nr", "Name", "Preis", "Größe", "EAN", "Status")]
    rows += [(7, "Pan", "1.299,00", 38, 4006381333931, "auf Lager")]  # type: ignore[list-item]
    rows += [(8, "Pot", 19.9, "M", 4006381333931, "nein")]  # type: ignore[list-item]
    pairs = ("nr=id", "name=title", "preis=price", "größe=attributes.groesse")
    by = column_map(
        (*pairs, "ean=attributes.ean", "status=available"), ("currency=EUR",), products.COLUMNS
    )
    opened = open_table(
        book(tmp_path, *rows),
        columns=products.COLUMNS,
        needed=products.NEEDED,
        reading=Reading(map=by),
    )
    with closing(opened):
        made = [products.product(row.cells, PhotoFolder(tmp_path)) for row in opened.rows()]
    assert [(each.product_id, each.price.units, each.availability) for each in made] == [
        ("7", 1299, 1),
        ("8", 19, 2),
    ]
    assert [[a.text for a in each.attributes] for each in made] == [
        ["38", "4006381333931"],
        ["M", "4006381333931"],
    ]


def test_the_header_is_below_a_title_and_rows_are_named_by_their_place(tmp_path: Path) -> None:
    path = book(tmp_path, ["Price list 2026"], [], HEADER, ["1", "Pan"], [], ["2", "Pot", 5, "", 9])
    with closing(Workbook(path)) as table:
        rows = [*table.rows()]
        assert table.columns == HEADER
        assert (table.records, table.done) == (2, table.total)
    assert [(row.number, row.place) for row in rows] == [
        (1, "row 4 of the sheet"),
        (2, "row 6 of the sheet"),
    ]
    assert [row.error is None for row in rows] == [True, False]


@pytest.mark.parametrize(
    ("header", "problem"),
    [(("id", None, "title"), "column 2 of 3 has no name"), (("id", "a", "A"), "'a' twice")],
)
def test_a_header_that_loses_values_is_refused(
    header: Sequence[object], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(FileRefused, match=problem):
        Workbook(book(tmp_path, header, ("1", "2", "3")))


def test_further_sheets_are_named_and_hidden_ones_are_not_read(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    made.active.title = "notes"
    made.active.sheet_state = "hidden"
    made.active.append(["secret"])
    made.create_sheet("empty")
    for name in ("goods", "old"):
        made.create_sheet(name).append(HEADER)
    made["goods"].append(["1", "Pan", 5, "EUR"])
    path = tmp_path / "shop.xlsx"
    made.save(path)
    result = CliRunner().invoke(app, ["products", "import", str(path), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "Read: the sheet goods. Not read: old." in result.output
    assert "1 product is valid" in result.output


def repacked(path: Path, part: str, content: bytes) -> None:
    """Replace a part of an archive."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, own in (parts | {part: content}).items():
            archive.writestr(name, own)


SHEET = "xl/worksheets/sheet1.xml"
BEGIN = (
    b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    b'<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c>'
    b'<c r="B1" t="inlineStr"><is><t>title</t></is></c></row>'
)
END = b"</sheetData></worksheet>"
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("part", "content", "problem"),
    [
        (
            SHEET,
            BEGIN + b'<row r="2"><c><v>' + b"1" * 40_000 + b"</v></c></row>" + END,
            "a row has",
        ),
        (
            SHEET,
            BEGIN + b'<row r="9000"><c r="A9000"><v>1</v></c></row>' + END,
            "has over 5,000 rows",
        ),
        (SHEET, BEGIN + b" " * 300_000 + END, "bytes unpacked"),
        ("xl/sharedStrings.xml", b" " * 200_000, "bytes unpacked"),
        ("xl/a/b.xml", b" " * 200_000, "bytes unpacked"),
        ("xl/styles.xml", b" " * 200_000, "bytes unpacked"),
        (SHEET, ENTITIES + BEGIN + END, "not a whole Excel workbook"),
        (SHEET, BEGIN + b'<row r="2"><c', "not a whole Excel workbook"),
        (SHEET, BEGIN + b'<row r="2"><c r="A2" t="s"><v>77</v></c></row>' + END, "not a whole"),
    ],
)
def test_an_archive_that_unpacks_to_too_much_or_is_damaged_is_refused(
    part: str, content: bytes, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "LARGEST_SHEET", 250_000)
    monkeypatch.setattr(workbook, "LARGEST_TEXTS", 100_000)
    monkeypatch.setattr(workbook, "LARGEST_PART", 100_000)
    monkeypatch.setattr(workbook, "LARGEST_ROW", 20_000)
    monkeypatch.setattr(workbook, "MOST_ROWS", 5_000)
    path = book(tmp_path, HEADER, ("1", "Pan"))
    repacked(path, part, content)
    with pytest.raises(FileRefused) as refusal:
        cells(path)
    assert problem in f"{refusal.value}"


def test_texts_have_a_limit_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the name of a sheet may be larger, but not if it holds the texts."""
    monkeypatch.setattr(workbook, "LARGEST_TEXTS", 100_000)
    path = book(tmp_path, HEADER, ("1", "Pan"))
    repacked(path, "xl/worksheets/b.xml", b" " * 200_000)
    assert cells(path)
    with zipfile.ZipFile(path) as archive:
        types = archive.read("[Content_Types].xml")
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    named = f'<Override PartName="/xl/worksheets/b.xml" ContentType="{kind}"/></Types>'
    repacked(path, "[Content_Types].xml", types.replace(b"</Types>", named.encode()))
    with pytest.raises(FileRefused, match=r"b\.xml has 200,000 bytes unpacked"):
        cells(path)


@pytest.mark.parametrize("content", [b"", b"id;title\n1;Pan\n", b"\xd0\xcf\x11\xe0" * 200])
def test_what_is_no_workbook_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match="not a whole Excel workbook") as refusal:
        Workbook(path)
    assert "without a password" in refusal.value.fix
