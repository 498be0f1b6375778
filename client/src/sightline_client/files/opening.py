"""Choose the reader by the file's name and check the columns."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import islice
from pathlib import Path

from sightline_client.files import workbook
from sightline_client.files.conversion import ExportDates, Shape, Shaped
from sightline_client.files.delimited import Delimited
from sightline_client.files.forms import Formed
from sightline_client.files.lines import JsonLines
from sightline_client.files.mapping import AnyCase, ColumnMap, Mapped, missing_field
from sightline_client.files.market_cells import MARKETS, MarketColumns
from sightline_client.files.model import FileRefused, Row, RowTable, unread
from sightline_client.files.notation import Notation, ValueWord, translated
from sightline_client.files.pages import SUFFIXES as PAGES
from sightline_client.files.pages import ProductPages
from sightline_client.files.parquet import Parquet
from sightline_client.files.proposing import SAMPLE
from sightline_client.files.rejected import Kept
from sightline_client.files.xml_feed import XmlFeed

DELIMITED = frozenset({".csv", ".tsv", ".txt"})
LINES = frozenset({".jsonl", ".ndjson"})
PARQUET = frozenset({".parquet"})
FEEDS = frozenset({".xml", ".rss", ".atom"})
SHAPES: Mapping[str, str] = {
    **dict.fromkeys(FEEDS, "google-merchant"),
    **dict.fromkeys(PAGES, "schema-org"),
}
"""Shapes of kinds of files that have but one, by the end of the name."""
_PART = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings for a file with foreign columns, shape or encoding."""

    map: ColumnMap = field(default_factory=ColumnMap)
    shape: Shape | None = None
    encoding: str = ""
    """Encoding of text. Empty: as the file's bytes show."""
    decimal: str = ""
    """Decimal sign of numbers. Empty: as each column shows."""
    order: str = ""
    """Order of day and month, `dmy` or `mdy`. Empty: as each column shows."""
    zone: tzinfo | None = None
    """Zone of times that name none. None = they are rejected."""
    values: tuple[ValueWord, ...] = ()
    """Meanings of values of columns."""
    forms: Mapping[str, str] = field(default_factory=dict)
    """Forms of columns that their own rows do not show, see `Notation.forms`."""

    @property
    def notation(self) -> Notation:
        """Form of numbers and times."""
        return Notation(self.decimal, self.order, self.zone, self.forms)


AS_IT_IS = Reading()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Our columns."""

    columns: Collection[str]
    needed: Collection[str]
    ignore: Collection[str]
    """Columns of the file that are left out."""


def open_table(
    path: Path,
    *,
    columns: Collection[str],
    needed: Collection[str],
    ignore: Collection[str] = (),
    reading: Reading = AS_IT_IS,
) -> RowTable:
    """Open a file and check its columns. FileRefused for missing columns and for unknown ones,
    whose content would be lost silently. In JSON Lines each row is checked as it is read."""
    layout = _Layout(columns, needed, ignore)

    def read() -> RowTable:
        return _converted(path, layout, reading)

    state = _state(path)

    def check() -> None:
        if _state(path) != state:
            raise FileRefused(f"{path.name} changed while it was read", "import it again")

    table = Formed(read(), read, reading.notation, check)
    table.how += f" {reading.encoding}".rstrip()
    return table


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes with a file; () = it is gone."""
    try:
        facts = path.stat()
    except OSError:
        return ()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def _converted(path: Path, layout: _Layout, reading: Reading) -> RowTable:
    """Open a table of our columns, whose values are as in the file."""
    table = Kept(_open(path, layout.columns, reading, layout.ignore))
    try:
        _check_values(path, table.columns, layout.columns, reading.values)
        return translated(
            table, reading.values, lambda theirs: _by_our_columns(path, theirs, layout, reading)
        )
    except FileRefused:
        table.close()
        raise


def _by_our_columns(path: Path, table: RowTable, layout: _Layout, reading: Reading) -> RowTable:
    columns = layout.columns
    if reading.shape is not None:
        _check_constants(path, reading.map, columns)
        _check_forms(path, table.columns, reading.shape)
        dates = ExportDates(reading.zone or UTC, reading.order)
        return Shaped(table, reading.shape, reading.map.constants, dates)
    ours: RowTable = Mapped(table, reading.map, columns) if reading.map else table
    if table.columns:
        _check_names(path, table.columns, columns, reading.map, layout.ignore)
        _check_needed(path, ours.columns, columns, layout.needed)
    _check_constants(path, reading.map, reading.map.read(table.columns, columns) or columns)
    return ours


def look(
    path: Path, known: Collection[str], encoding: str = ""
) -> tuple[tuple[str, ...], list[Row]]:
    """Return the columns of a file, and its first rows."""
    table = _open(path, known, Reading(encoding=encoding), strict=False)
    try:
        rows = [row for row in islice(table.rows(), SAMPLE) if row.error is None]
    finally:
        table.close()
    names = table.columns or tuple(dict.fromkeys(name for row in rows for name in row.cells))
    return names, rows


def fingerprint(path: Path, report: Callable[[int], None] | None = None) -> str:
    """Hash of the file's content, 32 hexadecimal digits. ``report`` is called with the number of
    bytes read."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
            done += len(part)
            if report is not None:
                report(done)
    return digest.hexdigest()[:32]


def _open(
    path: Path,
    columns: Collection[str],
    reading: Reading,
    ignore: Collection[str] = (),
    *,
    strict: bool = True,
) -> RowTable:
    suffix = path.suffix.lower()
    if suffix in DELIMITED:
        theirs = reading.shape.marks if reading.shape else frozenset(reading.map.columns)
        return Delimited(path, {*columns, *theirs}, reading.encoding)
    if suffix in PARQUET:
        return Parquet(path)
    if suffix in workbook.SUFFIXES:
        return workbook.Workbook(path)
    if suffix in PAGES:
        return ProductPages(path.parent, page=path)
    paths = {part for name in reading.map.columns for part in (name, name.partition(".")[0])}
    known: Collection[str] = ()
    if reading.shape is None and strict:
        known = MarketColumns([*columns, *paths]) if MARKETS in columns else {*columns, *paths}
        known = AnyCase(known) if reading.map else known
    if suffix in LINES:
        return JsonLines(path, known=known, ignore=ignore, encoding=reading.encoding)
    if suffix in FEEDS:
        return XmlFeed(path, encoding=reading.encoding, known=known, ignore=ignore)
    raise FileRefused(
        f"{path.name} is not a supported kind of file",
        "name it by its content: .csv, .tsv, .xlsx, .jsonl, .parquet, .xml or .html; save an .xls"
        " file as .xlsx",
    )


def _check_values(
    path: Path,
    theirs: Collection[str],
    known: Collection[str],
    words: Collection[ValueWord],
) -> None:
    """Reject a word for a column that the file does not have."""
    for word in words:
        if theirs and not any(name in theirs or name in known for name in word.readings):
            column = next(iter(word.readings))
            problem = f"--value {word.option} names the column {column!r}, which {path.name} does"
            raise FileRefused(f"{problem} not have", f"its columns are {', '.join(theirs)}")


def _check_names(
    path: Path,
    theirs: Collection[str],
    known: Collection[str],
    by: ColumnMap,
    ignore: Collection[str],
) -> None:
    twice = sorted(name for name, times in Counter(theirs).items() if times > 1)
    if twice:
        raise FileRefused(f"{path.name} names the column {twice[0]!r} twice", "give each one name")
    left = by.unread(theirs, known)
    if len(left) == len(theirs):
        raise FileRefused(
            f"{path} has no header: its first line names none of the columns",
            f"name the columns in the first line, e.g. {','.join(list(known)[:4])}, or map"
            " other names: --map guess proposes how",
        )
    for name in left:
        if name not in ignore:
            problem = f"{path.name} has an unknown column {name!r}"
            raise FileRefused(problem, unread(name, known))


def _check_forms(path: Path, theirs: Collection[str], shape: Shape) -> None:
    """Reject two spellings of one column of an export, of which only one could be read."""
    found: dict[str, str] = {}
    for name in theirs:
        other = found.setdefault(shape.columns.form(name), name)
        if other != name:
            problem = f"{path.name}: {other!r} and {name!r} are names of one column of {shape.of}"
            raise FileRefused(problem, "leave one of them out")


def _check_constants(path: Path, by: ColumnMap, there: Collection[str]) -> None:
    if there and (missing := missing_field(by.constants, there)) is not None:
        constant, name = missing
        problem = f"--set {constant} names the column {name!r}, which {path.name} does not have"
        raise FileRefused(problem, f"its columns are {', '.join(there)}")


def _check_needed(
    path: Path, ours: Collection[str], known: Collection[str], needed: Collection[str]
) -> None:
    missing = [name for name in needed if name not in ours]
    if missing:
        raise FileRefused(
            f"{path.name} lacks the column {missing[0]!r}",
            f"its columns are read as {', '.join(ours)}; known ones are {', '.join(known)}; map"
            f" the column that holds it with --map theirs={missing[0]}",
        )
