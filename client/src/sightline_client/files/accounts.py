"""The account of a file: each of its records is part of a row that is stored or reported."""

from collections.abc import Iterator

from sightline_client.files.model import Row, RowTable, bad

LOST = "ROWS_LOST"


def accounted(table: RowTable) -> Iterator[Row]:
    """Yield the rows of a table. If its reader has passed over records of the file, a last row
    reports it, so that no row vanishes without a word."""
    number = found = 0
    for row in table.rows():
        number, found = max(number, row.number), found + row.records
        yield row
    if missing := table.records - found:
        text = (
            f"{missing:,} of {table.records:,} records of the file (lines, items) became no row: "
            "this is a defect of Sightline; please report it with the first lines of the file"
        )
        yield Row(number + 1, error=bad("file", text, reason=LOST), records=0)
