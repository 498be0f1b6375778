"""No cell and no option ends an import: what can't be read is a rejected row, or a refused file."""

from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from encodings import aliases
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline_client.errors import SightlineError
from sightline_client.files import events, instants, products
from sightline_client.files.delimited import Delimited
from sightline_client.files.forms import Formed
from sightline_client.files.model import MAX_CELL, FileRefused, Row
from sightline_client.files.notation import Notation
from sightline_client.files.photos import PhotoFolder

ZONES = (None, *map(ZoneInfo, ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati")))
PIECES = (
    *("0001-01-01", "9999-12-31", "2026-03-29", "01.01.0001", "31.12.9999", "04/11/2026"),
    *("00:00", "23:59:59", " 02:30", "T", " ", "+14:00", "-1200", "Z", "PM", "Uhr", "GMT", "JST"),
    *("Mon, 04 Nov", "4. März", "99999999999", "1", "04112026", "1e99", "²", "٣", ",", ".", "-"),
    *("€", "年", "\0", "\udce9", " " * MAX_CELL, "9" * 5_000, "x"),
)
CELLS: st.SearchStrategy[object] = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.datetimes(timezones=st.none() | st.just(ZONES[-1])),
    st.dates(),
    st.floats(),
    st.integers(),
)


class One:
    """A file of one row."""

    columns: tuple[str, ...] = ()
    total = done = records = 1

    def __init__(self, cells: Mapping[str, object]) -> None:
        self._cells = cells

    def rows(self) -> Iterator[Row]:
        yield Row(1, self._cells)

    def close(self) -> None:
        """Do nothing."""


def read(cells: Mapping[str, object], notation: Notation) -> None:
    """Read a row as an import does. SightlineError if it is rejected."""
    (row,) = Formed(One(cells), lambda: One(cells), notation).rows()
    if row.error is not None:
        raise row.error
    if "type" in cells:
        events.event(row.cells)
    else:
        products.product(row.cells, PhotoFolder(Path()), read=False)


@given(
    cell=CELLS,
    zone=st.sampled_from(ZONES),
    order=st.sampled_from(("", *instants.ORDERS)),
    column=st.sampled_from(("time", "value", "price", "attributes")),
)
@example("0001-01-01 00:00:00", ZONES[2], "", "time")
@example("9999-12-31 23:59:59", ZONES[3], "", "time")
@example("01.01.0001 00:00 +01:00", None, "", "time")
@example(float("nan"), ZONES[2], "", "time")
@example(float("inf"), ZONES[2], "", "time")
@example("9" * 4_301, None, "", "time")
@example("Mon, 01 Jan 99999999999 00:00:00 +0000", None, "", "time")
@example(f"04.11.2026{' ' * MAX_CELL}"[: MAX_CELL - 1] + "x", ZONES[2], "", "time")
def test_a_cell_is_read_or_its_row_is_rejected(
    cell: object, zone: ZoneInfo | None, order: str, column: str
) -> None:
    """Cells are as long as a file may have them, so reading one must be linear to come to an
    end."""
    own: dict[str, object] = {"id": "1", "title": "T"}
    if column in events.COLUMNS:
        own = {"type": "RATING", "user_id": "u", "product_id": "p"}
    value = {"x": cell} if column == "attributes" else cell
    with suppress(SightlineError):
        read({**own, column: value}, Notation(order=order, zone=zone))


@pytest.mark.parametrize("name", [*sorted({*aliases.aliases.values(), "undefined", "idna", "no"})])
def test_an_encoding_is_one_of_text_or_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,title\n1,T\xe9\n")
    with suppress(FileRefused), closing(Delimited(path, ["id"], name)) as table:
        assert len(list(table.rows())) <= 1
