"""A file of rejected rows, imported unchanged, is rejected again row by row; no damaged or
misplaced cell is accepted, and valid cells stay unchanged.
"""

import csv
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sightline_client.errors import SightlineError
from sightline_client.files import dumping, events, lines, offers, products
from sightline_client.files.delimited import Delimited
from sightline_client.files.model import RAGGED, Row, Unfit, bad
from sightline_client.files.opening import open_table
from sightline_client.files.photos import PhotoFolder
from sightline_client.files.rejected import Rejected
from sightline_client.files.seen import SeenIds, twice
from sightline_client.files.workbook import Workbook

Make = Callable[[Mapping[str, object]], Message]

PHOTOS = PhotoFolder(Path("/nonexistent"))
KINDS: dict[str, tuple[tuple[str, ...], Make, str]] = {
    "products": (products.COLUMNS, lambda cells: products.product(cells, PHOTOS), "id"),
    "events": (events.COLUMNS, events.event, "event_id"),
    "offers": (offers.COLUMNS, offers.offer, "id"),
}


def refuse(path: Path, kind: str) -> tuple[list[Row], Path]:
    """Read the file as an import does. Return the rejected rows, and the file with them."""
    columns, make, id_column = KINDS[kind]
    table = open_table(path, columns=columns, needed=(id_column,))
    rejected, refused = Rejected(path, table), []
    with SeenIds() as seen:
        for row in table.rows():
            error = row.error
            try:
                if error is None:
                    make(row.cells)
                    error = twice(seen, row, str(row.cells[id_column]))
            except SightlineError as refusal:
                error = refusal
            if error is not None:
                refused.append(row)
                rejected.add(row, error)
    table.close()
    rejected.close()
    return refused, rejected.path


def again(path: Path, kind: str) -> None:
    """Check that the rejected rows of the file are rejected a second and a third time."""
    refused, kept = refuse(path, kind)
    for _ in range(2) if refused else ():
        renamed = path.with_name(f"again{kept.suffix}")
        renamed.write_bytes(kept.read_bytes())
        repeated, kept = refuse(renamed, kind)
        assert [row.number for row in repeated] == list(range(1, len(refused) + 1))


CELL = st.text(alphabet="ab1=@+.,;\"'\n\r\t |\\-é\udce9", max_size=6)
LINE = st.lists(CELL, min_size=1, max_size=7)
HEADERS = {
    "products": ("id", "title", "brand", "tags"),
    "events": ("event_id", "type", "user_id", "value"),
    "offers": ("id", "price", "currency", "available"),
}


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(LINE, max_size=6), raw=st.booleans())
@example(rows=[["2", "Barolo", " dry", "Aurora", "x"], ["3", "Short"], ["4"]], raw=True)
@example(rows=[["1", "a", "b", "c"], ["1", "a", "b", "c"], ["1", "d", "e", "f"]], raw=False)
@example(rows=[["1", "a", "b", "c", ""], ["1", "a", "b", "c", "", ""]], raw=False)
@example(rows=[["é", "é", "é1\udce9", ""], ["", "", "", "", "\udce9"]], raw=False)
@example(rows=[["1", 'a"b', '"b', "c"], ["1", 'a, "b'], ["1", '"open']], raw=True)
def test_a_rejected_row_of_a_csv_file_is_refused_again(
    tmp_path: Path, kind: str, separator: str, rows: list[list[str]], raw: bool
) -> None:
    path = tmp_path / "f.csv"
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(separator.join(HEADERS[kind]) + "\n")
        if raw:  # as people write: not every quote is closed
            file.write("".join(separator.join(row) + "\n" for row in rows))
        else:
            csv.writer(file, delimiter=separator).writerows(rows)
    again(path, kind)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheet_runs_no_cell_of_rejected_rows_and_an_import_reads_them_as_they_were(
    tmp_path: Path, separator: str
) -> None:
    path = tmp_path / "f.csv"
    cells = ["=1+2", "+1", "-1", "@SUM(A1)", "\ta", "\ra", "'=1", "''+1", "'a", "a=1", " =1", ""]
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, delimiter=separator)
        out.writerow(["id", "=cmd()", "title"])
        out.writerows([["", "x", cell] for cell in cells])
    table = Delimited(path, products.COLUMNS)
    rejected, rows = Rejected(path, table), list(table.rows())
    for row in rows:
        rejected.add(row, bad("id", "=1 is no id"))
    rejected.close()
    assert [row.cells["title"] for row in rows] == cells
    with rejected.path.open(encoding="utf-8", newline="") as file:
        written = [cell for row in csv.reader(file, delimiter=separator) for cell in row]
    assert not [cell for cell in written if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    again = Delimited(rejected.path, products.COLUMNS)
    assert again.columns[:3] == table.columns == ("id", "=cmd()", "title")
    assert [[row.cells[name] for name in table.columns] for row in again.rows()] == [
        [row.cells[name] for name in table.columns] for row in rows
    ]
    for opened in (table, again):
        opened.close()


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.decimals(allow_nan=False)
    | st.sampled_from([Decimal(5), Decimal("5E0"), Decimal("1E+9"), Decimal("1e999"), 5.0])
    | st.text(max_size=5)
    | st.sampled_from(["EUR", "VIEW", "yes", "\ud800", "2026-03-01T12:00:00Z", '{"a": 1}'])
    | st.binary(max_size=3)
    | st.datetimes(timezones=st.sampled_from([None, UTC]))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.just(Unfit("a timestamp[s] that is out of range"))
)
VALUE = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.lists(st.tuples(st.text(max_size=2) | st.integers(), inner), max_size=3)
    ),
    max_leaves=5,
)


def made(make: Make, cells: Mapping[str, object]) -> Message | str:
    """Return the message made of the cells; if they are rejected, the column with the error."""
    try:
        return make(cells)
    except SightlineError as error:
        return error.violations[0].field


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_value_comes_back_as_it_was_or_is_refused_in_the_same_column(
    kind: str, data: st.DataObject
) -> None:
    columns, make, id_column = KINDS[kind]
    good: dict[str, object] = {id_column: "1", "title": "t", "type": "VIEW"}
    good |= {"currency": "EUR", "available": True} if kind != "events" else {"user_id": "u"}
    cells = {name: good[name] for name in columns if name in good}
    cells |= data.draw(st.dictionaries(st.sampled_from(columns), VALUE, max_size=3))
    back: Any = lines.parse(dumping.line(cells))
    assert made(make, back) == made(make, cells)


def test_a_map_s_keys_stay_in_the_order_in_which_they_say_something() -> None:
    _, make, id_column = KINDS["products"]
    attributes = [("0", None), ("", False), ("0", False)]
    cells: dict[str, object] = {id_column: "1", "title": "t", "attributes": attributes}
    back: Any = lines.parse(dumping.line(cells))
    assert made(make, back) == made(make, cells)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", b"a"),
        ("title", b""),
        ("title", 12.5),
        ("title", Decimal(5)),
        ("title", datetime(2026, 3, 1, tzinfo=UTC)),
        ("title", date(2026, 3, 1)),
        ("title", clock(12)),
        ("title", timedelta(1)),
        ("title", Unfit("a timestamp[s] that is out of range")),
        ("brand", b"a"),
        ("brand", float("nan")),
        ("price", float("nan")),
        ("price", float("inf")),
        ("tags", [b"a"]),
        ("attributes", {"abv": float("nan")}),
        ("attributes", [("abv", b"a")]),
        ("attributes", b"{}"),
        ("markets", [(0, None)]),
    ],
)
def test_what_json_can_not_hold_is_kept_and_refused(
    tmp_path: Path, column: str, value: object
) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text("")
    table = open_table(path, columns=(), needed=())
    rejected = Rejected(path, table)
    cells = {"id": "1", "title": "t", "currency": "EUR"} | {column: value}
    rejected.add(Row(1, cells), bad(column, "is no good"))
    rejected.close()
    table.close()
    (row,), _ = refuse(rejected.path, "products")
    assert row.error is None, "the line itself can be read"
    assert row.cells[column] is not None


def test_a_parquet_file_is_refused_again_and_nothing_in_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    ages = pa.array([2**40, 2**40], pa.int64()).cast(pa.timestamp("s"))
    table = {"id": [1, 2], "title": [b"a", b"b"], "price": [1.0, float("nan")], "brand": ages}
    parquet.write_table(pa.table(table), path)
    again(path, "products")
    _, kept = refuse(path, "products")
    assert [lines.parse(line) for line in kept.read_text().splitlines()][1] == {
        "id": 2,
        "title": [["bytes", "62"]],
        "price": [["float", "nan"]],
        "brand": [["unfit", "a timestamp[ms] that is out of range"]],
        "_row": 2,
        "_reason": "ROW_INVALID",
        "_problem": "title: is bytes, not text",
    }


@pytest.mark.parametrize(
    "lines",
    [
        ["é,é,é1\udce9,", ",,,,\udce9"],
        ["1,Café,Thé,é", "2,K\udce4se,,", "3,Crème,,"],
    ],
)
def test_bytes_that_are_not_utf_8_stay_so_in_the_file_of_rejected_rows(
    tmp_path: Path, lines: list[str]
) -> None:
    path = tmp_path / "f.csv"
    text = "\n".join(["id,title,brand,tags", *lines, ""])
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert refuse(path, "products")[0], "a byte of another encoding"
    again(path, "products")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_damaged_texts_of_wide_characters_are_rejected_in_their_encoding(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "f.csv"
    text = "id,title,brand\n1,Käse,\n2,Milk \ud800\n3,Crème,\n"
    path.write_bytes(text.encode(encoding, "surrogatepass"))
    refused, kept = refuse(path, "products")
    assert [row.cells["id"] for row in refused] == ["2"]
    assert "2,Milk ?" in kept.read_text(encoding)


def test_surplus_cells_are_kept_until_somebody_puts_them_right(tmp_path: Path) -> None:
    path = tmp_path / "wines.csv"
    path.write_text("id,title,brand\n2,Barolo, dry,Aurora\n3,Short\n")
    _, kept = refuse(path, "products")
    with kept.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first[RAGGED] == "4 cells of 3; too many: Aurora"
    assert (second["id"], second[RAGGED]) == ("3", "2 cells of 3")
    kept.write_text(
        "id,title,brand,_row,_reason,_problem,_ragged\n"
        '2,"Barolo, dry",Aurora,1,ROW_INVALID,,\n3,Short,,2,ROW_INVALID,,\n'
    )
    assert refuse(kept, "products")[0] == []


def test_surplus_cells_of_a_workbook_are_kept_and_refused_again(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("Id", "Title", "brand"), ("a", "Pot", "Acme"), ("b", "Lid", "big", "Acme")):
        book.active.append(row)
    path = tmp_path / "f.xlsx"
    book.save(path)
    again(path, "products")
    _, kept = refuse(path, "products")
    assert kept.name == "f.rejected.xlsx"
    mended = openpyxl.load_workbook(kept)
    header, row = ([cell.value for cell in each] for each in mended.active.iter_rows())
    assert header == ["Id", "Title", "brand", "_row", "_reason", "_problem", RAGGED]
    assert (row[:3], row[6]) == (
        ["b", "Lid", "big"],
        "more cells than the header; too many: Acme",
    )
    mended.active["C2"], mended.active["G2"] = "Acme", None
    mended.save(kept)
    assert refuse(kept, "products")[0] == []


def test_cells_of_a_workbook_come_back_with_their_types_and_no_formula(tmp_path: Path) -> None:
    cells = [
        "",
        "=1+1",
        "00123",
        7,
        1.5,
        True,
        datetime.fromisoformat("2026-11-04 17:59"),
        "a\nb",
        None,
    ]
    names = ["id", "title", *(f"c{number}" for number in range(7))]
    book = openpyxl.Workbook()
    book.active.append(names)
    book.active.append(cells)
    book.active["B2"].data_type = "s"
    path = tmp_path / "f.xlsx"
    book.save(path)
    tables = []
    for _ in range(2):
        with closing(Workbook(path)) as table:
            rows = [*table.rows()]
            rejected = Rejected(path, table)
            rejected.add(rows[0], bad("id", "is missing"))
        rejected.close()
        path = rejected.path
        tables.append({name: rows[0].cells.get(name) for name in names})
    assert tables[0] == tables[1]
    assert tables[0]["title"] == "=1+1"
    assert openpyxl.load_workbook(path).active["B2"].data_type == "s"


def test_a_row_that_was_cut_stays_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    endless = "y" * 9_000_000
    path.write_text(f'id,title,description\n1,Giant,{endless}\n2,"a\n{endless}",d\n')
    again(path, "products")


def test_an_id_that_stood_twice_stays_refused_until_one_of_them_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "wines.csv"
    path.write_text("id,title\nw'1,Good\nw'1,Twice\n")
    again(path, "products")
    _, kept = refuse(path, "products")
    untouched = kept.read_text()
    kept.write_text(untouched.replace("w'1,Twice", "w2,Twice"))
    assert refuse(kept, "products")[0] == []
    kept.write_text(untouched.replace(",ID_TWICE,", ",,"))
    assert refuse(kept, "products")[0] == []


def test_a_date_of_an_attribute_comes_back_as_its_text() -> None:
    back = lines.parse(
        dumping.line({"attributes": {"since": date(2026, 11, 4)}, "brand": date.min})
    )
    assert isinstance(back, dict)
    assert back["attributes"] == {"since": "2026-11-04"}
    assert back["brand"] == [["date", "0001-01-01"]]


def test_a_map_of_parquet_comes_back_as_an_object() -> None:
    pairs = [("grape", "a"), ("abv", 13), ("grape", ["b", "c"]), ("none", None)]
    back = lines.parse(dumping.line({"attributes": pairs}))
    assert back == {"attributes": {"grape": ["a", "b", "c"], "abv": [13], "none": []}}


def test_a_cell_that_is_nested_too_deeply_to_write_is_refused() -> None:
    deep: object = 1
    for _ in range(900):
        deep = [deep]
    back = lines.parse(dumping.line({"id": "1", "title": "t", "tags": deep}))
    with pytest.raises(SightlineError):
        products.product(back, PHOTOS)  # type: ignore[arg-type]


@pytest.mark.parametrize("column", ["rating_count", "stock"])
@pytest.mark.parametrize("value", [2**31, 2.0**31, 2**63, 5.5, -1, "1e999"])
def test_a_count_that_its_field_cannot_hold_is_rejected_with_its_column(
    column: str, value: object
) -> None:
    _columns, make, id_column = KINDS["products"]
    assert made(make, {id_column: "1", "title": "t", column: value}) == column
