"""Files of products: their columns, the first products, and the import of all.

Files are on the disk while they are read, because the client's readers open them.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.convert import from_wire
from sightline_client.errors import SightlineError
from sightline_client.files import opening, products
from sightline_client.files.accounts import accounted
from sightline_client.files.attribute_keys import attribute_key
from sightline_client.files.conversion import Shape
from sightline_client.files.mapping import ATTRIBUTES, LISTS, ColumnMap
from sightline_client.files.model import NOTE, FileRefused, Row, RowTable
from sightline_client.files.opening import Reading
from sightline_client.files.proposing import propose
from sightline_client.files.rejected import Rejected, problem
from sightline_client.files.seen import SeenIds, twice
from sightline_client.files.shapes import PRODUCTS, shape_of
from sightline_client.files.workbook import Workbook
from sightline_client.files.workbook_parts import PartLimits
from sightline_client.transport.row_import import read_ahead
from sightline_client.transport.threads import in_thread
from sightline_client.values.products import Product
from sightline_console.screens.product_photos import PackedPhotos
from sightline_console.screens.product_values import OfferedValue, offered, words
from sightline_console.web.packed import Packed

MOST_BYTES = 20 * 2**20
"""Maximum bytes of a file."""
SHOWN = 10
"""Number of products that are shown before they are imported."""
NAMED = 50
"""Number of rejected rows, and of products without a photo, that are named."""
SUFFIXES = (
    *sorted((*opening.DELIMITED, *opening.LINES, *opening.FEEDS)),
    ".xlsx",
    ".html",
)
"""Ends of names of files that are read: a small Parquet file can hold far more than the memory."""
MOST_COLUMNS = 300
LARGEST_REJECTED = 24 * 2**20
"""Maximum bytes of a file of rejected rows that is kept."""
LARGEST_TEXTS = 16 * 2**20
LARGEST_SHEET = 256 * 2**20
LARGEST_PART = 4 * 2**20
"""Maximum bytes of parts of a workbook, unpacked: those of texts, of sheets, and of others."""
LARGEST_BOOK = 320 * 2**20
"""Maximum bytes of all parts, unpacked: each is looked at, 100 MB in a second."""
LIMITS = PartLimits(
    bytes=LARGEST_BOOK, rows=250_000, cells=6_000_000, texts=300_000, others=500_000
)
"""Of workbooks: a million empty rows are a few bytes as packed, and a minute of a processor."""
_PREFIX = "sightline-console-"
_OWN_FOLDER = re.compile(rf"\S*/{_PREFIX}[^/\s]+/")
"""Where a file is on this machine, which is not told."""
_WEIGHT = 2_000
"""Bytes that a product without photos is counted for when rows are read ahead."""

Outcome: TypeAlias = Product | SightlineError


class FileUnread(Exception):
    """A file that can't be read, with what to do."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Columns and currency by which a file is read."""

    columns: Mapping[str, str] | None = None
    """Column of the file → ours; empty: left out. None: as proposed."""
    currency: str = ""
    """Of prices in rows that name none."""
    values: Mapping[str, str] = field(default_factory=dict)
    """`COLUMN:VALUE` of the file → value that takes its place."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The columns of a file, and its first products."""

    columns: Mapping[str, str]
    """Column of the file → ours."""
    choices: Mapping[str, Sequence[str]]
    """Column of the file → ours that it can be."""
    doubts: Mapping[str, Sequence[str]]
    """Our column → columns of the file of which the right one is to be chosen."""
    export_of: str
    """Program whose export it is, whose columns are known; empty: none."""
    rows: Sequence[tuple[int, Outcome]]
    """Numbers of the first rows, with their products."""
    values: Sequence[OfferedValue] = ()


@dataclass(slots=True)
class Progress:
    """An import, while it goes on and after it."""

    name: str
    chosen: Chosen
    catalog: str
    read: int = 0
    stored: int = 0
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    """The first rejected rows: number, product and problem."""
    refused_count: int = 0
    without_photo: list[str] = field(default_factory=list)
    """The first products without a photo."""
    without_photo_count: int = 0
    done: bool = False
    problem: str = ""
    """The reason for an early end."""
    rejected: bytes = b""
    """File of the rejected rows, until it is kept elsewhere."""
    rejected_name: str = ""
    rejected_id: str = ""
    """Id of the file, as kept for the session."""
    photos_id: str = ""
    """Id of the photos beside the file, as kept for the session."""
    unused: int = 0
    """Number of photos beside the file that no row names."""


def suffix_of(name: str) -> str:
    """Return the end of a file's name that says its kind. Raises FileUnread."""
    found = Path(name.lower()).suffix
    if found not in SUFFIXES:
        raise FileUnread(", ".join(SUFFIXES))
    return found


@contextmanager
def _on_disk(name: str, content: bytes) -> Iterator[Path]:
    with TemporaryDirectory(prefix=_PREFIX) as folder:
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem)[:60] or "products"
        path = Path(folder) / f"{stem}{suffix_of(name)}"
        path.write_bytes(content)
        yield path


def preview(name: str, content: bytes, chosen: Chosen, photos: Packed | None = None) -> Preview:
    """Read the first products of a file. `photos`: those beside it. Raises FileUnread."""
    beside = PackedPhotos(photos)
    with _told(), _on_disk(name, content) as path:
        names, rows = _look(path)
        theirs = [each for each in names if not each.startswith(NOTE)]
        if shape := _shape(path, theirs, chosen):
            return Preview({}, {}, {}, shape.of, _first(path, chosen, theirs, beside))
        cells = [row.cells for row in rows]
        found = propose(theirs, cells, products.COLUMNS, products.NEEDED)
        columns = chosen.columns or {each: found.columns.get(each, _same(each)) for each in theirs}
        complete = set(products.NEEDED) <= {*columns.values()}
        return Preview(
            columns,
            {each: _choices(each, columns.get(each, "")) for each in theirs},
            {} if chosen.columns else found.doubts,
            "",
            _first(path, replace(chosen, columns=columns), theirs, beside) if complete else [],
            offered(rows, columns, chosen.values),
        )


def _look(path: Path) -> tuple[Sequence[str], list[Row]]:
    """Return the columns of a file, and its first rows. Raises FileUnread, FileRefused."""
    if path.suffix == ".xlsx":
        Workbook.check(
            path, texts=LARGEST_TEXTS, sheet=LARGEST_SHEET, part=LARGEST_PART, limits=LIMITS
        )
    names, rows = opening.look(path, products.COLUMNS)
    if len(names) > MOST_COLUMNS:
        text = _("The file has over {most} columns: import it by the command.", most=MOST_COLUMNS)
        raise FileUnread(text)
    return names, rows


def _shape(path: Path, names: Iterable[str], chosen: Chosen) -> Shape | None:
    """Return the export that a file is; None: its columns are chosen, or of no known export."""
    if chosen.columns is not None:
        return None
    return PRODUCTS.get(opening.SHAPES.get(path.suffix, "")) or shape_of(names, PRODUCTS)


def _same(name: str) -> str:
    return name if name in products.COLUMNS else ""


def _choices(theirs: str, ours: str) -> list[str]:
    own = [f"{ATTRIBUTES}{attribute_key(theirs)}"] if attribute_key(theirs) else []
    return list(dict.fromkeys(["", *products.COLUMNS, *own, ours]))


def _first(
    path: Path, chosen: Chosen, names: Iterable[str], photos: PackedPhotos
) -> list[tuple[int, Outcome]]:
    """Return the first products, with photos without content."""
    table = _open(path, chosen, names)
    try:
        rows = islice(table.rows(), SHOWN)
        return [(row.number, _product(row, photos, read=False)) for row in rows]
    finally:
        table.close()


def _open(path: Path, chosen: Chosen, names: Iterable[str]) -> RowTable:
    """Open a file as it was chosen, else as the export that it is."""
    constants = {"currency": chosen.currency} if chosen.currency else {}
    shape = _shape(path, names, chosen)
    columns = chosen.columns or {}
    mapped = {each: ours for each, ours in columns.items() if each != ours}
    single = [ours for ours in columns.values() if ours and ours not in LISTS]
    if twice_ := next((ours for ours in single if single.count(ours) > 1), ""):
        raise FileRefused(f"two columns are {twice_}", "choose one of them")
    by = ColumnMap(mapped, constants)
    return opening.open_table(
        path,
        columns=products.COLUMNS,
        needed=products.NEEDED,
        reading=Reading(map=by, shape=shape, values=words(chosen.values)),
    )


def _product(row: Row, photos: PackedPhotos, *, read: bool = True) -> Outcome:
    if row.error is not None:
        return row.error
    try:
        return from_wire.product(products.product(row.cells, photos, read=read))
    except SightlineError as error:
        return error


@contextmanager
def _told() -> Iterator[None]:
    """Say of any fault of a file that it can't be read."""
    try:
        yield
    except FileRefused as error:
        raise FileUnread(_OWN_FOLDER.sub("", f"{error}: {error.fix}")) from error
    except (OSError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise FileUnread(_OWN_FOLDER.sub("", str(error))) from error


async def bring(
    client: SightlineClient,
    content: bytes,
    progress: Progress,
    reading: asyncio.Semaphore,
    photos: Packed | None = None,
) -> None:
    """Import a file, with a place of `reading` while it is read, not while products are sent.
    `photos`: those beside it. What is wrong with the file is told by the progress. Raises
    SightlineError."""
    beside = PackedPhotos(photos)
    try:
        with _told(), _on_disk(progress.name, content) as path, SeenIds() as seen:
            async with reading:
                table = await in_thread(_opened, path, progress.chosen)
            rejected = _Limited(path, table)
            rows = read_ahead(_rows(table, seen, beside), _weight, reading)
            try:
                await _send(client, rows, rejected, progress)
            finally:
                progress.unused = len(photos or ()) - len(beside.used)
                rejected.close()
                table.close()
                if rejected.count:
                    progress.rejected_name = rejected.path.name
                    _keep(progress, rejected)
    except FileUnread as error:
        progress.problem = str(error)


def _opened(path: Path, chosen: Chosen) -> RowTable:
    return _open(path, chosen, _look(path)[0])


class _Limited(Rejected):
    """A file of rejected rows that ends, unfinished, where it is too large to be kept."""

    size = 0
    """Approximate bytes."""

    def add(self, row: Row, error: SightlineError) -> None:
        self.size += len(problem(error)) + sum(len(str(each)) for each in row.cells.values())
        if self.size <= LARGEST_REJECTED:
            super().add(row, error)
        else:
            self.count += 1


def _keep(progress: Progress, rejected: _Limited) -> None:
    """Keep the file of the rejected rows, unless it is too large."""
    whole = rejected.size <= LARGEST_REJECTED
    if whole and rejected.path.stat().st_size <= LARGEST_REJECTED:
        progress.rejected = rejected.path.read_bytes()
    else:
        text = _("The rejected rows are too many to be kept: import the file by the command.")
        progress.problem = progress.problem or text


def _rows(table: RowTable, seen: SeenIds, photos: PackedPhotos) -> Iterator[tuple[Row, Outcome]]:
    for row in accounted(table):
        found = _product(row, photos)
        if isinstance(found, Product):
            found = twice(seen, row, found.product_id) or found
        yield row, found


def _weight(read: tuple[Row, Outcome]) -> int:
    """Return the bytes that a row is counted for when rows are read ahead."""
    _row, found = read
    images = found.images if isinstance(found, Product) else ()
    return _WEIGHT + sum(len(each.content) for each in images)


async def _send(
    client: SightlineClient,
    rows: AsyncGenerator[tuple[Row, Outcome], None],
    rejected: Rejected,
    progress: Progress,
) -> None:
    waiting: deque[tuple[Row, Product]] = deque()

    async def sent() -> AsyncIterator[Product]:
        async with aclosing(rows) as read:
            async for row, found in read:
                progress.read += 1
                if isinstance(found, SightlineError):
                    _refuse(progress, rejected, row, found)
                else:
                    waiting.append((row, found))
                    yield found

    async for batch in client.upsert_products(sent()):
        for outcome in batch.outcomes:
            row, product = waiting.popleft()
            if outcome.error is not None:
                _refuse(progress, rejected, row, outcome.error)
                continue
            progress.stored += 1
            if not product.images:
                progress.without_photo_count += 1
                if len(progress.without_photo) < NAMED:
                    progress.without_photo.append(product.product_id)


def _refuse(progress: Progress, rejected: Rejected, row: Row, error: SightlineError) -> None:
    progress.refused_count += 1
    rejected.add(row, error)
    if len(progress.refused) < NAMED:
        progress.refused.append((row.number, products.product_id(row.cells), problem(error)))
