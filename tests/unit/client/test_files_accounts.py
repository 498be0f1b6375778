"""Every line, item and row of a file is stored or reported, whatever the file looks like."""

import csv
import io
import json
import random
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest
from pyarrow import parquet

import sightline_client
from sightline_client.files.accounts import LOST, accounted
from sightline_client.files.conversion import ExportDates, Shape, Shaped
from sightline_client.files.export_columns import ExportColumns
from sightline_client.files.forms import unformed
from sightline_client.files.model import Row
from sightline_client.files.opening import Reading, open_table
from sightline_client.files.shapes import EVENTS, PRODUCTS
from tests.unit.client.files_made import COLUMNS, Made, exports

WORDS = (
    "Pot",
    "Größe 3",
    'Cup 3" wide',
    "a, b",
    "x; y|z",
    "one\ntwo",
    "\tmiddle\t",
    "'q'",
    "é\r\nè",
)
MIX = ["Pan", "Lid, red", "12.50"]


def cells(rnd: random.Random, number: int) -> list[str]:
    return [f"id{number}", *(rnd.choice(WORDS) for _ in COLUMNS[1:])]


def delimited(rnd: random.Random, rows: list[list[str]]) -> tuple[bytes, str]:
    """Write a table as some program may, and return it with its encoding."""
    separator, end = rnd.choice(",;\t|"), rnd.choice(["\n", "\r\n"])
    trailing = rnd.random() < 0.3
    text = io.StringIO()
    quoting = rnd.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    for row in [list(COLUMNS), *rows]:
        if rnd.random() < 0.2 and text.getvalue():
            text.write(end)
        writer.writerow([*row, ""] if trailing else row)
    head = f"sep={separator}{end}" if rnd.random() < 0.2 else ""
    encoding = rnd.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    return (head + text.getvalue()).encode(encoding), encoding


def read(path: Path, reading: Reading | None = None, shape: Shape | None = None) -> list[Row]:
    columns = () if shape else COLUMNS
    how = reading or Reading(shape=shape)
    with closing(open_table(path, columns=columns, needed=(), reading=how)) as table:
        rows = list(accounted(table))
        assert sum(row.records for row in rows) == table.records
        assert not [row for row in rows if row.error and row.error.reason == LOST]
        return rows


@pytest.mark.parametrize("seed", range(40))
def test_a_table_comes_back_as_it_was_written(tmp_path: Path, seed: int) -> None:
    rnd = random.Random(seed)
    rows = [cells(rnd, number) for number in range(rnd.randrange(1, 30))]
    content, encoding = delimited(rnd, rows)
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    found = read(path, Reading(encoding="cp1252" if encoding == "cp1252" else ""))
    assert [[*row.cells.values()] for row in found if not row.error] == rows
    assert not [row.error for row in found if row.error]


def numbers(row: Row) -> range:
    """Return the lines that a rejected row names."""
    text = "; ".join(each.description for each in row.error.violations) if row.error else ""
    found = re.search(r"lines? (\d+)(?: to (\d+))?", text)
    assert found is not None, text
    return range(int(found[1]), int(found[2] or found[1]) + 1)


@pytest.mark.parametrize("seed", range(60))
def test_a_quote_too_many_makes_no_row_vanish(tmp_path: Path, seed: int) -> None:
    rnd = random.Random(seed)
    separator = rnd.choice(",;\t|")
    lines = [separator.join(COLUMNS)]
    for number in range(20):
        made = [f"id{number}", *(rnd.choice(MIX) for _ in COLUMNS[1:])]
        text = io.StringIO()
        csv.writer(text, delimiter=separator, lineterminator="").writerow(made)
        lines.append(text.getvalue())
    for _ in range(rnd.randrange(1, 5)):
        line = rnd.randrange(1, len(lines))
        ends = [
            place
            for found in re.finditer(re.escape(separator), lines[line])
            for place in found.span()
        ]
        at = rnd.choice([*ends, len(lines[line]), 2])
        lines[line] = f'{lines[line][:at]}"{lines[line][at:]}'
    path = tmp_path / "f.csv"
    path.write_text("\n".join(lines) + "\n")
    rows = read(path)
    stored = {str(row.cells["id"]) for row in rows if row.error is None}
    named = {number for row in rows if row.error is not None for number in numbers(row)}
    for number, line in enumerate(lines[1:], start=2):
        product = line.partition(separator)[0].replace('"', "")
        assert number in named or product in {each.replace('"', "") for each in stored}, line


def xml(rnd: random.Random, rows: list[list[str]]) -> str:
    items = [
        "<item>"
        + "".join(
            f"<{name}>{escape(cell)}</{name}>" for name, cell in zip(COLUMNS, row, strict=True)
        )
        + "</item>"
        for row in rows
    ]
    return f'<rss version="2.0"><channel>{rnd.choice(["", chr(10)]).join(items)}</channel></rss>'


def others(rnd: random.Random, rows: list[list[str]], folder: Path) -> Iterator[Path]:
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    lines = folder / "f.jsonl"
    lines.write_text("\n\n".join(json.dumps(each) for each in objects))
    yield lines
    feed = folder / "f.xml"
    feed.write_text(xml(rnd, rows))
    yield feed
    table = folder / "f.parquet"
    parquet.write_table(pa.Table.from_pylist(objects), table)
    yield table


@pytest.mark.parametrize("seed", range(10))
def test_other_formats_come_back_as_they_were_written(tmp_path: Path, seed: int) -> None:
    rnd = random.Random(seed)
    rows = [[cell.strip().replace("\r", "") for cell in cells(rnd, number)] for number in range(20)]
    for path in others(rnd, rows, tmp_path):
        found = read(path)
        assert [[*row.cells.values()] for row in found] == rows, path.suffix


@pytest.mark.parametrize("seed", range(20))
def test_broken_lines_and_items_are_named(tmp_path: Path, seed: int) -> None:
    rnd = random.Random(seed)
    rows = [cells(rnd, number) for number in range(20)]
    for path in [*others(rnd, rows, tmp_path)][:2]:
        content = bytearray(path.read_bytes())
        for _ in range(4):
            at = rnd.randrange(60, len(content))
            content[at : at + rnd.randrange(3)] = rnd.choice([b"", b"<", b'"', b"<![CDATA[", b"{"])
        path.write_bytes(content)
        read(path)


@pytest.mark.parametrize("made", exports(), ids=lambda made: made.name)
def test_every_row_of_an_export_becomes_something_or_is_left_out_with_its_reason(
    tmp_path: Path, made: Made
) -> None:
    shape = EVENTS[made.shape] if made.events else PRODUCTS[made.shape]
    path = made.write(tmp_path)
    with closing(open_table(path, columns=(), needed=(), reading=Reading(shape=shape))) as table:
        rows = list(accounted(table))
        shaped = unformed(table)
        assert isinstance(shaped, Shaped)
        assert sum(row.records for row in rows) == table.records
        assert not [row.error for row in rows if row.error]
        assert (
            len({row.number for row in rows}) + shaped.left_out.total() + made.joined == made.rows
        )


def _first_alone(rows: Iterator[Row], _: ExportDates) -> Iterator[Row]:
    yield next(rows)
    list(rows)


def test_a_converter_that_passes_over_a_row_is_found_out(tmp_path: Path) -> None:
    careless = Shape("x", "X", frozenset({"id"}), _first_alone, ExportColumns({"id": "id"}, {}))
    path = tmp_path / "f.csv"
    path.write_text("id,title\n1,a\n2,b\n")
    rows = read(path, shape=careless)
    assert [row.error is None for row in rows] == [True, False]
    assert rows[1].cells["id"] == "2"


def test_every_reader_of_a_whole_file_goes_through_the_account() -> None:
    source = Path(sightline_client.__file__).parent
    names = ("accounts", "conversion", "forms", "mapping", "notation", "opening", "rejected")
    layers = [f"files/{name}.py" for name in names]
    readers = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"table\.rows\(\)", path.read_text())
    }
    assert readers == set(layers), "read the rows of a table by `accounted`"


class Careless:
    """A reader that passes over a line."""

    columns = ("id",)
    total = done = records = 3

    def rows(self) -> Iterator[Row]:
        yield Row(1, {"id": "1"})
        yield Row(2, {"id": "2"})

    def close(self) -> None:
        """Do nothing."""


def test_a_reader_that_passes_over_a_line_is_found_out() -> None:
    *_, last = accounted(Careless())
    assert last.error is not None
    assert last.error.reason == LOST
    assert "1 of 3 records" in str(last.error)
