"""Values of fields as the record stores them: one codec for each kind.

A field has three forms: the value in a product's content, the cells of its SQL columns, and the
fact that filters ask for. Readers are bound to the keys of a row once, so that reading a row looks
up neither field nor kind.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from retriever.domain.product import Attribute
from sightline_rules import categories, kinds
from sightline_rules.facts import Facts, by_key
from sightline_rules.fields import FILTERED, Field
from sightline_rules.filters import AttributeValue, Money, Time

Reader: TypeAlias = Callable[[Any], Any]
"""Reads a field's value, or its fact, from a row."""
Key: TypeAlias = Callable[[str], Any]
"""Maps the name of a column to the key of its cell in a row: its place, or the name itself."""


def cells(field: Field, value: Any) -> dict[str, Any]:
    """Return the cells of a value of a product's content, by column."""
    encode = _encoder(field)
    if len(field.stored) > 1:
        return dict(zip(field.stored, encode(value), strict=True))
    return {field.stored[0]: encode(value)}


def cells_writer(fields: Sequence[Field]) -> Callable[[Any], dict[str, Any]]:
    """Return the function from a product's content to the cells of its fields, by column."""
    plain = [field for field in fields if _is_plain(field)]
    columns, take = tuple(f.stored[0] for f in plain), attrgetter(*(f.wire for f in plain))
    rest = [field for field in fields if not _is_plain(field)]
    single = [(f.stored[0], f.wire, _encoder(f)) for f in rest if len(f.stored) == 1]
    several = [(f.stored, f.wire, _encoder(f)) for f in rest if len(f.stored) > 1]

    def write(content: Any) -> dict[str, Any]:
        found = dict(zip(columns, take(content), strict=True))
        for column, name, encode in single:
            found[column] = encode(getattr(content, name))
        for names, name, encode in several:
            found.update(zip(names, encode(getattr(content, name)), strict=True))
        return found

    return write


def _encoder(field: Field) -> Callable[[Any], Any]:
    """Return the function from a value to its cell; of a field with several columns, to a tuple of
    cells."""
    match field.kind:
        case kinds.CategoryKind():
            return categories.SEPARATOR.join
        case kinds.TextsKind():
            return _json_of_texts
        case kinds.AttributesKind():
            return lambda value: _JSON([[item.key, item.value] for item in value])
        case kinds.ChoiceKind():
            return str
        case kinds.MoneyKind():
            return lambda value: (None, None) if value is None else (value.micros, value.currency)
        case kinds.StepsKind() as kind:
            steps = kind.steps
            return lambda value: None if value is None else round(value * steps)
        case _:
            return _itself


def _is_plain(field: Field) -> bool:
    """Return whether the cell of a field is its value."""
    return isinstance(field.kind, kinds.TextKind | kinds.TimeKind)


def _itself(value: Any) -> Any:
    return value


_JSON = json.JSONEncoder(ensure_ascii=False).encode
_json_of_texts = lru_cache(maxsize=10_000)(_JSON)


def values_reader(fields: Sequence[Field], key: Key) -> Callable[[Any], dict[str, Any]]:
    """Return a reader of the values of fields in a product's content, by their names in it."""
    plain = [field for field in fields if _is_plain(field)]
    names = tuple(field.wire for field in plain)
    take = itemgetter(*(key(field.stored[0]) for field in plain))
    rest = [(field.wire, value_reader(field, key)) for field in fields if not _is_plain(field)]

    def read(row: Any) -> dict[str, Any]:
        found = dict(zip(names, take(row), strict=True))
        for name, reader in rest:
            found[name] = reader(row)
        return found

    return read


def value_reader(field: Field, key: Key) -> Reader:
    """Return a reader of the field's value in a product's content."""
    place, *more = map(key, field.stored)
    match field.kind:
        case kinds.CategoryKind():
            return lambda row: _levels(row[place])
        case kinds.TextsKind():
            return lambda row: texts(row[place])
        case kinds.AttributesKind():
            return lambda row: attributes(row[place])
        case kinds.ChoiceKind(choices):
            choice = lru_cache(maxsize=len(choices))(choices)
            return lambda row: choice(row[place])
        case _:
            return _reader(field, place, *more)


def fact_reader(field: Field, key: Key) -> Reader:
    """Return a reader of the field's fact."""
    place, *more = map(key, field.stored)
    match field.kind:
        case kinds.TextsKind() | kinds.AttributesKind() | kinds.ChoiceKind():
            fact = fact_of_text(field)
            return lambda row: fact(row[place])
        case kinds.TimeKind():
            return lambda row: Time(row[place])
        case _:
            return _reader(field, place, *more)


def fact_of_text(field: Field) -> Callable[[str], Any]:
    """Return the function from the stored text of a field to its fact."""
    match field.kind:
        case kinds.TextsKind():
            return lambda text: frozenset(json.loads(text))
        case kinds.AttributesKind():
            return keyed
        case kinds.ChoiceKind(choices):
            return choices
        case _:
            return str


def _reader(field: Field, place: Any, *more: Any) -> Reader:
    """Return a reader of a kind whose value is also its fact."""
    match field.kind:
        case kinds.MoneyKind():
            (currency,) = more
            return lambda row: (
                None if (micros := row[place]) is None else Money(row[currency], micros)
            )
        case kinds.NumberKind() as kind:
            steps = kind.steps
            return lambda row: None if (held := row[place]) is None else held / steps
        case kinds.FlagKind():
            return lambda row: None if (held := row[place]) is None else held > 0
        case _:
            return itemgetter(place)


def facts_reader(key: Key) -> Callable[[Any], Facts]:
    """Return a reader of all facts of a row."""
    bound = [(field.name, fact_reader(field, key)) for field in FILTERED]
    return lambda row: Facts(**{name: read(row) for name, read in bound})


@lru_cache(maxsize=10_000)
def _levels(text: str) -> tuple[str, ...]:
    return categories.split(text)


@lru_cache(maxsize=10_000)  # most products share theirs with others, or have none
def texts(text: str) -> tuple[str, ...]:
    """Return the texts in a cell, in their order."""
    return tuple(json.loads(text))


@lru_cache(maxsize=10_000)
def attributes(text: str) -> tuple[Attribute, ...]:
    """Return the attributes in a cell, in their order."""
    return tuple(Attribute(key, value) for key, value in json.loads(text))


def keyed(text: str) -> Mapping[str, tuple[AttributeValue, ...]]:
    """Return the attributes in a cell by their keys."""
    return by_key(json.loads(text))
