"""The table of the client's values: which message each is, and what differs from it."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, MethodDescriptor

from sightline.protos import OURS

POOL: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]
TABLE = Path(__file__).with_name("values.toml")
PACKAGE = Path(__file__).parents[1] / "src/sightline_client"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumRow:
    """An enum of the client."""

    module: str
    name: str
    wire: EnumDescriptor
    zero: str = "UNKNOWN"
    """Member for values that the client does not know; "": there is none."""
    by_hand: bool = False
    """True if the class is not made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRow:
    """A dataclass of the client, and the reader of its message."""

    module: str
    name: str
    wire: Descriptor
    also: str = ""
    """Another message that is read as this value."""
    omit: str = ""
    """Fields of the message that the value leaves out."""
    required: str | None = None
    """Fields without a default, in order; None: all. The others have one."""
    optional: str = ""
    """Fields that come first of those with a default; the others follow as in the message."""
    always: str = ""
    """Messages that are never None."""
    nullable: str = ""
    """Enums that are None where the client does not know the value, and counts that are None
    where the message has a negative one."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Fields with another name than in the message: name there by name here."""
    special: str = ""
    """Fields that functions of ``convert.special`` read from the whole message."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Types that do not follow from the message."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Defaults that are not the type's empty value."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of fields in place of the contract's; "" names the class."""
    hidden: str = ""
    """Fields that ``repr`` leaves out."""
    base: str = ""
    """Class of ``values.methods`` that it extends."""
    reader: str = ""
    """Name of the function that reads the message; "": that of the class, in lower case."""
    use: str = "read"
    """"write": no reader is made."""
    by_hand: bool = False
    """True if the class is not made."""

    @property
    def function(self) -> str:
        """Name of the function that reads the message."""
        return self.reader or snake(self.name)


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of the table."""

    modules: Mapping[str, str]
    """Docstring of each module that is made."""
    rows: tuple[EnumRow | ValueRow, ...]

    def row(self, wire: str) -> EnumRow | ValueRow:
        """Return the row of a message or enum. ValueError without one."""
        for row in self.rows:
            also = row.also if isinstance(row, ValueRow) else ""
            if wire in (row.wire.full_name, f"sightline.{also}"):
                return row
        raise ValueError(f"{wire} has no class: add a line to {TABLE.name}")


@cache
def load() -> Table:
    """Read the table. ValueError or TypeError for a line that does not fit the contract."""
    for path in sorted(OURS.rglob("*_pb2.py")):  # so that the pool has all messages
        import_module(".".join(path.relative_to(OURS.parent).with_suffix("").parts))
    given = tomllib.loads(TABLE.read_text())
    modules = {name: rows.pop("doc") for name, rows in given.items() if "doc" in rows}
    rows = tuple(_rows(given))
    return Table(modules, (*rows, *_unlisted({row.wire for row in rows}, modules)))


def _unlisted(
    named: set[Descriptor | EnumDescriptor], modules: Mapping[str, str]
) -> Iterator[ValueRow]:
    """Yield the rows of messages without a line that made calls return: each has the class of its
    name, in the module of its service's values."""
    for calls, method in _made_calls():
        answer = method.output_type
        fields = [each for each in answer.fields if each.name != "next_page_token"]
        wire = fields[0].message_type if len(fields) == 1 else answer
        if wire is None or wire.name.endswith("Response") or not {answer, wire}.isdisjoint(named):
            continue
        module = calls.get("values", calls["stub"])
        if module in modules and wire.file.package.startswith("sightline."):
            named.add(wire)
            yield ValueRow(module=module, name=wire.name, wire=wire)


def _rows(given: Mapping[str, Mapping[str, object]]) -> Iterator[EnumRow | ValueRow]:
    for module, rows in given.items():
        for name, row in rows.items():
            facts = {"wire": row} if isinstance(row, str) else dict(row)  # type: ignore[call-overload]
            wire = facts.pop("wire")
            wire = wire if wire.startswith("google.") else f"sightline.{wire}"
            try:
                facts["wire"] = POOL.FindEnumTypeByName(wire)
            except KeyError:
                facts["wire"] = POOL.FindMessageTypeByName(wire)
                yield ValueRow(module=module, name=name, **facts)
            else:
                yield EnumRow(module=module, name=name, **facts)


def members() -> dict[str, str]:
    """Return the members of the table's enums by the names of their values in the contract."""
    found: dict[str, str] = {}
    for row in load().rows:
        if isinstance(row, EnumRow):
            prefix = prefix_of(row.wire)
            found |= {each.name: each.name.removeprefix(prefix) for each in row.wire.values}
            found[row.wire.values_by_number[0].name] = row.zero or "UNSPECIFIED"
    return found


@cache
def call_rows() -> Mapping[str, Any]:
    """Return the table of calls: rows by method, by the class of calls."""
    table: Mapping[str, Any] = tomllib.loads(TABLE.with_name("calls.toml").read_text())
    return table


def _made_calls(beside: str = "by_hand") -> Iterator[tuple[Mapping[str, Any], MethodDescriptor]]:
    """Yield the methods of the table of calls, each with the table of its service. `beside`: key of
    methods to leave out, as those that the client does not have."""
    for name, calls in call_rows().items():
        if name != "names":
            absent = f"{calls.get('without', '')} {calls.get(beside, '')}".split()
            service = POOL.FindServiceByName(f"sightline.{calls['service']}")
            yield from ((calls, each) for each in service.methods if each.name not in absent)


def functions() -> dict[str, str]:
    """Return the names of the client's functions by those of the contract's methods."""
    load()
    return {
        method.name: calls.get(method.name, {}).get("name") or snake(method.name)
        for calls, method in _made_calls("")
    }


def prefix_of(wire: EnumDescriptor) -> str:
    """Return what the names of an enum's values begin with."""
    first: str = wire.values_by_number[0].name
    return first.removesuffix("UNSPECIFIED")


def snake(name: str) -> str:
    """Return a class's name in lower case: ``HeatMap`` becomes ``heat_map``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
