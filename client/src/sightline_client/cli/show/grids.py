"""Tables that fit the terminal: columns are left out before an id or a figure is broken."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from sightline_client.cli.language import _

COMFORTABLE = 24
"""Cells of a line of text, before columns that can be spared are left out."""
LONGEST = 64
"""Cells of a word that is never broken, such as the id of a photo."""


@dataclass(frozen=True, slots=True)
class Need:
    """Widths of a column."""

    least: int
    """Its longest word."""
    comfortable: int
    """Readable lines."""
    whole: int
    """Without a line break."""


@dataclass(eq=False)
class Grid:
    """A table of texts. If it is too wide, columns in `spare` are left out, the last named one
    first, then those on the right. The columns left out are named below it."""

    columns: Sequence[str]
    right: Collection[str] = ()
    whole: Collection[str] = ()
    spare: Sequence[str] = ()
    title: Text | None = None
    show_header: bool = True
    notes: Mapping[str, str] = field(default_factory=dict)
    """Texts about columns, which are shown with them."""
    rows: list[tuple[Text, ...]] = field(default_factory=list)

    def add_row(self, *cells: str | Text) -> None:
        """Add a row; replace unprintable characters in texts."""
        self.rows.append(
            tuple(Text(plain(cell)) if isinstance(cell, str) else cell for cell in cells)
        )

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        needs = [self._need(index) for index in range(len(self.columns))]
        shown = self._shown(needs, options.max_width)
        widths = self._widths([needs[index] for index in shown], options.max_width)
        if self.title is not None:
            yield self.title
        yield self._table(shown, widths)
        for name, note in self.notes.items():
            if note and self.columns.index(name) in shown:
                yield Text(note, style="dim")
        left_out = [name for index, name in enumerate(self.columns) if index not in shown]
        if left_out:
            names = ", ".join(left_out)
            text = _("Left out, for lack of width: {names}. --json has all.", names=names)
            yield Text(text, style="dim")

    def _table(self, shown: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD,
            show_header=self.show_header,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for index, width in zip(shown, widths, strict=True):
            name = self.columns[index]
            justify = "right" if name in self.right else "left"
            table.add_column(name, justify=justify, width=width, overflow="fold")  # type: ignore[arg-type]
        for row in self.rows:
            table.add_row(*(row[index] for index in shown))
        return table

    def _need(self, index: int) -> Need:
        name = self.columns[index]
        header = name if self.show_header else ""
        texts = [header, *(row[index].plain for row in self.rows)]
        longest = max((cell_len(line) for text in texts for line in text.split("\n")), default=0)
        if name in self.right or name in self.whole:
            return Need(longest, longest, longest)
        word = max((_width(word) for text in texts for word in text.split()), default=0)
        least = min(word, LONGEST)
        return Need(least, max(least, min(longest, COMFORTABLE)), longest)

    def _shown(self, needs: Sequence[Need], width: int) -> list[int]:
        """Return the columns that are shown."""
        shown = list(range(len(self.columns)))
        for name in reversed(self.spare):
            if _wide([needs[index].comfortable for index in shown]) > width:
                shown.remove(self.columns.index(name))
        while len(shown) > 1 and _wide([needs[index].least for index in shown]) > width:
            del shown[-1]
        return shown

    @staticmethod
    def _widths(needs: Sequence[Need], width: int) -> list[int]:
        """Share the width: at first comfortable lines, if they fit, then what each lacks."""
        comfortable = [need.comfortable for need in needs]
        widths = comfortable if _wide(comfortable) <= width else [need.least for need in needs]
        room = width - _wide(widths)
        while room > 0 and (narrow := [n for n, w in enumerate(widths) if w < needs[n].whole]):
            share = max(1, room // len(narrow))
            for index in narrow[:room]:
                step = min(share, needs[index].whole - widths[index])
                widths[index] += step
                room -= step
        return widths


def _wide(widths: Sequence[int]) -> int:
    """Return the width of a table: a blank at both ends, and two between columns."""
    return sum(widths) + 2 * len(widths) + 1


def _width(word: str) -> int:
    """Return the cells that a word needs; one of wide characters, as in Chinese, can be broken."""
    cells = cell_len(word)
    return cells if cells == len(word) else min(cells, COMFORTABLE // 2)


def grid(
    columns: Iterable[str],
    rows: Iterable[Iterable[str | Text]] = (),
    *,
    right: Collection[str] = (),
    whole: Collection[str] = (),
    spare: Sequence[str] = (),
    title: Text | None = None,
    show_header: bool = True,
    notes: Mapping[str, str] | None = None,
) -> Grid:
    """Make a table from plain texts. ``right``: columns of figures; ``whole``: further columns that
    are never wrapped; ``spare``: columns to leave out if it is too wide, the last one first;
    ``notes``: texts about columns."""
    made = Grid([*columns], right, whole, spare, title, show_header, notes or {})
    for row in rows:
        made.add_row(*row)
    return made


def plain(text: str) -> str:
    """Replace unprintable characters, such as terminal escapes, by U+FFFD."""
    return "".join(char if char.isprintable() else "�" for char in text)


def lines(text: str) -> Text:
    """Return a text of several lines, with unprintable characters in them replaced."""
    return Text("\n".join(map(plain, text.split("\n"))))


def phrase(message: str, of: object = None, /, *, style: str = "", **values: object) -> Text:
    """Return a text in the user's language, with values, or fields of ``of``, in place of its
    placeholders. Unprintable characters in values are replaced."""
    shown = {name: _shown(value) for name, value in values.items()}
    return Text(_(message, None if of is None else _Shown(of), **shown), style=style)


class _Shown:
    """The fields of an object as ``phrase`` shows them."""

    def __init__(self, of: object) -> None:
        self._of = of

    def __getattr__(self, name: str) -> object:
        return _shown(getattr(self._of, name))


def _shown(value: object) -> object:
    return plain(str(value)) if isinstance(value, str | Path) else value
