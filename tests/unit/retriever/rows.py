"""Products as the record returns them to columns, and the dependencies of searches."""

from __future__ import annotations

from typing import Any

from retriever.columns.column_cache import Columns
from retriever.domain import field_codecs
from retriever.domain.column_rows import HELD, ProductRow
from retriever.domain.product import Attribute
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from retriever.search.search import Searcher
from sightline_rules import categories, kinds
from sightline_rules.facts import Facts
from sightline_rules.fields import FILTERED, Field


def row(product_id: str, *, image_hash: int = 0, **cells: object) -> ProductRow:
    """Return a product with only its id and the given fields."""
    assert cells.keys() <= BARE.keys(), cells.keys() - BARE.keys()
    return ProductRow(product_id, {**BARE, **cells}, image_hash)


def _bare(field: Field) -> dict[str, Any]:
    match field.kind:
        case kinds.TextsKind() | kinds.AttributesKind():
            return dict.fromkeys(field.stored, "[]")
        case kinds.TimeKind():
            return dict.fromkeys(field.stored, 0)
        case kinds.MarketsKind():
            return dict.fromkeys(field.stored)
        case kind:
            return dict.fromkeys(field.stored, kind.unknown)


BARE = {name: cell for field in HELD for name, cell in _bare(field).items()}
"""Cells of a product of which nothing is known."""


def cells_of(facts: Facts) -> dict[str, Any]:
    """Return the cells of a product with these facts for filters."""
    cells: dict[str, Any] = {}
    for field in FILTERED:
        value = getattr(facts, field.name)
        match field.kind:
            case kinds.CategoryKind():
                value = categories.split(value)
            case kinds.TextsKind():
                value = tuple(sorted(value))
            case kinds.AttributesKind():
                value = [Attribute(key, each) for key, some in value.items() for each in some]
            case kinds.TimeKind():
                value = value.micros
        cells |= field_codecs.cells(field, value)
    return cells


def row_of(product_id: str, facts: Facts, **cells: object) -> ProductRow:
    """Return a product with these facts for filters."""
    return row(product_id, **{**cells_of(facts), **cells})


def searcher(record: Record, index: VectorIndex, **given: Any) -> Searcher:
    """Return a searcher; without given columns, they are read for each search, which the engine
    answers."""
    columns = given.pop("columns", None) or Columns(record, exact_rows=0)
    return Searcher(record, index, columns, **given)
