"""Products as the record gives them to columns, and what searches work with."""

from __future__ import annotations

import json
from typing import Any

from retriever.columns.keeper import Columns
from retriever.ports.columns import ProductRow
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from retriever.search.search import Searcher
from sightline_rules.facts import Facts


def row(product_id: str, **fields: object) -> ProductRow:
    """A product of which only the id and what is given are known."""
    bare = ProductRow(product_id, "", "", "", "", None, None, "IN_STOCK", "[]", "[]", 0, 0, 0)
    return bare._replace(**fields)  # type: ignore[arg-type]


def row_of(product_id: str, facts: Facts, **fields: object) -> ProductRow:
    """A product of which filters know these facts."""
    attributes = [(key, value) for key, values in facts.attributes.items() for value in values]
    made = row(
        product_id,
        title=facts.title,
        category=facts.category,
        brand=facts.brand,
        price_micros=None if facts.price is None else facts.price.micros,
        currency=None if facts.price is None else facts.price.currency,
        availability=str(facts.availability),
        tags=json.dumps(sorted(facts.tags), ensure_ascii=False),
        attributes=json.dumps(attributes, ensure_ascii=False),
        create_time=facts.create_time.micros,
        update_time=facts.update_time.micros,
    )
    return made._replace(**fields)  # type: ignore[arg-type]


def searcher(record: Record, index: VectorIndex, **given: Any) -> Searcher:
    """Unless columns are given they are read for each search, which the engine answers."""
    columns = given.pop("columns", None) or Columns(record, exact_rows=0)
    return Searcher(record, index, columns, **given)
