"""Read a table with other column names: map its columns to ours, and convert its cells."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sightline_client.errors import SightlineError
from sightline_client.files import forms, numerals, texts
from sightline_client.files.model import NOTE, FileRefused, Row, RowTable, Wrapped, bad
from sightline_client.values.fields import FieldKind
from sightline_client.values.products import WRITTEN

ATTRIBUTES = "attributes."
"""Prefix of an attribute's name in a map."""
_TYPES = (":text", ":number")
"""Ends of an attribute's name in a map that say what its values are, instead of the column."""
LISTS = frozenset({"images", *(field.column for field in WRITTEN if field.kind is FieldKind.TEXTS)})
"""Our columns with several values, which several of the file's columns may be mapped to."""
_FORCE = "map it to that name with :text or :number behind, such as attributes.size:text"
_FIELD = re.compile(r'\{([^{}":]+)\}')


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Map from a file's columns to ours."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Name in the file, in lower case → ours, or `attributes.NAME`; "" = left out."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Our column → its value in every row; `{id}` stands for the row's id."""

    def __bool__(self) -> bool:
        return bool(self.columns or self.constants)

    def read(self, found: Iterable[str], known: Collection[str]) -> list[str]:
        """Return the columns that a file's columns are mapped to, with notes."""
        ours = [*(self.columns.get(name, name) for name in found), *self.columns.values()]
        return [name for name in dict.fromkeys(ours) if name in known or name.startswith(NOTE)]

    def unread(self, found: Iterable[str], known: Collection[str]) -> list[str]:
        """Return a file's columns that are neither mapped nor ours."""
        return [
            name
            for name in found
            if name not in self.columns and name not in known and not name.startswith(NOTE)
        ]


def column_map(pairs: Sequence[str], constants: Sequence[str], known: Collection[str]) -> ColumnMap:
    """Parse pairs `their=ours` and constants `ours=value`. FileRefused for invalid ones, and for
    two columns mapped to one."""
    columns = {}
    for pair in pairs:
        theirs, sign, ours = (part.strip() for part in pair.rpartition("="))
        if not sign or not theirs:
            raise FileRefused(f"--map {pair} names no column", "write --map theirs=ours")
        columns[theirs.lower()] = _ours(ours, known)
    fixed = {}
    for pair in constants:
        ours, sign, value = (part.strip() for part in pair.partition("="))
        if not sign:
            raise FileRefused(f"--set {pair} sets nothing", "write --set currency=EUR")
        fixed[_ours(ours, known)] = value
    single = [name for name in columns.values() if name and name not in LISTS]
    for name in single:
        if single.count(name) > 1:
            both = ", ".join(theirs for theirs, ours in columns.items() if ours == name)
            raise FileRefused(f"{both} can't all be {name}", "map one of them")
    return ColumnMap(columns, fixed)


def _ours(name: str, known: Collection[str]) -> str:
    if not name or name in known or (name.startswith(ATTRIBUTES) and len(name) > len(ATTRIBUTES)):
        return name
    raise FileRefused(
        f"{name!r} is not a known column",
        f"known columns are {', '.join(known)}, and {ATTRIBUTES}NAME",
    )


class Mapped(Wrapped):
    """A table read by a map. JSON may be nested: `priceInfo.price` names a value within another."""

    def __init__(
        self, table: RowTable, by: ColumnMap, known: Collection[str], decimal: str = ""
    ) -> None:
        """`decimal`: the decimal sign of attributes that are numbers; "" = as their columns
        show."""
        super().__init__(table)
        self.by, self._known, self._decimal = by, known, decimal
        self.theirs: Sequence[str] = table.columns
        """Names of the file's columns."""
        self._signs: dict[str, str] = {}
        """Column of an attribute → the decimal sign of its numbers; "" = it is text."""
        self._nested = {theirs.partition(".")[0] for theirs in by.columns if "." in theirs}
        """Columns of the file with objects that the map names values within."""
        self.how = repr((sorted(by.columns.items()), sorted(by.constants.items())))
        """Text that identifies the conversion of rows."""
        named = [by.columns.get(name, name) for name in table.columns]
        self.columns = tuple(dict.fromkeys([*filter(None, named), *by.constants]))

    def rows(self) -> Iterator[Row]:
        """Yield the rows by our columns."""
        sample, rows = forms.looked_at(self._table.rows())
        self._signs = self._attribute_signs([_small(row.cells) for row in sample])
        for row in rows:
            try:
                yield replace(row, cells=self._cells(row.cells))
            except SightlineError as error:
                yield row if row.error else replace(row, error=error)

    def _attribute_signs(self, rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
        signs = {}
        for theirs, ours in self.by.columns.items():
            if not ours.startswith(ATTRIBUTES):
                continue
            found = [text for row in rows for text in _texts_of(_at(row, theirs))]
            sign = forms.number_sign(found, self._decimal)
            if ours.endswith(_TYPES):
                sign = (sign or self._decimal or ".") if ours.endswith(":number") else ""
            signs[theirs] = sign
        return signs

    def _attribute(self, theirs: str, ours: str, value: object) -> object:
        """Return the value of an attribute, or its values: all of a column are of one type."""
        sign, parts = self._signs[theirs], listed(value, str, "")
        if not sign:
            return parts
        made: list[object] = []
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, str):
                number = numerals.number(part, sign) if forms.is_number(part, sign) else None
                if number is None:
                    raise bad(ours, f"{part[:60]!r} is text, but other rows have numbers: {_FORCE}")
                part = float(number)  # noqa: PLW2901 - the same value
            made.append(part)
        return made if isinstance(parts, list) else made[0]

    def _cells(self, cells: Mapping[str, object]) -> dict[str, object]:
        attributes: dict[str, object] = {}
        small = _small(cells)
        by = self.by.columns
        own = (name for name in small if name in self._known or name.startswith(NOTE))
        made: dict[str, object] = {
            name: small[name]
            for name in own
            if name not in by
            and not (name in self._nested and isinstance(small[name], dict | list))
        }
        for theirs, ours in self.by.columns.items():
            value = _at(small, theirs)
            if value is None or value == "" or not ours:
                continue
            if ours.startswith(ATTRIBUTES):
                key = ours.removeprefix(ATTRIBUTES).removesuffix(_TYPES[0]).removesuffix(_TYPES[1])
                attributes[key] = self._attribute(theirs, ours, value)
            else:
                put(made, ours, value)
        fill(made, self.by.constants)
        if attributes:
            made["attributes"] = {**attributes, **_object(made.get("attributes"))}
        return made


def missing_field(constants: Mapping[str, str], there: Iterable[str]) -> tuple[str, str] | None:
    """Return the first constant that uses an unknown column, and that column. A constant may use
    the columns of the file and of the constants before it."""
    columns = set(there)
    for ours, value in constants.items():
        for name in _FIELD.findall(value):
            if name not in columns:
                return f"{ours}={value}", name
        columns.add(ours)
    return None


def fill(made: dict[str, object], constants: Mapping[str, str]) -> None:
    """Set our empty columns to their constants."""
    for ours, value in constants.items():
        if made.get(ours) in (None, "", []):
            made[ours] = _FIELD.sub(lambda found: str(made.get(found[1], "")), value)


def put(made: dict[str, object], ours: str, value: object) -> None:
    """Set one of our columns from a cell of the file; those with several values are added."""
    if ours in LISTS:
        split = texts.addresses if ours == "images" else _parts
        parts = split(value) if isinstance(value, str) else value
        before = made.get(ours)
        made[ours] = [
            *(before if isinstance(before, list) else []),
            *(parts if isinstance(parts, list) else [parts]),
        ]
    elif ours == "category" and isinstance(value, list):
        made[ours] = [str(part).strip() for part in value]
    else:
        made[ours] = value


def _parts(text: str) -> list[object]:
    found = listed(text, str)
    return found if isinstance(found, list) else [found]


def listed(value: object, each: Callable[[str], object], commas: str = ",") -> object:
    """Return several values as a list: `a|b`, `a, b`, `["a"]` and `['a']`; a single value
    unchanged. `commas`: separator in addition to `|`; "" = none.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list):
                return [each(str(part)) for part in found if str(part).strip()]
    separator = "|" if "|" in text else commas
    parts = [part.strip() for part in text.split(separator)] if separator else [text]
    return [each(part) for part in parts if part] if len(parts) > 1 else each(text)


def _small(cells: Mapping[str, object]) -> dict[str, object]:
    return {name.lower(): value for name, value in cells.items()}


def _texts_of(value: object) -> list[str]:
    parts = listed(value, str, "")
    return [
        part
        for part in (parts if isinstance(parts, list) else [parts])
        if isinstance(part, str) and part
    ]


def _at(cells: Mapping[str, object], path: str) -> object:
    """Return the value at a name or a path; of a list of objects, that of each."""
    if path in cells:
        return cells[path]
    first, _, rest = path.partition(".")
    return _within(cells.get(first), rest) if rest else None


def _within(value: object, path: str) -> object:
    if isinstance(value, list):
        parts = [_within(part, path) for part in value]
        return [part for part in parts if part is not None]
    if not isinstance(value, Mapping):
        return None
    return _at({str(name).lower(): part for name, part in value.items()}, path)


def _object(value: object) -> Mapping[str, object]:
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            return {"attributes": value}
    return value if isinstance(value, Mapping) else {}
