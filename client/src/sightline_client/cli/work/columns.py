"""Column mapping of a foreign file: from options, a proposal, or the last run."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sightline_client.cli.base import options, progress, running
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.cli.language import _, later
from sightline_client.cli.show.tables import counted, plain
from sightline_client.cli.work import remembered, typed
from sightline_client.files.conversion import ExportDates, Shape, Shaped
from sightline_client.files.forms import Formed, unformed
from sightline_client.files.instants import ORDERS
from sightline_client.files.mapping import ColumnMap, Mapped, column_map
from sightline_client.files.model import FileRefused, RowTable
from sightline_client.files.notation import (
    column_forms,
    translated,
    unused,
    value_words,
    words_of,
    zone_of,
)
from sightline_client.files.numerals import SIGNS
from sightline_client.files.opening import SHAPES, Reading, look, open_table
from sightline_client.files.proposing import NOTHING, Proposal, propose, words
from sightline_client.files.rejected import comes_back, file_of
from sightline_client.files.shapes import shape_of
from sightline_client.files.workbook import Workbook

_UNICODE = ("", "utf-8-sig", "utf-8", "utf-16")
"""Encodings that are read without being named."""
GUESS, NONE = "guess", "none"
"""Words in place of a pair or a shape."""
TRIED = 10
"""Most values of a column that are looked up in the catalog."""


def _decimal_sign(value: str) -> str:
    if value not in ("", *SIGNS):
        raise typer.BadParameter(_("{value} is not . or ,", value=value))
    return value


def _date_order(value: str) -> str:
    if value not in ("", *ORDERS):
        raise typer.BadParameter(_("{value} is not dmy or mdy", value=value))
    return value


@dataclass(frozen=True)
class FileColumns(OptionGroup):
    """The options of a command that reads a file.

    Args:
        map: Map a column of the file to a column below, to attributes.NAME, or to nothing to leave
            it out. Repeatable; remembered for files of this catalog with the same columns, once it
            worked. guess: map the others by name and content, and print the command; none: forget
            the remembered mapping.
        constants: Value of a column in every row, such as currency=EUR or 'images={id}.jpg'.
            Repeatable.
        shape: Export format, if it is not recognized; none: read the columns as they are.
        encoding: Encoding of a text file, if its bytes don't show it, such as mac_roman.
        decimal: Decimal sign of the file's numbers, a point or a comma, if its columns don't show
            it: 1.299 may be 1299.
        values: What a value of a column means, such as 'Status:auf Lager=IN_STOCK'. Repeatable.
            Usual words of seven languages are known.
        time_zone: Zone of times that name none, such as Europe/Berlin.
        date_order: dmy or mdy: what 04/11/2026 means, if no date of its column shows it.
        forms: Form of a column where its rows don't show it: text, number, a decimal sign, dmy, mdy
            or seconds, such as attributes.size=text. Repeatable; printed for rejected rows, of
            which a few may look otherwise than all.
    """

    context: typer.Context
    ignore: options.Ignore = None
    map: Annotated[list[str] | None, typer.Option(metavar="THEIRS=OURS")] = None
    constants: Annotated[list[str] | None, typer.Option("--set", metavar="OURS=VALUE")] = None
    shape: Annotated[str, typer.Option(metavar="NAME")] = ""
    encoding: Annotated[str, typer.Option(metavar="NAME")] = ""
    decimal: Annotated[str, typer.Option(metavar="SIGN", parser=_decimal_sign)] = ""
    values: Annotated[list[str] | None, typer.Option("--value", metavar="COLUMN:VALUE=MEANING")] = (
        None
    )
    time_zone: Annotated[str, typer.Option(metavar="NAME")] = ""
    date_order: Annotated[str, typer.Option(metavar="ORDER", parser=_date_order)] = ""

    forms: Annotated[list[str] | None, typer.Option("--form", metavar="OURS=FORM")] = None

    def noted(self, reading: Reading, known: Collection[str]) -> Reading:
        """Return how a file is read, with what the options say. FileRefused for invalid ones.
        `known`: our columns."""
        said = value_words(self.values or ())
        anew = {at for word in said for at in word.readings.items()}
        before = (word for word in reading.values if anew.isdisjoint(word.readings.items()))
        return replace(
            reading,
            encoding=self.encoding or reading.encoding,
            decimal=self.decimal or reading.decimal,
            order=self.date_order or reading.order,
            zone=zone_of(self.time_zone) if self.time_zone else reading.zone,
            values=(*before, *said),
            forms={**reading.forms, **column_forms(self.forms or (), known)},
        )


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Columns that a command reads, and the exports it knows."""

    known: Collection[str]
    """Our columns."""
    needed: Collection[str]
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """Exports that are known."""

    def open(
        self, path: Path, given: FileColumns, certain: Mapping[str, str] = NOTHING, *, scope: str
    ) -> RowTable:
        """Open the file, read as the options, the columns or the last run specify. FileRefused
        proposes options where a column is unknown. `certain`: columns of the file whose meaning a
        guess need not find, and ours. `scope`: suite and catalog, see `scope_of`."""
        reading = given.noted(self._reading(path, given, certain, scope), self.known)
        try:
            table = open_table(
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
        _say_form(path, table, given)
        _say_currencies(path, table)
        mapped = unformed(table)
        if isinstance(mapped, Mapped):
            mapped.theirs = look(path, self.known, given.encoding)[0]
        return table

    def over(self, table: RowTable, given: FileColumns, shape: str) -> RowTable:
        """Read a table that is no file: by the given map, else by a shape."""
        pairs = [] if given.map == [NONE] else given.map or []
        by = column_map(pairs, given.constants or (), self.known)
        reading = given.noted(Reading(), self.known)

        def converted(theirs: RowTable) -> RowTable:
            if pairs:
                return Mapped(theirs, by, self.known)
            dates = ExportDates(reading.zone or UTC, reading.order)
            return Shaped(theirs, self.shapes[shape], by.constants, dates)

        def read() -> RowTable:
            return translated(table, reading.values, converted)

        return Formed(read(), read, reading.notation)

    def candidates(self, path: Path, given: FileColumns) -> Mapping[str, Collection[str]]:
        """Return some values of each column whose meaning a guess has to find; no column unless
        `--map guess` is given."""
        fixed = self._corrections(given)
        if GUESS not in (given.map or ()) or "product_id" in fixed.values():
            return {}
        names, rows = look(path, self.known, given.encoding)
        values = {name: [plain(str(row.cells.get(name) or "")) for row in rows] for name in names}
        return {
            name: list(dict.fromkeys(filter(None, found)))[:TRIED]
            for name, found in values.items()
            if name not in self.known and name not in fixed
        }

    def _corrections(self, given: FileColumns) -> Mapping[str, str]:
        """Return the columns that are mapped beside a guess."""
        pairs = [pair for pair in given.map or () if pair not in (GUESS, NONE)]
        return column_map(pairs, (), self.known).columns

    def _reading(
        self, path: Path, given: FileColumns, certain: Mapping[str, str], scope: str
    ) -> Reading:
        pairs = given.map or []
        fixed = column_map((), given.constants or (), self.known)
        names = look(path, self.known, given.encoding)[0]
        if NONE in pairs:
            remembered.forget(names, scope)
            pairs = [pair for pair in pairs if pair != NONE]
        if GUESS in pairs:
            found = self._proposal(path, given, certain)
            chosen = ColumnMap(found.columns, {**found.constants, **fixed.constants})
            _propose(given.context, chosen)
            found.check(path.name)
            return Reading(map=chosen)
        if pairs:
            return Reading(map=column_map(pairs, given.constants or (), self.known))
        own = set(names) <= {*self.known, *(given.ignore or ())}
        own = own and path.suffix.lower() not in SHAPES
        wanted = given.shape or SHAPES.get(path.suffix.lower(), "")
        if (shape := self._shape(names, wanted, own=own)) is not None:
            return Reading(map=fixed, shape=shape)
        before = Reading() if own else remembered.recall(names, scope)
        constants = {**before.map.constants, **fixed.constants}
        return replace(before, map=ColumnMap(before.map.columns, constants))

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
            running.tell("Read as an export of {of} {hint}.", found, hint=hint)
        return found

    def _proposal(
        self, path: Path, given: FileColumns, certain: Mapping[str, str] = NOTHING
    ) -> Proposal:
        names, rows = look(path, self.known, given.encoding)
        fixed = self._corrections(given)
        if absent := [name for name in fixed if not {name, name.partition(".")[0]} & {*names}]:
            raise FileRefused(
                _("--map {name} names no column of {file}", name=absent[0], file=path.name),
                _("its columns are {names}", names=", ".join(names)),
            )
        certain = {**certain, **fixed}
        return propose(names, [row.cells for row in rows], self.known, self.needed, certain)

    def _hint(self, path: Path, given: FileColumns) -> str:
        found = self._proposal(path, given)
        ours = [name for name in found.columns.values() if name in self.known]
        if not ours:
            return ""
        return _(
            "; or read it as it looks, with --map guess: {found}", found=", ".join(words(found))
        )


def _propose(context: typer.Context, chosen: ColumnMap) -> None:
    """Print a proposal, column by column and as the command that says it."""
    for line in words(chosen):
        running.say(Text(plain(line)))
    own = ("map", "constants", "dry_run")
    command = typed.again(context, without=own, more=typed.of_map(chosen))
    running.tell("To say it yourself, or to change it:")
    running.say_line(plain(shlex.join(command)))


def _say_form(path: Path, table: RowTable, given: FileColumns) -> None:
    """Say which encoding and separator were found, if they are not UTF-8 and a comma."""
    table = file_of(table)
    if isinstance(table, Workbook) and table.other_sheets:
        others = ", ".join(table.other_sheets)
        running.tell("Read: the sheet {sheet}. Not read: {others}.", table, others=others)
    encoding = str(getattr(table, "encoding", "")).removesuffix("-sig")
    separator = str(getattr(table, "separator", ""))
    if separator == "\t" and path.suffix.lower() == ".tsv":
        separator = ""
    if separator in ("", ",") and (given.encoding or encoding in ("", "utf-8")):
        return
    between = _("with {separator} between the cells", separator=_SIGNS.get(separator, separator))
    form = f"{encoding}, {between}" if separator not in ("", ",") else encoding
    running.tell("{name} is read as {form}.", path, form=form)


def _say_currencies(path: Path, table: RowTable) -> None:
    """Look at all rows, and say which currencies their amounts have, if there are several."""
    if not isinstance(table, Formed):
        return
    with progress.meter(_("looking at {name}", path), table.total, stays=False) as bar:
        found = table.forms(bar.at).currencies
    if len(found) > 1:
        running.tell(
            "Amounts are in {currencies}: each row keeps its own, and filters compare amounts of"
            " one currency.",
            currencies=", ".join(found),
        )


_SIGNS = {"\t": "tabs"}
_REASONS = (
    later("events of a kind that is not read"),
    later("events without consent to analytics"),
    later("rows of one store view, which repeat products in its language"),
    later("events of a product whose id says that there is none, such as (not set)"),
)
"""The reasons in `files.shapes` and `files.magento`."""


def options_of(path: Path, table: RowTable) -> list[str]:
    """Return the options that read rejected rows of a table as its file was read. Rows that do not
    come back as they came have our columns, in which values are replaced by their meanings."""
    words = typed.of_reading(table)
    if not comes_back(path, table):
        return words
    words += [word for each in words_of(table) for word in ("--value", each.option)]
    encoding = str(getattr(file_of(table), "encoding", ""))
    words += [] if encoding in _UNICODE else ["--encoding", encoding]
    table = unformed(table)
    if isinstance(table, Shaped):
        shape = ["--shape", table.shape.name, *typed.of_map(ColumnMap({}, table.constants))]
        return [*shape, *words]
    return [*(typed.of_map(table.by) if isinstance(table, Mapped) else ()), *words]


def again(
    given: FileColumns, rejected: Path, options: Sequence[str], *, without: Collection[str] = ()
) -> list[str]:
    """Return the words of the command that imports rejected rows."""
    read = ("map", "constants", "shape", "encoding", "values", "decimal", "date_order", "time_zone")
    own = (*read, "forms", "dry_run", "json", *without)
    return typed.again(given.context, file=rejected, without=own, more=options)


def report(table: RowTable) -> None:
    """Say which words of `--value` no row has, which rows of an export were left out, and which of
    its columns are not known."""
    for option, values in unused(table):
        there = _(": the column has {values}", values=values) if values else ""
        running.tell("No row has the value of --value {option}{there}.", option=option, there=there)
    table = unformed(table)
    if not isinstance(table, Shaped):
        return
    for reason, count in table.left_out.items():
        rows = counted(count, "row was", "rows were")
        running.tell("{rows} left out: {reason}.", rows=rows, reason=_(reason))
    if table.foreign:
        running.tell(
            "Not read, as the export's documentation does not name them: {names}. "
            "--shape none with --map reads them.",
            names=", ".join(table.foreign),
        )
