"""Output of the command for people, as texts and tables of a page."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from sightline_client.cli.show.grids import Grid
from sightline_client.cli.show.value_tables import ValueTable

V = TypeVar("V")

_KINDS = {"bold": "strong", "dim": "soft", "red": "loss", "yellow": "loss"}
"""Style on a terminal → class on a page."""


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph."""

    text: str
    kind: str = ""
    """"strong" for a result, "soft" for an explanation, "loss" for a warning."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link beside a row of a table."""

    text: str
    address: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table."""

    columns: Sequence[str]
    """Headings; none: the first cell of each row is its heading."""
    rows: Sequence[Sequence[str]]
    figures: frozenset[int] = frozenset()
    """Numbers of the columns with figures, from 0."""
    title: str = ""
    links: Sequence[Sequence[Link]] = ()
    """Links of each row; empty: no row has any."""


Block: TypeAlias = Line | Table


def blocks(shown: RenderableType) -> list[Block]:
    """Return the texts and tables of what the command shows."""
    return list(_blocks(shown))


def listed(
    table: ValueTable[V], values: Sequence[V], links: Callable[[V], Sequence[Link]]
) -> list[Block]:
    """Return the command's table of values with links beside each; its text if there are none."""
    if not values:
        return blocks(table(values))
    return [_grid(table.grid(values), [links(each) for each in values])]


def _blocks(shown: RenderableType) -> Iterator[Block]:
    match shown:
        case Group():
            for each in shown.renderables:
                yield from _blocks(each)
        case Grid():
            yield _grid(shown)
            yield from (Line(note, "soft") for note in shown.notes.values() if note)
        case RichTable():
            yield _table(shown)
        case Text() | str():
            if text := str(shown).strip():
                yield Line(text, _kind(shown))
        case _:
            raise TypeError(f"{type(shown).__name__} has no place on a page")


def _kind(shown: Text | str) -> str:
    style = "" if isinstance(shown, str) else str(shown.style)
    return next((_KINDS[each] for each in reversed(style.split()) if each in _KINDS), "")


def _grid(grid: Grid, links: Sequence[Sequence[Link]] = ()) -> Table:
    figures = (place for place, name in enumerate(grid.columns) if name in grid.right)
    return Table(
        grid.columns if grid.show_header else (),
        [[cell.plain for cell in row] for row in grid.rows],
        frozenset(figures),
        "" if grid.title is None else grid.title.plain,
        links if any(links) else (),
    )


def _table(table: RichTable) -> Table:
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    figures = (place for place, each in enumerate(table.columns) if each.justify == "right")
    return Table(
        [str(column.header) for column in table.columns] if table.show_header else (),
        [*zip(*columns, strict=True)],
        frozenset(figures),
        str(table.title or ""),
    )
