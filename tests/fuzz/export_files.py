"""Files of exports as the client documents them, with changed columns, cells and encodings."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline_client.files.export_columns import (
    AKENEO,
    GA4,
    MAGENTO,
    MERCHANT,
    RETAIL,
    RETAIL_EVENTS,
    SHOPIFY,
    SHOPWARE,
    WOOCOMMERCE,
    ExportColumns,
)

ROWS = (1, 2, 5, 12)
HOSTILE = (
    *("", " ", "N/A", "(not set)", "null", "None", "-", "#N/A", "nan", "undefined", "0", "-1"),
    *(
        "1e400",
        "12,50",
        "1.234,56",
        "12.50 EUR",
        "$5",
        "€",
        "true",
        "yes",
        "2026-02-30",
        "[]",
        "{}",
    ),
    *('{"a":', "=1+1", "酒", "\N{RIGHT-TO-LEFT OVERRIDE}x", "a\nb", "\x00", "x" * 3_000),
)
PLACEHOLDERS = HOSTILE[2:10]
TYPES: tuple[object, ...] = (None, True, 0, -1.5, 10**30, [], [1], {}, {"a": {"b": []}}, [[]])
"""Values of other types, in files whose cells have types."""
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252", "gb18030", "utf-32")

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Export:
    """One export that the client reads."""

    noun: str
    """The command's: products or events."""
    suffix: str
    columns: ExportColumns
    cells: Mapping[str, object]
    """Valid values by column; {} stands for what is unique to a record."""
    keep: frozenset[str]
    """Columns in which each record always has what is unique to it."""


Change = Callable[[random.Random, Export, list[str], list[Row]], None]
_EVENT: Mapping[str, Any] = {"keep": frozenset[str](), "noun": "events", "suffix": ".jsonl"}
EXPORTS: Mapping[str, Export] = {
    "shopify": Export(
        *("products", ".csv", SHOPIFY),
        {"handle": "{}", "title": "T {}", "variant sku": "s-{}", "variant price": "12.50"}
        | {"option1 name": "Size", "option1 value": "M", "status": "active", "vendor": "Acme"},
        frozenset({"handle", "title"}),
    ),
    "woocommerce": Export(
        *("products", ".csv", WOOCOMMERCE),
        {"id": "7", "type": "simple", "sku": "s-{}", "name": "T {}", "regular price": "12.50"}
        | {"published": "1", "in stock?": "1", "categories": "Wine > Red"},
        frozenset({"name"}),
    ),
    "magento": Export(
        *("products", ".csv", MAGENTO),
        {"sku": "{}", "name": "T {}", "price": "12.50", "attribute_set_code": "Default"}
        | {"product_type": "simple", "qty": "3", "is_in_stock": "1"},
        frozenset({"name"}),
    ),
    "shopware": Export(
        *("products", ".csv", SHOPWARE),
        {"id": "i-{}", "product_number": "s-{}", "name": "T {}", "price_gross": "12.50"}
        | {"active": "1", "stock": "3"},
        frozenset({"name"}),
    ),
    "akeneo": Export(
        *("products", ".csv", AKENEO),
        {"sku": "s-{}", "name-en_US": "T {}", "family": "f", "categories": "c", "enabled": "1"},
        frozenset({"name-en_US"}),
    ),
    "merchant": Export(
        *("products", ".tsv", MERCHANT),
        {"id": "{}", "title": "T {}", "link": "https://example.org/{}", "price": "12.50 EUR"}
        | {"image_link": "", "availability": "in_stock", "brand": "Acme"},
        frozenset({"title"}),
    ),
    "google-retail": Export(
        *("products", ".jsonl", RETAIL),
        {"id": "{}", "title": "T {}", "availability": "IN_STOCK", "categories": ["Wine > Red"]}
        | {"priceInfo": {"price": 12.5, "currencyCode": "EUR"}, "brands": ["Acme"]},
        frozenset({"title"}),
    ),
    "ga4": Export(
        columns=GA4,
        cells={"event_name": "view_item", "user_pseudo_id": "{}", "items": [{"item_id": "a"}]}
        | {"event_timestamp": "1760000000000000", "event_params": [], "event_date": "20251009"},
        **_EVENT,
    ),
    "retail events": Export(
        columns=RETAIL_EVENTS,
        cells={"eventType": "detail-page-view", "visitorId": "{}", "eventId": "e"}
        | {"eventTime": "2026-03-01T00:00:00Z", "productDetails": [{"product": {"id": "a"}}]},
        **_EVENT,
    ),
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of an export, with what was changed."""

    export: Export
    data: bytes
    records: tuple[str, ...]
    """Marks of the records, one in each."""
    changes: tuple[str, ...]


def draw(chance: random.Random, name: str, mark: str) -> File:
    """Make a file. `mark`: differs between files."""
    export = EXPORTS[name]
    records = tuple(f"{mark}r{number}e" for number in range(chance.choice(ROWS)))
    documented = [
        each.replace("{n}", "1")
        for each in (*export.columns.read, *export.columns.ignored)
        if "{…}" not in each
    ]
    header = list(export.cells)
    lower = {each.lower() for each in header}
    more = sorted(set(documented) - lower)
    header += chance.sample(more, min(len(more), chance.choice((0, 0, 2, 6))))
    rows: list[Row] = [[_cell(export, column, record) for column in header] for record in records]
    chosen = chance.sample(sorted(CHANGES), chance.choice((0, 1, 1, 2, 3)))
    losing = [change for change in chosen if change in _LOSING][:1]
    chosen = [change for change in chosen if change not in _LOSING] + losing
    for change in chosen:
        CHANGES[change](chance, export, header, rows)
    lines = export.suffix == ".jsonl"
    text = _jsonl(header, rows) if lines else _delimited(chance, header, rows)
    data, how = _encoded(chance, text, export)
    return File(export, data, records, (*chosen, *how))


def _cell(export: Export, column: str, record: str) -> object:
    value = export.cells.get(column, "")
    return value.replace("{}", record) if isinstance(value, str) else value


def _retyped(chance: random.Random, export: Export, header: Row, rows: list[Row]) -> None:
    values = (*HOSTILE, *TYPES) if export.suffix == ".jsonl" else HOSTILE
    _spoil(chance, export, header, rows, values)


def _placeholders(chance: random.Random, export: Export, header: Row, rows: list[Row]) -> None:
    _spoil(chance, export, header, rows, PLACEHOLDERS)


def _spoil(
    chance: random.Random, export: Export, header: Row, rows: list[Row], values: Sequence[object]
) -> None:
    """Change some cells; of those that tell records apart, the part that others have."""
    for _ in range(chance.choice((1, 3, 10))):
        row, place = chance.choice(rows), chance.randrange(len(header))
        value = chance.choice(values)
        row[place] = f"{value}{row[place]}" if header[place] in export.keep else value


def _removed(chance: random.Random, _: Export, header: Row, rows: list[Row]) -> None:
    place = chance.randrange(len(header))
    for each in (header, *rows):
        del each[place]


def _renamed(chance: random.Random, _: Export, header: Row, __: list[Row]) -> None:
    place = chance.randrange(len(header))
    name = header[place]
    others = (f"{name} 2", name.upper(), f" {name} ", f"g:{name}", "", "id", "酒", name[:3])
    header[place] = chance.choice(others)


def _duplicated(chance: random.Random, _: Export, header: Row, rows: list[Row]) -> None:
    place, to = chance.randrange(len(header)), chance.randrange(len(header) + 1)
    for each in (header, *rows):
        each.insert(to, each[place])


def _reordered(chance: random.Random, _: Export, header: Row, rows: list[Row]) -> None:
    order = chance.sample(range(len(header)), len(header))
    for each in (header, *rows):
        each[:] = [each[place] for place in order]


def _ragged(chance: random.Random, _: Export, __: Row, rows: list[Row]) -> None:
    for row in rows:
        row[chance.choice((len(row) - 1, len(row))) :] = chance.choice(([], ["more", "cells"]))


CHANGES: Mapping[str, Change] = {
    "removed": _removed,
    "renamed": _renamed,
    "duplicated": _duplicated,
    "reordered": _reordered,
    "retyped": _retyped,
    "placeholders": _placeholders,
    "ragged": _ragged,
}
_LOSING = frozenset({"removed", "retyped", "placeholders", "ragged"})
"""Changes that may take one of the cells that tell a record apart: a file has one of them, so that
each record keeps another."""


def _jsonl(header: Row, rows: list[Row]) -> str:
    """Return a line of JSON a row, in which a name may be there twice."""
    lines = (
        ", ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in zip(header, row, strict=False))
        for row in rows
    )
    return "".join(f"{{{line}}}\n" for line in lines)


def _delimited(chance: random.Random, header: Row, rows: list[Row]) -> str:
    made = io.StringIO()
    separator = chance.choice(",,,;\t|")
    writer = csv.writer(made, delimiter=separator, lineterminator="\n")
    writer.writerows([header, *rows])
    text = made.getvalue()
    if chance.random() < 0.15:  # a stray quote at the beginning of a cell
        at = chance.choice([at for at, sign in enumerate(text, 1) if sign in (separator, "\n")])
        text = f'{text[:at]}"{text[at:]}'
    return text


def _encoded(chance: random.Random, text: str, export: Export) -> tuple[bytes, tuple[str, ...]]:
    if chance.random() < 0.7:
        return text.encode("utf-8", "replace"), ()
    name = chance.choice(ENCODINGS)
    return text.encode(name, "replace"), (name, export.suffix)
