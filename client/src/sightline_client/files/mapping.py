"""Read a table with other column names: map its columns to ours, and convert its cells."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sightline_client.errors import SightlineError
from sightline_client.files import texts
from sightline_client.files.model import NOTE, FileRefused, Row, RowTable, Wrapped
from sightline_client.values.fields import FieldKind
from sightline_client.values.products import WRITTEN

ATTRIBUTES = "attributes."
"""Prefix of an attribute's name in a map."""
_TYPES = (":text", ":number")
"""Ends of an attribute's name in a map that say what its values are, instead of the column."""
LISTS = frozenset({"images", *(field.column for field in WRITTEN if field.kind is FieldKind.TEXTS)})
"""Our columns with several values, which several of the file's columns may be mapped to."""
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


class AnyCase(Collection[str]):
    """Names, of which one in any case is one: a map reads columns so."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Mapped(Wrapped):
    """A table read by a map. JSON may be nested: `priceInfo.price` names a value within another."""

    def __init__(self, table: RowTable, by: ColumnMap, known: Collection[str]) -> None:
        super().__init__(table)
        self.by, self._known = by, known
        self.theirs: Sequence[str] = table.columns
        """Names of the file's columns."""
        own = [ours for ours in by.columns.values() if ours.startswith(ATTRIBUTES)]
        self._keys = {ours: _key(ours) for ours in own}
        self.attribute_types = {_key(ours): ours.rpartition(":")[2] for ours in own if _said(ours)}
        self.attribute_types |= {_key(ours): "" for ours in own if not _said(ours)}
        """Attribute → its type, if it is said; "" = as its values show."""
        self._nested = {theirs.partition(".")[0] for theirs in by.columns if "." in theirs}
        """Columns of the file with objects that the map names values within."""
        self.how = repr((sorted(by.columns.items()), sorted(by.constants.items())))
        """Text that identifies the conversion of rows."""
        named = [by.columns.get(name, name) for name in table.columns]
        self.columns = tuple(dict.fromkeys([*filter(None, named), *by.constants]))

    def rows(self) -> Iterator[Row]:
        """Yield the rows by our columns."""
        for row in self._table.rows():
            try:
                yield replace(row, cells=self._cells(row.cells))
            except SightlineError as error:
                yield row if row.error else replace(row, error=error)

    def _cells(self, cells: Mapping[str, object]) -> dict[str, object]:
        attributes: dict[str, object] = {}
        small = {name.lower(): value for name, value in cells.items()}
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
                attributes[self._keys[ours]] = listed(value, str, "")
            else:
                put(made, ours, value)
        fill(made, self.by.constants)
        if attributes:
            made["attributes"] = {**attributes, **_object(made.get("attributes"))}
        return made


def _said(ours: str) -> bool:
    return ours.endswith(_TYPES)


def _key(ours: str) -> str:
    """Return the key of an attribute, without the type of its values."""
    return ours.removeprefix(ATTRIBUTES).removesuffix(_TYPES[0]).removesuffix(_TYPES[1])


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
