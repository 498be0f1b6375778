"""The reasons of a file's rejected rows, equal ones together."""

import re
from dataclasses import dataclass, field

from rich.text import Text

from sightline_client.cli.base import running
from sightline_client.cli.language import _
from sightline_client.cli.show.tables import plain
from sightline_client.errors import SightlineError
from sightline_client.files.model import Row
from sightline_client.files.rejected import problem

SHOWN = 10
"""Most reasons that are printed; the file of rejected rows has all."""
_NAMED = 3
"""Most rows, and most further values, that are named of one reason."""
_KEPT = 1_000
"""Most reasons that are told apart."""
_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_CHANGES = re.compile(rf"{_VALUE.pattern}|\d+")
"""Parts of a reason that differ from row to row."""


@dataclass(slots=True)
class _Group:
    """Rows with one reason."""

    text: str
    """The reason of the first row."""
    rows: list[str] = field(default_factory=list)
    """The first rows, as they are named."""
    count: int = 0
    values: dict[str, None] = field(default_factory=dict)
    """The values that the reason begins with, in the order of the file."""


class Refusals:
    """Reasons, collected while a file is read."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._others = 0

    def add(self, row: Row, error: SightlineError, item_id: str) -> None:
        """Note why a row is rejected."""
        text = f"{error.reason}: {problem(error)}"
        key = _CHANGES.sub("…", text)
        if key not in self._groups and len(self._groups) == _KEPT:
            self._others += 1
            return
        group = self._groups.setdefault(key, _Group(text))
        group.count += 1
        if len(group.rows) < _NAMED:
            place = f", {plain(row.place)}" if row.place else ""
            name = f" ({plain(item_id)})" if item_id else ""
            group.rows.append(f"{row.number:,}{place}{name}")
        if len(group.values) <= _NAMED and (value := _VALUE.search(text)) is not None:
            group.values[value[0]] = None

    def say(self) -> None:
        """Print the reasons, once each, in the order of the file."""
        for group in [*self._groups.values()][:SHOWN]:
            running.say(_words(group))
        if len(self._groups) > SHOWN or self._others:
            running.tell("… more rejected rows are in their file.")


def _words(group: _Group) -> Text:
    rows = ("; " if any(", " in row for row in group.rows) else ", ").join(group.rows)
    if group.count == 1:
        head = _("Row {rows}", rows=rows)
    elif group.count <= _NAMED:
        head = _("Rows {rows}", rows=rows)
    else:
        head = _("Rows {rows} and {count:,} more", rows=rows, count=group.count - _NAMED)
    text = Text.assemble((head, "bold"), f": {plain(group.text)}")
    if len(group.values) > 1:
        some = [*group.values][1:]
        also = ", ".join([*some[:_NAMED], *(["…"] if len(some) > _NAMED else [])])
        text.append(_("; other values: {also}", also=plain(also)))
    return text
