"""Files are read row by row; an invalid row is reported and never ends the rest."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from sightline_client.files.delimited import Delimited
from sightline_client.files.model import MAX_CELL, FileRefused, Row, Unfit
from sightline_client.files.opening import fingerprint, open_table

COLUMNS = ("id", "title", "price", "images")


def read(path: Path, ignore: Sequence[str] = ()) -> list[Row]:
    table = open_table(path, columns=COLUMNS, needed=("id",), ignore=ignore)
    rows = list(table.rows())
    assert table.done == table.total
    table.close()
    return rows


def write(tmp_path: Path, content: str | bytes, name: str = "f.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(rows: list[Row]) -> list[dict[str, object]]:
    return [dict(row.cells) for row in rows]


WINE = {"id": "1", "title": "Barolo", "price": "3"}


@pytest.mark.parametrize(
    "content",
    [
        "id,title,price\n1,Barolo,3\n",
        "id;title;price\r\n1;Barolo;3\r\n",
        "id\ttitle\tprice\n1\tBarolo\t3",
        "id|title|price\n1|Barolo|3\n",
        "\ufeffid,title,price\n1,Barolo,3\n",
        "id;title;price\n1;Barolo;3\n".encode("utf-16"),
        '"ID", Title ,price\n"1",Barolo,"3"\n',
        "id,title,price\n\n1,Barolo,3\n\n",
    ],
    ids=["comma", "semicolon", "tab", "bar", "bom", "utf-16", "quoted header", "blank lines"],
)
def test_separators_and_marks_are_found(tmp_path: Path, content: str | bytes) -> None:
    assert cells(read(write(tmp_path, content))) == [WINE]


def test_quotes_hold_separators_line_ends_and_quotes(tmp_path: Path) -> None:
    rows = read(write(tmp_path, 'id,title\n1,"a, ""b""\nc"\n2,d\n'))
    assert [row.cells["title"] for row in rows] == ['a, "b"\nc', "d"]
    assert [row.number for row in rows] == [1, 2]


def test_ragged_rows_are_reported_with_their_line_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = read(write(tmp_path, "id,title\n1\n2,b,c\n3,d\n"))
    assert [row.error is None for row in rows] == [False, False, True]
    assert "line 2 has 1 cells, the header has 2" in str(rows[0].error)
    assert rows[1].cells["id"] == "2"


def test_giant_fields_and_lines_cost_one_row(tmp_path: Path) -> None:
    giant = "x" * 1_000_000
    endless = "y" * 9_000_000
    rows = read(write(tmp_path, f'id,title\n1,{giant}\n2,{endless}\n3,"{giant}"\n4,ok\n'))
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert rows[1].error is not None
    assert all(len(str(cell)) <= MAX_CELL for cell in rows[1].cells.values())
    assert rows[3].cells == {"id": "4", "title": "ok"}


@pytest.mark.full
@pytest.mark.slow
def test_a_quote_that_is_never_closed_ends_in_a_bad_row_and_not_in_the_whole_memory(
    tmp_path: Path,
) -> None:
    lines = "".join(f"{n},title of wine {n}\n" for n in range(600_000))
    rows = read(write(tmp_path, f'id,title\n1,"open\n{lines}'))
    assert rows[0].error is not None
    assert "quote" in str(rows[0].error)
    assert rows[-1].cells["id"] == "599999"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("f.csv", "", "no header"),
        ("f.csv", "1,Barolo\n", "no header"),
        ("f.csv", "title\nBarolo\n", "lacks the column 'id'"),
        ("f.csv", "id,titel\n1,Barolo\n", "'titel'"),
        ("f.csv", "id,title,title\n", "twice"),
        ("f.xls", "x", "not a supported kind"),
        ("f.parquet", "no parquet", "not a complete Parquet file"),
        ("f.parquet", "", "not a complete Parquet file"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused_as_a_whole(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    with pytest.raises(FileRefused, match=words) as caught:
        read(write(tmp_path, content, name))
    assert caught.value.fix


def test_a_column_that_nothing_reads_is_named_with_what_was_meant(tmp_path: Path) -> None:
    path = write(tmp_path, "id,titel\n1,Barolo\n")
    with pytest.raises(FileRefused) as caught:
        read(path)
    assert "did you mean 'title'?" in caught.value.fix
    assert len(read(path, ignore=["titel"])) == 1


def test_notes_of_a_file_of_rejected_rows_are_passed_over(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, "id,_row,_reason,_problem\n1,7,X,y\n"))) == 1


def test_bytes_that_are_no_utf_8_reach_only_their_own_cell(tmp_path: Path) -> None:
    rows = read(write(tmp_path, b"id,title\n1,caf\x8e\n2,ok\n"))
    assert rows[0].cells["title"] == "caf\udc8e"
    assert rows[1].cells["title"] == "ok"


def test_the_end_of_a_utf_16_file_that_is_cut_reaches_only_its_cell(tmp_path: Path) -> None:
    rows = read(write(tmp_path, "id,title\n1,ok\n2,red\n".encode("utf-16")[:-3]))
    assert [row.cells["title"] for row in rows] == ["ok", "re\udce4"]


def test_json_lines_are_objects_with_exact_decimals(tmp_path: Path) -> None:
    path = write(
        tmp_path, '\ufeff{"id":"1","price":12.10,"images":["a","b"]}\n\n{"id":2}', "f.jsonl"
    )
    first, second = cells(read(path))
    assert first == {"id": "1", "price": Decimal("12.10"), "images": ["a", "b"]}
    assert second == {"id": 2}


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[1]",
        b'"id"',
        b'{"id": NaN}',
        b'{"id": Infinity}',
        b"[" * 100_000,
        b'{"id": "\xff"}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"id": "' + b"x" * 5_000_000 + b'"}',
    ],
    ids=["half", "list", "text", "nan", "inf", "deep", "bytes", "digits", "long"],
)
def test_a_line_that_is_no_object_is_a_bad_row(tmp_path: Path, line: bytes) -> None:
    rows = read(write(tmp_path, line + b'\n{"id": "2"}\n', "f.jsonl"))
    assert [row.error is None for row in rows] == [False, True]
    kept = line[:MAX_CELL].decode(errors="backslashreplace")
    assert [row.cells for row in rows] == [{"_line": kept}, {"id": "2"}]


def test_a_line_with_a_key_that_nothing_reads_is_a_bad_row(tmp_path: Path) -> None:
    lines = '{"id": "1", "titel": "a"}\n{"id": "2", "_note": "b"}\n{"id": "3", "mine": "c"}\n'
    wrong, noted, ignored = read(write(tmp_path, lines, "f.jsonl"), ignore=["mine"])
    assert wrong.error is not None
    assert wrong.error.violations[0].field == "titel"
    assert "did you mean 'title'?" in wrong.error.violations[0].description
    assert wrong.cells["titel"] == "a"
    assert noted.error is ignored.error is None


def test_parquet_gives_its_own_types(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "ID": ["1", "2"],
            "price": [12.1, None],
            "images": [["a"], []],
            "title": pa.array([noon, None], pa.timestamp("us", "UTC")),
        }
    )
    parquet.write_table(table, path)
    first, second = cells(read(path))
    assert first == {"id": "1", "price": 12.1, "images": ["a"], "title": noon}
    assert second["price"] is None


def test_nanoseconds_of_parquet_are_times_with_and_without_pandas(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    times = pa.array([1772366400123456789, None], pa.int64()).cast(pa.timestamp("ns", "UTC"))
    parquet.write_table(pa.table({"id": ["1", "2"], "title": times}), path)
    first, second = cells(read(path))
    assert first["title"] == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert type(first["title"]) is datetime, "pandas' own type, which only some have"
    assert second["title"] is None


def test_a_parquet_value_that_python_can_not_hold_costs_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    ages = pa.array([0, 2**40], pa.int64()).cast(pa.timestamp("s"))
    parquet.write_table(pa.table({"id": ["1", "2"], "title": ages}), path)
    assert read(path)[1].cells["title"] == Unfit("a timestamp[ms] that is out of range")


def test_a_parquet_file_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    parquet.write_table(pa.table({"id": ["1"], "ID": ["2"]}), path)
    with pytest.raises(FileRefused, match="'id' twice"):
        read(path)


def test_a_parquet_file_that_is_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    parquet.write_table(pa.table({"id": [str(n) * 20 for n in range(5000)]}), path)
    content = bytearray(path.read_bytes())
    content[200:4000] = b"\xff" * 3800
    path.write_bytes(content)
    with pytest.raises(FileRefused, match="not a complete Parquet file"):
        read(path)


def test_the_fingerprint_is_of_the_content_and_not_of_the_name(tmp_path: Path) -> None:
    one, two = write(tmp_path, "id\n1\n", "a.csv"), write(tmp_path, "id\n1\n", "b.csv")
    other = write(tmp_path, "id\n2\n", "c.csv")
    assert fingerprint(one) == fingerprint(two) != fingerprint(other)
    assert len(fingerprint(one)) == 32


def stored(rows: list[Row]) -> list[object]:
    return [row.cells["id"] for row in rows if row.error is None]


@pytest.mark.parametrize(
    ("lines", "kept", "named"),
    [
        (["1,Pan,3", '2,"Pot,4', "3,Lid,5"], ["1", "3"], "line 3"),
        (['1,"Pan,3', "2,Pot,4", '3,Cup 3" wide,5', "4,Jar,6"], ["2", "3", "4"], "line 2"),
        (['1,"Pan,3', "2,Pot,4", '3,Cup 3",5', "4,Jar,6"], ["2", "3", "4"], "line 2"),
        (['1,Pan,"3', "2,Pot,4"], ["2"], "line 2"),
        (['1,"Pan', "of iron,3", "2,Pot,4"], ["2"], "lines 2 to 3"),
        (['1,"Pan" new,3', "2,Pot,4"], ["2"], "line 2"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_quote_that_is_not_closed_costs_its_own_line_alone(
    tmp_path: Path, lines: list[str], kept: list[str], named: str, separator: str
) -> None:
    text = "\n".join(["id,title,price", *lines]).replace(",", separator)
    rows = read(write(tmp_path, text))
    assert stored(rows) == kept
    (rejected,) = (row for row in rows if row.error is not None)
    assert str(rejected.error).partition("row: ")[2].startswith(f"{named}: a quote")


@pytest.mark.parametrize(
    ("record", "believed"),
    [
        ('7,Shirt,"Linen\nand cotton\nSizes: S,M,L"', True),
        ('7,"Warm, red, soft\nSizes: S,M",3', True),
        ('7,Shirt,"Linen\nSizes: S,M,L"', False),
        ('7,"Warm, red\nSizes,M,L\nsoft",3,4', False),
    ],
)
def test_lines_within_a_cell_do_not_become_rows(
    tmp_path: Path, record: str, believed: bool
) -> None:
    rows = read(write(tmp_path, f"id,title,price\n{record}\n8,Hat,red\n"))
    assert stored(rows) == (["7", "8"] if believed else ["8"])
    assert sum(row.records for row in rows) == len(record.splitlines()) + 1


def test_cells_of_several_lines_stay_whole(tmp_path: Path) -> None:
    text = 'id,title,price\n1,"Line one\r\nline two, with ""inch"" marks, too",3\n2,"a\n\nb",4\n'
    rows = read(write(tmp_path, text))
    assert [row.cells["title"] for row in rows] == [
        *('Line one\r\nline two, with "inch" marks, too', "a\n\nb")
    ]
    assert [row.records for row in rows] == [2, 2]


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("id,title,price,\n1,a,2,\n2,b,3\n", ["1", "2"]),
        ("id,title,price,,,\n1,a,2,,,\n", ["1"]),
        ("id,title,price,\n1,a, b,2\n", []),
        ("id,title,price,\n1,a,2,3\n", []),
        ("id,title,price\n1,a,2,\n", []),
        ("sep=;\nid;title;price\n1;a, b;2\n", ["1"]),
        ('"sep=\t"\r\nid\ttitle\tprice\r\n1\ta\t2\r\n', ["1"]),
        ("\ufeffsep=,\n\nid,title,price\n1,a,2\n,,\n", ["1", ""]),
        ("\n\nid,title,price\n\n1,a,2\n,,3\n", ["1", ""]),
    ],
)
def test_headers_as_programs_write_them(tmp_path: Path, content: str, kept: list[str]) -> None:
    assert stored(read(write(tmp_path, content))) == kept


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("Artikel, Nummer;Name, lang\n1;Pan\n2;Lid\n", ("artikel, nummer", "name, lang")),
        ("Nr;Preis, netto;Preis, brutto\n1;1,50;2,50\n", ("nr", "preis, netto", "preis, brutto")),
        ("Nr|Größe (B;H;T)|Name\n1|40 cm|Pan\n", ("nr", "größe (b;h;t)", "name")),
    ],
)
def test_the_lines_below_a_header_show_the_separator_as_well(
    tmp_path: Path, content: str, columns: tuple[str, ...]
) -> None:
    with closing(Delimited(write(tmp_path, content), ["id", "title"])) as table:
        rows = [*table.rows()]
        assert table.columns == columns
        assert (table.records, [row.error for row in rows]) == (len(rows), [None] * len(rows))


def test_a_column_without_a_name_is_refused_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="column 1 of 2 has no name"):
        read(write(tmp_path, ",id\n0,1\n"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,größe\n1,M\n".encode("mac_roman"), "--encoding: cp1252"),
        ("id,title\n1,M\n".encode("utf-32-le"), "such as utf-16-le"),
    ],
)
def test_a_header_of_another_encoding_is_refused_with_the_option(
    tmp_path: Path, content: bytes, words: str
) -> None:
    with pytest.raises(FileRefused) as refusal:
        read(write(tmp_path, content))
    assert words in refusal.value.fix


def test_a_formula_that_keeps_a_text_is_that_text(tmp_path: Path) -> None:
    text = 'id,title\n"=""00123""",Lamp\n="00124",Pan\n=A1&B2,Pot\n'
    assert stored(read(write(tmp_path, text))) == ["00123", "00124", "=A1&B2"]
