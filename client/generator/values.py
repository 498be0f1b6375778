"""Makes the modules of values that follow from messages, and the readers of these messages."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from client.generator.sentences import Sentences, docstring, says_more
from client.generator.table import (
    PACKAGE,
    EnumRow,
    Table,
    ValueRow,
    functions,
    load,
    members,
    prefix_of,
    snake,
)

MADE = (
    "Made from the contract by client/generator: change that or its tables, and run ``make proto``."
)
UNKNOWN_TEXT = "Not set, or a value that this client is too old to know."
SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "str",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_DOUBLE: "float",
}
EMPTY = {"bool": "False", "str": '""', "bytes": 'b""', "float": "0.0", "int": "0"}
KNOWN = {
    "google.protobuf.Timestamp": "datetime",
    "google.protobuf.Duration": "timedelta",
    "google.rpc.Status": "SightlineError",
}
"""Classes of messages that are not ours."""
SOURCES = {
    "datetime": "datetime",
    "timedelta": "datetime",
    "StrEnum": "enum",
    "dataclass": "dataclasses",
    "field": "dataclasses",
    "Mapping": "collections.abc",
    "SightlineError": "sightline_client.errors",
}
"""Modules of names that are not of the table."""


def value_modules() -> Mapping[str, str]:
    """Return the text of each module of values, not yet formatted, by its name."""
    table = load()
    writer = _Writer(table)
    return {name: writer.module(name) for name in table.modules}


class _Writer:
    """Writer of the classes of a table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._sentences = Sentences(members(), functions())

    def module(self, name: str) -> str:
        rows = [row for row in self._table.rows if row.module == name and not row.by_hand]
        body = "\n\n\n".join(
            self._enum(row) if isinstance(row, EnumRow) else self._value(row)
            for row in _dependencies_first(rows)
        )
        imports = self._imports(body, {row.name for row in rows})
        return f'"""{self._table.modules[name]}\n\n{MADE}\n"""\n\n{imports}\n\n\n{body}\n'

    def _enum(self, row: EnumRow) -> str:
        lines = [f"class {row.name}(StrEnum):"]
        lines += [docstring(self._sentences.of(row.wire.full_name), 4), ""]
        prefix = prefix_of(row.wire)
        for value in row.wire.values:
            name = value.name.removeprefix(prefix) if value.number else row.zero
            if not name:
                continue
            lines.append(f'    {name} = "{name}"')
            said = self._sentences.of(f"{row.wire.full_name}.{value.name}")
            if not value.number:
                lines.append(docstring(UNKNOWN_TEXT, 4))
            elif says_more(said, name):
                lines.append(docstring(said, 4))
        return "\n".join(lines)

    def _value(self, row: ValueRow) -> str:
        base = f"({row.base})" if row.base else ""
        names = {wire: name for name, wire in row.renamed.items()}
        lines = ["@dataclass(frozen=True, slots=True)", f"class {row.name}{base}:"]
        lines += [docstring(self._sentences.of(row.wire.full_name, names), 4), ""]
        for name, optional in fields_of(row):
            lines += self._field(row, name, names, optional=optional)
        return "\n".join(lines)

    def _field(
        self, row: ValueRow, name: str, names: Mapping[str, str], *, optional: bool
    ) -> Iterator[str]:
        hint = self.hint(row, name)
        default = self._default(row, name, hint) if optional else ""
        if name in row.hidden.split():
            default = f"field({f'default={default}, ' if default else ''}repr=False)"
        yield f"    {name}: {hint}{f' = {default}' if default else ''}"
        wire = row.renamed.get(name, name)
        none = hint.endswith("| None")
        said = self._sentences.field(f"{row.wire.full_name}.{wire}", names, optional=none)
        if name in row.special.split():
            said = _special_functions()[special(row, name)][1]
        if says_more(said, name):
            yield docstring(said, 4)

    def hint(self, row: ValueRow, name: str) -> str:
        """Return the type of a field."""
        if name in row.types:
            return row.types[name]
        if name in row.special.split():
            return _special_functions()[special(row, name)][0]
        wire = row.wire.fields_by_name.get(row.renamed.get(name, name))
        if wire is None:
            raise ValueError(f"{row.wire.full_name} has no {name}: see {row.name} in the table")
        kind = self.kind(wire)
        if wire.is_repeated:
            return f"tuple[{kind}, ...]"
        unset = wire.has_presence and name not in row.always.split()
        return f"{kind} | None" if unset or name in row.nullable.split() else kind

    def kind(self, wire: FieldDescriptor) -> str:
        """Return the type of a field's value, or of each of its values."""
        for named in (wire.message_type, wire.enum_type):
            if named is not None:
                return KNOWN.get(named.full_name) or self._table.row(named.full_name).name
        return SCALARS.get(wire.type, "int")

    def _default(self, row: ValueRow, name: str, hint: str) -> str:
        if name in row.defaults:
            return row.defaults[name]
        for suffix, empty in (("| None", "None"), ("]", "()")):
            if hint.endswith(suffix):
                return "field(default_factory=dict)" if hint.startswith("Mapping[") else empty
        if hint in EMPTY:
            return EMPTY[hint]
        (enum,) = (each for each in self._table.rows if each.name == hint)
        return f"{hint}.{getattr(enum, 'zero', '')}"

    def _imports(self, body: str, own: set[str]) -> str:
        """Return the imports of the names that a module's classes use."""
        code = re.sub(r'"""(?:[^"]|"(?!""))*"""', "", body)
        used = set(re.findall(r"\b[A-Za-z]\w*\b", code)) - own
        places = {row.name: f"sightline_client.values.{row.module}" for row in self._table.rows}
        bases = {row.base for row in self._table.rows if isinstance(row, ValueRow)}
        places |= dict.fromkeys(bases, "sightline_client.values.methods") | SOURCES
        return "\n".join(
            f"from {places[name]} import {name}" for name in sorted(used) if name in places
        )


def exports() -> str:
    """Return the text of the module that exports the values, not yet formatted."""
    lines = [
        f"from sightline_client.values.{row.module} import {row.name} as {row.name}"
        for row in load().rows
        if not row.by_hand
    ]
    doc = f'"""The values that follow from the contract.\n\n{MADE}\n"""'
    noqa = "# ruff: noqa: PLC0414 - an alias makes a name public"
    return "\n".join([doc, "", noqa, "", *lines, ""])


def fields_of(row: ValueRow) -> Iterator[tuple[str, bool]]:
    """Yield the fields of a value in order, each with whether it has a default."""
    names = {wire: name for name, wire in row.renamed.items()}
    kept = [each.name for each in row.wire.fields if each.name not in row.omit.split()]
    everything = [names.get(name, name) for name in kept]
    required = everything if row.required is None else row.required.split()
    yield from ((name, False) for name in required)
    optional = dict.fromkeys([*row.optional.split(), *everything])
    yield from ((name, True) for name in optional if name not in required)


def special(row: ValueRow, name: str) -> str:
    """Return the function of ``convert.special`` that reads a field: that of the class, or that of
    all classes with such a field."""
    named = (f"{snake(row.name)}_{name}", name, f"{name}_")
    return next(each for each in named if each in _special_functions())


@cache
def _special_functions() -> Mapping[str, tuple[str, str]]:
    """Return the type and the description of what each function of ``convert.special`` reads."""
    tree = ast.parse((PACKAGE / "convert/special.py").read_text())
    return {
        node.name: (
            ast.unparse(node.returns),
            " ".join((ast.get_docstring(node) or "").removeprefix("Return ").split()),
        )
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.returns
    }


def readers() -> str:
    """Return the text of the module of readers, not yet formatted."""
    rows = [row for row in load().rows if isinstance(row, ValueRow) and row.use == "read"]
    lines = [_reader(row, row.wire, row.function) for row in _dependencies_first(rows)]
    messages = {row.wire.file.name: _pb2(row.wire) for row in rows}
    for row in rows:
        if row.also:
            other = row.wire.file.message_types_by_name[row.also.rpartition(".")[2]]
            lines.append(_reader(row, other, snake(other.name)))
    imports = [
        f"from {path.rpartition('/')[0].replace('/', '.')} import"
        f" {path.rpartition('/')[2].removesuffix('.proto')}_pb2 as {name}"
        for path, name in sorted(messages.items())
    ]
    imports += [f"from sightline_client.values.{row.module} import {row.name}" for row in rows]
    imports += [
        "from sightline_client.convert import special",
        "from sightline_client.convert.reading import reader",
    ]
    doc = (
        "Convert the contract's messages to plain values. A value that this client is too old to"
        " know\nbecomes UNKNOWN or UNSPECIFIED, never an error."
    )
    return f'"""{doc}\n\n{MADE}\n"""\n\n' + "\n".join(imports) + "\n\n" + "\n".join(lines) + "\n"


def _reader(row: ValueRow, wire: Descriptor, name: str) -> str:
    message = wire.full_name.removeprefix(f"{wire.file.package}.")
    specials = row.special.split()
    renamed = {name: source for name, source in row.renamed.items() if name not in specials}
    given = [f'{name}="{source}"' for name, source in renamed.items()]
    given += [f"{field}=special.{special(row, field)}" for field in specials]
    arguments = ", ".join([row.name, f"{_pb2(wire)}.{message}", *given])
    return f"{name} = reader({arguments})"


def _pb2(wire: Descriptor) -> str:
    """Return the name under which a message's module is imported."""
    parts = wire.file.name.removesuffix(".proto").split("/")
    return "_".join([*(parts[1:-2] or parts[:1]), parts[-1], "pb2"])


def _dependencies_first(rows: list[EnumRow | ValueRow]) -> Iterator[EnumRow | ValueRow]:
    """Yield the rows so that what others contain comes first. ValueError for a circle."""
    waiting = list(rows)
    names = {row.wire.full_name: row for row in rows}
    while waiting:
        left = {row.wire.full_name for row in waiting}
        ready = [row for row in waiting if not (_parts(row) & left & names.keys())]
        if not ready:
            raise ValueError(f"{', '.join(sorted(left))}: messages contain one another")
        yield from ready
        waiting = [row for row in waiting if row not in ready]


def _parts(row: EnumRow | ValueRow) -> set[str]:
    if isinstance(row, EnumRow):
        return set()
    named = [each.message_type or each.enum_type for each in row.wire.fields]
    return {each.full_name for each in named if each} - {row.wire.full_name}
