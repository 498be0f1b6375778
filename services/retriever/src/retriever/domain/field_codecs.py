"""Values of fields as the record stores them: one codec for each kind.

A field has three forms: the value in a product's content, the cells of its SQL columns, and the
fact that filters ask for. Codecs are chosen once for a field, so that reading a row looks up
neither field nor kind.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from retriever.domain.product import Attribute
from sightline_rules import categories, kinds
from sightline_rules.facts import Facts, by_key
from sightline_rules.fields import FILTERED, Field
from sightline_rules.filters import AttributeValue, Availability, Money, Time
from sightline_rules.kinds import FieldKind
from sightline_rules.markets import MarketList, MarketValues

Decoder: TypeAlias = Callable[..., Any]
"""Function from the cells of a field, in the order of its columns, to its value or its fact."""


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
        case kinds.MarketsKind():
            return lambda value: _JSON([_market_cells(each) for each in value]) if value else None
        case kinds.ChoiceKind():
            return str
        case kinds.MoneyKind():
            return lambda value: (None, None) if value is None else (value.micros, value.currency)
        case kinds.StepsKind() as kind:
            place = kind.place
            return lambda value: None if value is None else round(place(value))
        case _:
            return _itself


def _is_plain(field: Field) -> bool:
    """Return whether the cell of a field is its value."""
    return isinstance(field.kind, kinds.TextKind | kinds.TimeKind)


def _itself(value: Any) -> Any:
    return value


_JSON = json.JSONEncoder(ensure_ascii=False).encode
_json_of_texts = lru_cache(maxsize=10_000)(_JSON)


def decoder(field: Field) -> Decoder:
    """Return the function from a field's cells to its value in a product's content."""
    match field.kind:
        case kinds.CategoryKind():
            return _levels
        case kinds.TextsKind():
            return texts
        case kinds.AttributesKind():
            return attributes
        case kinds.MarketsKind():
            return markets
        case _:
            return _decoder(field.kind)


def fact_decoder(field: Field) -> Decoder:
    """Return the function from a field's cells to its fact."""
    match field.kind:
        case kinds.TextsKind():
            return lambda text: frozenset(json.loads(text))
        case kinds.AttributesKind():
            return keyed
        case kinds.MarketsKind():
            return markets
        case kinds.TimeKind():
            return Time
        case _:
            return _decoder(field.kind)


def _decoder(kind: FieldKind) -> Decoder:
    """Return the decoder of a kind whose value is also its fact."""
    match kind:
        case kinds.ChoiceKind(choices):
            return lru_cache(maxsize=len(choices))(choices)
        case kinds.MoneyKind():
            return lambda micros, currency: None if micros is None else Money(currency, micros)
        case kinds.NumberKind():
            steps = kind.steps
            return lambda held: None if held is None else held / steps
        case kinds.StepsKind():
            fact = kind.fact
            return lambda held: None if held is None else fact(held)
        case _:
            return _itself


def fact_reader(field: Field) -> Callable[[Mapping[str, Any]], Any]:
    """Return the function from a row's cells, by column, to the field's fact."""
    decode, take = fact_decoder(field), itemgetter(*field.stored)
    if decode is _itself:
        return take
    if len(field.stored) > 1:
        return lambda row: decode(*take(row))
    return lambda row: decode(take(row))


def read_facts(row: Mapping[str, Any]) -> Facts:
    """Return all facts of a row, given by column."""
    return Facts(**{name: read(row) for name, read in _FACT_READERS})


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


def _market_cells(value: MarketValues) -> list[Any]:
    micros, currency = (None, "") if value.price is None else astuple(value.price)[::-1]
    texts = value.title, value.description, value.language_code, value.uri
    return [value.market_id, micros, currency, value.availability or "", *texts]


def market_cells(text: str | None) -> Sequence[Sequence[Any]]:
    """Return the values by market in a cell as they are stored: id, micros (None: no price),
    currency, availability ("": none), and four texts, of which the first is the title."""
    return json.loads(text) if text else ()


def markets(text: str | None) -> MarketList:
    """Return the values by market in a cell; none for NULL."""
    return tuple(
        MarketValues(
            market_id,
            None if micros is None else Money(currency, micros),
            Availability(availability) if availability else None,
            *texts,
        )
        for market_id, micros, currency, availability, *texts in market_cells(text)
    )


def keyed(text: str) -> Mapping[str, tuple[AttributeValue, ...]]:
    """Return the attributes in a cell by their keys."""
    return by_key(json.loads(text))


_FACT_READERS = tuple((field.name, fact_reader(field)) for field in FILTERED)
