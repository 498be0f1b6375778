"""Column mapping of a foreign file: from options, a proposal, or the last run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sightline_client.cli.base import options, running
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.cli.language import _
from sightline_client.cli.show.tables import plain
from sightline_client.files.conversion import Shape, Shaped
from sightline_client.files.mapping import ColumnMap, Mapped, column_map
from sightline_client.files.model import FileRefused, RowTable
from sightline_client.files.opening import SHAPES, Reading, look, open_table
from sightline_client.files.proposing import NOTHING, propose, words
from sightline_client.files.shapes import shape_of

GUESS, NONE = "guess", "none"
"""Words in place of a pair or a shape."""
TRIED = 10
"""Most values of a column that are looked up in the catalog."""


@dataclass(frozen=True)
class FileColumns(OptionGroup):
    """The options of a command that reads a file."""

    ignore: options.Ignore = None
    map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="THEIRS=OURS",
            help="Map a column of the file to a column below, to attributes.NAME, or to nothing "
            "to leave it out. Repeatable; remembered for files with the same columns. guess: "
            "map by name and content; none: forget the remembered mapping.",
        ),
    ] = None
    constants: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OURS=VALUE",
            help="Value of a column in every row, such as currency=EUR or 'images={id}.jpg'. "
            "Repeatable.",
        ),
    ] = None
    shape: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Export format, if it is not recognized; none: read the columns as they are.",
        ),
    ] = ""
    encoding: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Encoding of a text file that is not UTF-8, such as cp1252."
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Columns that a command reads, and the exports it knows."""

    known: Collection[str]
    """Our columns."""
    needed: Collection[str]
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """Exports that are known."""

    def open(
        self, path: Path, given: FileColumns, certain: Mapping[str, str] = NOTHING
    ) -> RowTable:
        """Open the file, read as the options, the columns or the last run specify. FileRefused
        proposes options where a column is unknown. `certain`: columns of the file whose meaning a
        guess need not find, and ours."""
        reading = self._reading(path, given, certain)
        try:
            return open_table(
                path,
                columns=self.known,
                needed=self.needed,
                ignore=given.ignore or (),
                reading=reading,
            )
        except FileRefused as error:
            if reading.map.columns:
                raise
            raise FileRefused(str(error), error.fix + self._hint(path, given)) from None

    def over(self, table: RowTable, given: FileColumns, shape: str) -> RowTable:
        """Read a table that is no file: by the given map, else by a shape."""
        pairs = [] if given.map == [NONE] else given.map or []
        by = column_map(pairs, given.constants or (), self.known)
        if pairs:
            return Mapped(table, by, self.known)
        return Shaped(table, self.shapes[shape], by.constants)

    def candidates(self, path: Path, given: FileColumns) -> Mapping[str, Collection[str]]:
        """Return some values of each column whose meaning a guess has to find; no column unless
        `--map guess` is given."""
        if given.map != [GUESS]:
            return {}
        names, rows = look(path, self.known, given.encoding)
        values = {name: [plain(str(row.cells.get(name) or "")) for row in rows] for name in names}
        return {
            name: list(dict.fromkeys(filter(None, found)))[:TRIED]
            for name, found in values.items()
            if name not in self.known
        }

    def _reading(self, path: Path, given: FileColumns, certain: Mapping[str, str]) -> Reading:
        pairs = given.map or []
        fixed = column_map((), given.constants or (), self.known)
        names = look(path, self.known, given.encoding)[0]
        if pairs == [NONE]:
            _forget(names)
            pairs = []
        if pairs == [GUESS]:
            found = self._proposal(path, given, certain)
            chosen = ColumnMap(found.columns, {**found.constants, **fixed.constants})
            for line in words(chosen):
                running.say(Text(plain(line)))
            _remember(names, chosen)
            return Reading(map=chosen, encoding=given.encoding)
        if pairs:
            chosen = column_map(pairs, given.constants or (), self.known)
            _remember(names, chosen)
            return Reading(map=chosen, encoding=given.encoding)
        own = set(names) <= {*self.known, *(given.ignore or ())}
        own = own and path.suffix.lower() not in SHAPES
        wanted = given.shape or SHAPES.get(path.suffix.lower(), "")
        if (shape := self._shape(names, wanted, own=own)) is not None:
            return Reading(map=fixed, shape=shape, encoding=given.encoding)
        before = ColumnMap() if own else _last(names)
        if before:
            pairs_then = ", ".join(f"{theirs}={ours}" for theirs, ours in before.columns.items())
            hint = _("(--map none forgets them)")
            running.say(
                Text(
                    plain(
                        _(
                            "Columns as in the last run: {pairs_then} {hint}.",
                            pairs_then=pairs_then,
                            hint=hint,
                        )
                    )
                )
            )
        constants = {**before.constants, **fixed.constants}
        return Reading(map=ColumnMap(before.columns, constants), encoding=given.encoding)

    def _shape(self, names: Sequence[str], wanted: str, *, own: bool) -> Shape | None:
        if wanted == NONE:
            return None
        if wanted and wanted not in self.shapes:
            known = ", ".join([*self.shapes, NONE])
            raise FileRefused(
                _("{wanted!r} is not a known shape", wanted=wanted),
                _("known shapes: {known}", known=known),
            )
        if wanted:
            return self.shapes[wanted]
        if own:
            return None
        found = shape_of(names, self.shapes)
        if found is not None:
            hint = _("(--shape none to read it as it is)")
            running.say(Text(_("Read as an export of {of} {hint}.", of=found.of, hint=hint)))
        return found

    def _proposal(
        self, path: Path, given: FileColumns, certain: Mapping[str, str] = NOTHING
    ) -> ColumnMap:
        names, rows = look(path, self.known, given.encoding)
        return propose(names, [row.cells for row in rows], self.known, self.needed, certain)

    def _hint(self, path: Path, given: FileColumns) -> str:
        found = self._proposal(path, given)
        ours = [name for name in found.columns.values() if name in self.known]
        if not ours:
            return ""
        return _(
            "; or read it as it looks, with --map guess: {found}", found=", ".join(words(found))
        )


# The last run's choice


def _last(names: Sequence[str]) -> ColumnMap:
    """Return the map remembered for files with these columns."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        kept = json.loads(_memory().read_text(encoding="utf-8"))[_key(names)]
        return ColumnMap(dict(kept["columns"]), dict(kept["constants"]))
    return ColumnMap()


def _remember(names: Sequence[str], chosen: ColumnMap) -> None:
    _write(_key(names), {"columns": dict(chosen.columns), "constants": dict(chosen.constants)})


def _forget(names: Sequence[str]) -> None:
    _write(_key(names), None)


def _write(key: str, value: object) -> None:
    """Keep a value in the home folder, or remove it (None). Ignore errors of the file system."""
    path = _memory()
    kept: dict[str, object] = {}
    with suppress(OSError, ValueError):
        kept = dict(json.loads(path.read_text(encoding="utf-8")))
    kept.pop(key, None)
    if value is not None:
        kept[key] = value
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _memory() -> Path:
    return Path(typer.get_app_dir("sightline")) / "columns.json"


def _key(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
