"""Sheets of a workbook, read by openpyxl with one row of them in memory.

Its own reader keeps what stands beside rows until the end of a part, and reads some parts whole: a
file of 100 kB takes gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

from openpyxl.cell.read_only import ReadOnlyCell  # type: ignore[import-untyped]
from openpyxl.cell.text import Text  # type: ignore[import-untyped]
from openpyxl.reader.excel import ExcelReader  # type: ignore[import-untyped]
from openpyxl.worksheet._read_only import ReadOnlyWorksheet  # type: ignore[import-untyped]
from openpyxl.worksheet._reader import ROW_TAG, WorkSheetParser  # type: ignore[import-untyped]
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS  # type: ignore[import-untyped]
from openpyxl.xml.functions import iterparse  # type: ignore[import-untyped]

from sightline_client.files.model import FileRefused

MOST_ELEMENTS = 200_000
"""Elements up to the end of a row or text, from the one before: Excel has 16,384 cells of a few."""
DEEPEST = 64
"""Levels of elements."""
_TEXT_TAG = f"{{{SHEET_MAIN_NS}}}si"


def open_sheets(file: IO[bytes]) -> Any:
    """Return a workbook whose sheets are read by `rows`."""
    reader = _Reader(file, read_only=True, data_only=True, keep_links=False)
    reader.read()
    return reader.wb


def rows(sheet: Any) -> Iterator[tuple[int, list[ReadOnlyCell]]]:
    """Yield the rows of a sheet that have cells, with their numbers. Raises FileRefused."""
    book, last = sheet.parent, 0
    with sheet._get_source() as part:
        parser = WorkSheetParser(
            part,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for element in _units(part, ROW_TAG):
            number, cells = parser.parse_row(element)
            if number > last:  # others, such as one that is there twice, are left out
                last = number
                yield number, [ReadOnlyCell(sheet, **cell) for cell in cells]


class _Sheet(ReadOnlyWorksheet):  # type: ignore[misc]
    """A sheet that is not read before its rows."""

    def _get_size(self) -> None:
        """Do nothing: what a file says of its size may be wrong."""


class _Reader(ExcelReader):  # type: ignore[misc]
    """A reader of sheets of cells, and of what their cells need."""

    def read(self) -> None:
        """Read all but the sheets' rows."""
        from openpyxl.styles.stylesheet import apply_stylesheet  # type: ignore[import-untyped]

        self.read_manifest()
        self.read_strings()
        self.read_workbook()
        apply_stylesheet(self.archive, self.wb)
        self.read_worksheets()

    def read_strings(self) -> None:
        """Read the texts of all cells."""
        found = self.package.find(SHARED_STRINGS)
        if found is not None:
            with self.archive.open(found.PartName[1:]) as part:
                texts = (Text.from_tree(each).content for each in _units(part, _TEXT_TAG))
                self.shared_strings = [text.replace("x005F_", "") for text in texts]

    def read_worksheets(self) -> None:
        """Prepare the sheets, without those of charts."""
        for sheet, relation in self.parser.find_sheets():
            if relation.target in self.valid_files and "chartsheet" not in relation.Type:
                made = _Sheet(self.wb, sheet.name, relation.target, self.shared_strings)
                made.sheet_state = sheet.state
                self.wb._sheets.append(made)


def _units(part: IO[bytes], tag: str) -> Iterator[Any]:
    """Yield the elements of a tag, each whole. All others are dropped as they end. Raises
    FileRefused."""
    events: Iterable[tuple[str, Any]] = iterparse(part, ("start", "end"))
    above, count, within = list[Any](), 0, 0
    for event, element in events:
        if event == "start":
            above.append(element)
            count += 1
            within += element.tag == tag
            if count > MOST_ELEMENTS or len(above) > DEEPEST:
                raise FileRefused(
                    f"a row or text of the workbook has over {MOST_ELEMENTS:,} elements, or"
                    f" {DEEPEST} levels",
                    "write a CSV file instead",
                )
            continue
        above.pop()
        within -= element.tag == tag
        if element.tag == tag and not within:
            count = 0
            yield element
        if not within and above:
            above[-1].remove(element)
