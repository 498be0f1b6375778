"""Makes the calls of the client that send one request and return what one answer holds."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from client.generator.sentences import Sentences, docstring, entry, raises
from client.generator.table import POOL, ValueRow, call_rows, functions, load, members, snake
from client.generator.values import EMPTY, KNOWN, MADE, SCALARS, SOURCES, pair_of

_SHOPPER = "sightline.common.v1.Shopper"
_NEVER = frozenset({"catalog_id", "page_size", "page_token"})
"""Fields of requests that the client sets, unless the table makes them parameters."""
_FEW = 200
_MAXIMUM = re.compile(r"\b1 to ([\d,]+)")
_DEFAULT = re.compile(r" ?(?:Default|None): .*?\.(?= |$)")
_ELSEWHERE = re.compile(r"For (?:this|the) [^.]*methods? see [\w.]+\w\.?|See \w+Service\.")
"""A sentence of a public method about where its description is."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """Differences of a call from the rules."""

    name: str = ""
    """Name of the function; "": that of the method, in lower case."""
    required: str | None = None
    """Positional parameters without a default; None: fields that the contract says are required."""
    positional: str = ""
    """Positional parameters with a default."""
    keyword: str = ""
    """Keyword parameters without a default."""
    with_fields: str = ""
    """Parameters that the client usually sets."""
    omit: str = ""
    """Fields that are no parameters."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Parameters with another name than the field: name there by name here."""
    types: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""
    """Field of the answer that is returned, in place of the answer."""
    yields: bool = False
    """True if the items of a list, or its pages if these have a class, are yielded; False if they
    are returned together."""
    many: bool = True
    """False if pages have the server's default size: each of their items is work."""
    as_list: bool = False
    """True if a list is returned, False: a tuple."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of parameters in place of the contract's."""
    slow: bool = False
    """True if the call has the time of a batch."""


def call_modules() -> Mapping[str, str]:
    """Return the text of each module of calls, not yet formatted, by its name."""
    load()
    table = dict(call_rows())
    names = table.pop("names")
    return {snake(name): _module(name, dict(rows), names) for name, rows in table.items()}


def _module(name: str, rows: dict[str, Any], names: Mapping[str, str]) -> str:
    service = POOL.FindServiceByName(f"sightline.{rows.pop('service')}")
    stub = rows.pop("stub")
    rows.pop("values", "")
    left_out = f"{rows.pop('by_hand', '')} {rows.pop('without', '')}".split()
    calls = [
        _Call(method, CallRow(**rows.pop(method.name, {})), stub, names)
        for method in service.methods
        if method.name not in left_out
    ]
    if unknown := {*rows, *left_out} - {method.name for method in service.methods}:
        raise ValueError(f"{service.full_name} has no {', '.join(unknown)}: see calls.toml")
    return "\n".join(
        [
            f'"""Calls of {service.name}.\n\n{MADE}\n"""\n',
            *dict.fromkeys(line for call in calls for line in call.imports()),
            "from sightline_client.api.base import Connected",
            "from sightline_client.convert import from_wire, requests, to_wire",
            f'\n\nclass {name}(Connected):\n    """Calls of {service.name}."""\n',
            "\n".join(call.text() for call in calls),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """Type that a call returns, and the expression that computes it."""

    hint: str
    body: str
    """Lines of the method, with {} in place of the call."""


def _answer(message: Descriptor, row: CallRow, *, paged: bool) -> _Answer:
    """Return the answer of a method: its value, or that of its only field."""
    if row.yields and (value := _row(message)):
        body = f"        async for page in {{}}:\n            yield {_reader(message)}(page)"
        return _Answer(f"AsyncIterator[{value.name}]", body)
    if not row.returns and (value := _row(message)):
        return _Answer(value.name, f"        return {_reader(message)}(await {{}})")
    names = [each.name for each in message.fields if each.name != "next_page_token"]
    if not row.returns and len(names) != 1:
        raise ValueError(f"{message.full_name} has no class: add a line to values.toml")
    wire = message.fields_by_name[row.returns or names[0]]
    kind, value_of = _kind(wire), f"(await {{}}).{wire.name}"
    if wire.message_type is None:
        whole = f"tuple({value_of})" if wire.is_repeated else value_of
        return _Answer(
            f"tuple[{kind}, ...]" if wire.is_repeated else kind, f"        return {whole}"
        )
    read = _reader(wire.message_type)
    if not wire.is_repeated:
        return _Answer(kind, f"        return {read}({value_of})")
    if row.yields:
        lines = (
            "async for page in {}:",
            f"    for each in page.{wire.name}:",
            f"        yield {read}(each)",
        )
        return _Answer(f"AsyncIterator[{kind}]", "\n".join(f"        {line}" for line in lines))
    if paged:
        items = f"[{read}(each) async for page in {{}} for each in page.{wire.name}]"
    else:
        items = f"[{read}(each) for each in {value_of}]"
    if row.as_list:
        return _Answer(f"list[{kind}]", f"        return {items}")
    return _Answer(f"tuple[{kind}, ...]", f"        return tuple({items})")


class _Call:
    """A call of the client."""

    def __init__(
        self, method: MethodDescriptor, row: CallRow, stub: str, names: Mapping[str, str]
    ) -> None:
        """``names``: parameters of all calls by the names of their fields."""
        self._method = method
        self._names = {**names, **{wire: name for name, wire in row.renamed.items()}}
        self._row = row
        self._stub = stub
        self._request: Descriptor = method.input_type
        self._sentences = Sentences(members(), functions())

    def text(self) -> str:
        """Return the lines of the method."""
        row, name = self._row, self._row.name or snake(self._method.name)
        head = f"    async def {name}(self, {self._signature()}) -> {self._answer.hint}:"
        timeout = "self._batch_deadline(timeout)" if row.slow else "timeout"
        ask = "_ask_pages" if self._paged else "_ask"
        arguments = [f"self.calls.{self._stub}.{self._method.name}"]
        arguments += [_import(self._request)[1], timeout, *self._given()]
        self_call = f"self.{ask}({', '.join(arguments)})"
        return "\n".join([head, self._docstring(), self._answer.body.format(self_call)]) + "\n"

    def imports(self) -> Iterator[str]:
        """Yield the lines that import what the method names."""
        yield _import(self._request)[0]
        names = re.findall(r"\b[A-Za-z]\w*", f"{self._signature()} {self._answer.hint}")
        places = {row.name: f"sightline_client.values.{row.module}" for row in load().rows}
        places |= SOURCES | {"AsyncIterator": "collections.abc", "Iterable": "collections.abc"}
        yield from (f"from {places[name]} import {name}" for name in names if name in places)

    @cached_property
    def _fields(self) -> Mapping[str, FieldDescriptor]:
        """Fields of the request that are parameters, by the parameter's name."""
        row = self._row
        hidden = {*_NEVER, *row.omit.split()} - set(row.with_fields.split())
        hidden -= {*row.renamed.values(), *f"{row.required or ''} {row.positional}".split()}
        said = self._sentences.of(f"{self._request.full_name}.request_id")
        if "the same id" not in said and "request_id" not in self._row.with_fields.split():
            hidden.add("request_id")
        shown = [each for each in self._request.fields if each.name not in hidden]
        first = f"{row.required or ''} {row.positional} {row.keyword}".split()
        named = {self._names.get(each.name, each.name): each for each in shown}
        last = [name for name in named if name not in first and name != "request_id"]
        return {name: named[name] for name in [*first, *last, "request_id"] if name in named}

    @cached_property
    def _required(self) -> list[str]:
        if self._row.required is not None:
            return self._row.required.split()
        return [
            name
            for name, each in self._fields.items()
            if "Required." in self._sentences.of(each.full_name) and not _is_shopper(each)
        ]

    def _signature(self) -> str:
        optional = self._row.positional.split()
        keyword = self._row.keyword.split()
        parts = [f"{name}: {self._type(name)}" for name in self._required]
        parts += [f"{name}: {self._typed(name)}" for name in optional]
        parts += ["*", *(f"{name}: {self._type(name)}" for name in keyword)]
        named = {*self._required, *optional, *keyword}
        for name, each in self._fields.items():
            if _is_shopper(each):
                parts += ["user: str | None = None", "visitor: str | None = None"]
            elif name not in named:
                parts.append(f"{name}: {self._typed(name)}")
        return ", ".join([*parts, "timeout: float | None = None"])

    def _type(self, name: str) -> str:
        if name in self._row.types:
            return self._row.types[name]
        wire = self._fields[name]
        if pair := pair_of(wire):
            return f"Mapping[{pair}]"
        kind = _kind(wire)
        return f"Iterable[{kind}]" if wire.is_repeated else kind

    def _typed(self, name: str) -> str:
        """Return type and default of a parameter."""
        kind, wire = self._type(name), self._fields[name]
        if name in self._row.defaults:
            return f"{kind} = {self._row.defaults[name]}"
        if wire.has_presence:
            return f"{kind} | None = None"
        if wire.is_repeated:
            return f"{kind} = ()"
        return f"{kind} = {EMPTY[kind]}"

    def _given(self) -> Iterator[str]:
        """Yield the arguments that become fields of the request."""
        for name, each in self._fields.items():
            if _is_shopper(each):
                yield f"{each.name}=to_wire.shopper(user, visitor)"
            elif name == "request_id":
                yield "request_id=requests.own_id(request_id)"
            elif name == "catalog_id" and name not in self._required:
                yield "catalog_id=catalog_id or self.catalog"
            else:
                yield f"{each.name}={name}"
        named = "page_size" in [each.name for each in self._fields.values()]
        if self._paged and self._row.many and not named:
            yield f"page_size={self._page_size}"

    @cached_property
    def _page_size(self) -> int:
        """Items of a page: as many as it may have, but few where a caller may stop early."""
        said = self._sentences.of(f"{self._request.full_name}.page_size")
        found = _MAXIMUM.search(said)
        if found is None:
            raise ValueError(f"{self._request.full_name}.page_size: the comment names no maximum")
        most = int(found[1].replace(",", ""))
        return min(most, _FEW) if self._row.yields and not _row(self._method.output_type) else most

    @cached_property
    def _paged(self) -> bool:
        """True if all pages are read."""
        answer = self._method.output_type
        paged = "page_token" in self._request.fields_by_name
        return paged and (self._row.yields or not _row(answer))

    @cached_property
    def _answer(self) -> _Answer:
        return _answer(self._method.output_type, self._row, paged=self._paged)

    def _docstring(self) -> str:
        text = self._sentences.method(self._described(), self._names)
        text = re.sub(r"^List\b", "Yield" if self._row.yields else "Return", text)
        text = _ELSEWHERE.sub("", text).strip()
        if self._paged and not self._row.yields:
            text += " ``timeout`` is that of one page."
        elif self._row.yields:
            text += " They are read page by page; ``timeout`` is that of one page."
        entries = []
        for name, each in self._fields.items():
            said = self._row.texts.get(name) or self._sentences.field(
                each.full_name, self._names, optional=each.has_presence
            )
            if _is_shopper(each):
                entries += [
                    entry("user", "Id of a known customer; excludes ``visitor``.", 12),
                    entry("visitor", "Id of a visitor who is not logged in.", 12),
                ]
            elif name == "request_id":
                entries.append(entry(name, "The same id returns the same job.", 12))
            else:
                own = name in {*self._row.defaults, *self._required}
                entries.append(entry(name, _DEFAULT.sub("", said).strip() if own else said, 12))
        if self._row.slow:
            entries.append(entry("timeout", "Seconds; None = the client's ``batch_timeout``.", 12))
        errors = [entry(kind, f"{reasons}.", 12) for kind, reasons in raises(text).items()]
        parts = {"Args:": entries, "Raises:": errors}
        lists = [f"\n        {title}\n" + "\n".join(rows) for title, rows in parts.items() if rows]
        if not lists:
            return docstring(text, 8)
        head = docstring(text, 8).rstrip().removesuffix('"""').rstrip()
        return "\n".join([head, *lists, '        """'])

    def _described(self) -> list[str]:
        """Return the methods that have this method's name and request: the public one, and that of
        the service that does the work."""
        services = self._request.file.services_by_name.values()
        others = [each.methods_by_name.get(self._method.name) for each in services]
        return [self._method.full_name, *(each.full_name for each in others if each is not None)]


def _is_shopper(wire: FieldDescriptor) -> bool:
    return wire.message_type is not None and wire.message_type.full_name == _SHOPPER


def _row(message: Descriptor) -> ValueRow | None:
    """Return the row of a message; None without one."""
    try:
        row = load().row(message.full_name)
    except ValueError:
        return None
    return row if isinstance(row, ValueRow) and row.use == "read" else None


def _reader(message: Descriptor) -> str:
    """Return the function that reads a message."""
    if (row := _row(message)) is None:
        raise ValueError(f"{message.full_name} has no class: add a line to values.toml")
    same = row.wire.full_name == message.full_name
    return f"from_wire.{row.function if same else snake(message.name)}"


def _kind(wire: FieldDescriptor) -> str:
    for named in (wire.message_type, wire.enum_type):
        if named is not None:
            return KNOWN.get(named.full_name) or load().row(named.full_name).name
    return SCALARS.get(wire.type, "int")


def _import(message: Descriptor) -> tuple[str, str]:
    """Return the line that imports a message's module, and the message's name after it."""
    folder, _, file = message.file.name.removesuffix(".proto").rpartition("/")
    return f"from {folder.replace('/', '.')} import {file}_pb2", f"{file}_pb2.{message.name}"
