"""Tables that are described by their columns: headings, and what each shows of a value."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

from rich.console import RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import Grid, grid

V = TypeVar("V")
Column: TypeAlias = str | Callable[[V], str | Text]
"""A field of the value, or its path ("counts.frame_time"), with a format ("lead:.2f") or what is
shown if it is empty ("version or –"); or a function of the value."""

MADE: list["ValueTable"] = []  # type: ignore[type-arg]
"""All tables, whose texts ``client/translate.py`` collects."""
TIME = "%Y-%m-%d %H:%M:%SZ"


class ValueTable(Generic[V]):
    """A table with a row for each value."""

    def __init__(
        self,
        of: type[V],
        columns: Mapping[str, Column[V]],
        *,
        empty: str = "",
        right: Collection[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        """``of``: class of the values; ``columns``: by heading; ``empty``: shown instead of a table
        without rows; ``right``, ``spare``: see ``grids.grid``. Texts are in English."""
        self.of, self.columns, self.empty = of, columns, empty
        self._right, self._spare = right, spare
        MADE.append(self)

    def __call__(self, values: Iterable[V]) -> RenderableType:
        """Show values, a line each."""
        found = self.grid(values)
        return found if found.rows or not self.empty else Text(_(self.empty))

    def one(self, value: V) -> RenderableType:
        """Show one value."""
        return self([value])

    def grid(self, values: Iterable[V]) -> Grid:
        """Return the table, with its headings if there are no values."""
        return grid(
            map(_, self.columns),
            ([_cell(value, each) for each in self.columns.values()] for value in values),
            right=[*map(_, self._right)],
            spare=[*map(_, self._spare)],
        )

    def texts(self) -> Iterable[str]:
        """Return the English texts of the table."""
        return filter(None, (*self.columns, self.empty))


def _cell(value: V, column: Column[V]) -> str | Text:
    return written(value, column) if isinstance(column, str) else column(value)


def written(value: object, column: str) -> str:
    """Write the field of a value that a column names: "–" if it is None, a duration in
    milliseconds."""
    field, _or, other = column.partition(" or ")
    path, _colon, form = field.partition(":")
    found = value
    for name in path.split("."):
        found = None if found is None else getattr(found, name)
    if found is None:
        return "–"
    if isinstance(found, timedelta):
        return f"{found / timedelta(milliseconds=1):.1f}"
    if isinstance(found, tuple):
        return ", ".join(map(str, found)) or other
    if isinstance(found, int | datetime):
        return format(found, form or ("," if isinstance(found, int) else TIME))
    return format(found, form) or other


def moment(value: datetime | None) -> str:
    """Write a time in UTC; "–" if it is None."""
    return "–" if value is None else format(value, TIME)


def interval(low: float | None, high: float | None, form: str) -> str:
    """Write an interval; "–" if it is not known."""
    if low is None or high is None:
        return "–"
    return _("{low} to {high}", low=format(low, form), high=format(high, form))
