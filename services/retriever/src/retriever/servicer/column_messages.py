"""Translation of columns in memory to messages, which are filled in place: a message that is given
to another one's constructor is copied."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from retriever.columns.column import Column
from retriever.columns.numeric import NONE
from retriever.columns.table import ProductTable
from retriever.search.candidates import Candidates
from retriever.servicer import messages
from retriever.servicer.messages import AVAILABILITY_NUMBER
from sightline.common.v1 import candidate_pb2, product_pb2
from sightline.retriever.v1 import vector_service_pb2
from sightline_rules import kinds
from sightline_rules.kinds import FieldKind

KEPT = 20_000
"""Maximum number of cached lists of tags, and of attributes, which many products share."""

PART_ROWS = 256
"""Products for which a column is filled between two runs of other tasks."""

NOTHING = frozenset({"", "[]", NONE})


async def fill_found(
    message: vector_service_pb2.SearchResponse, candidates: Candidates, market_id: str = ""
) -> None:
    """Fill the columns of the products found by a search, with their values in a market."""
    message.stamp.CopyFrom(messages.stamp(candidates.stamp))
    message.similarities.extend(candidates.similarities)
    message.image_ids.extend(candidates.image_ids)
    named = vector_service_pb2.ProductIds
    message.collapsed.extend([named(product_ids=ids) for ids in candidates.collapsed])
    await fill(message.candidates, candidates.view.table, candidates.places, market_id)


async def fill(
    message: candidate_pb2.CandidateColumns,
    table: ProductTable,
    places: Sequence[int],
    market_id: str = "",
) -> None:
    """Fill the ranking candidates for the products at the given rows, with their values in a
    market. Other tasks of the event loop run after every PART_ROWS of them."""
    await _fill(message, table, places, table.candidate_columns(market_id))


async def fill_own(
    message: candidate_pb2.CandidateColumns, table: ProductTable, places: Sequence[int]
) -> None:
    """Fill what near-duplicates of the products at the given rows are found by."""
    await _fill(message, table, places, [table.column("parent_id")])


async def _fill(
    message: candidate_pb2.CandidateColumns,
    table: ProductTable,
    places: Sequence[int],
    columns: Sequence[Column],
) -> None:
    rows, ids, count = np.asarray(places, np.int64), table.ids, len(places)
    message.product_ids.extend([ids[place] for place in places])
    message.image_hashes.extend(table.image_hash[rows].tolist())
    for column in columns:
        if column.unknown:
            continue
        kind = type(column.field.kind)
        for name, cells in zip(column.field.candidate, column.cells(rows), strict=True):
            # An omitted column means that no product has the field.
            if NOTHING.issuperset(cells):
                continue
            for begin in range(0, count, PART_ROWS):
                some = cells if count <= PART_ROWS else cells[begin : begin + PART_ROWS]
                if kind in _LISTS:
                    # A list's `extend` would serialise and parse each message by itself.
                    message.MergeFromString(
                        b"".join(map(partial(_alone, name, VALUES[kind]), some))
                    )
                else:
                    held = map(VALUES[kind], some) if kind in VALUES else some
                    getattr(message, name).extend(held)
                if count > PART_ROWS:
                    await asyncio.sleep(0)


@lru_cache(maxsize=KEPT)
def _tags(text: str) -> candidate_pb2.TextList:
    return candidate_pb2.TextList(values=json.loads(text))


@lru_cache(maxsize=KEPT)
def _attributes(text: str) -> candidate_pb2.AttributeList:
    pairs = json.loads(text)
    return candidate_pb2.AttributeList(values=[attribute(key, value) for key, value in pairs])


@lru_cache(maxsize=2 * KEPT)
def _alone(name: str, value_of: Callable[[str], Any], cell: str) -> bytes:
    """Return the bytes of columns that have a list's cell alone."""
    return candidate_pb2.CandidateColumns(**{name: [value_of(cell)]}).SerializeToString()


def attribute(key: str, value: str | float | bool) -> product_pb2.Attribute:
    """Return the message of an attribute."""
    message = product_pb2.Attribute(key=key)
    if isinstance(value, str):
        message.text = value
    elif isinstance(value, bool):
        message.flag = value
    else:
        message.number = value
    return message


VALUES: Mapping[type[FieldKind], Callable[[str], Any]] = {
    kinds.TextsKind: _tags,
    kinds.AttributesKind: _attributes,
    kinds.ChoiceKind: AVAILABILITY_NUMBER.__getitem__,
}
"""By kind of field, the function that returns what a cell says. Its result is shared."""
_LISTS = frozenset({kinds.TextsKind, kinds.AttributesKind})
"""Kinds whose values are messages."""
