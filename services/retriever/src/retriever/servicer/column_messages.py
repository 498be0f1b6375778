"""Translation of columns in memory to messages."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypedDict

import numpy as np

from retriever.columns.numeric import NONE
from retriever.columns.table import ProductTable
from retriever.search.candidates import Candidates
from retriever.servicer.messages import AVAILABILITY_NUMBER
from sightline.common.v1 import candidate_pb2, product_pb2
from sightline.retriever.v1 import vector_service_pb2
from sightline_rules import kinds
from sightline_rules.fields import CANDIDATE
from sightline_rules.kinds import FieldKind
from sightline_rules.markets import named

KEPT = 20_000
"""Maximum number of cached messages of tag and attribute lists, which many products share."""

_NOTHING = frozenset({"", "[]", NONE})


class FoundColumns(TypedDict):
    """Columns of a SearchResponse."""

    candidates: candidate_pb2.CandidateColumns
    similarities: Sequence[float]
    image_ids: Sequence[str]
    collapsed: Sequence[vector_service_pb2.ProductIds]


def found(candidates: Candidates, market_id: str = "") -> FoundColumns:
    """Return the columns of the products found by a search, with their values in a market."""
    return FoundColumns(
        candidates=columns(candidates.view.table, candidates.places, market_id),
        similarities=candidates.similarities,
        image_ids=candidates.image_ids,
        collapsed=_collapsed(candidates.collapsed),
    )


def _collapsed(names: Sequence[Sequence[str]]) -> list[vector_service_pb2.ProductIds]:
    """Return the near-duplicates of each product; an empty list if no product has any."""
    if not any(names):
        return []
    return [vector_service_pb2.ProductIds(product_ids=ids) for ids in names]


def columns(
    table: ProductTable, places: Sequence[int], market_id: str = ""
) -> candidate_pb2.CandidateColumns:
    """Return the ranking candidates for the products at the given rows, with their values in a
    market."""
    rows = np.asarray(places, np.int64)
    message = candidate_pb2.CandidateColumns(
        product_ids=[table.ids[place] for place in places],
        image_hashes=table.image_hash[rows].tolist(),
    )
    for field in CANDIDATE:
        column = table.column(named(field.name, market_id))
        encode = _ENCODED.get(type(field.kind))
        for name, cells in zip(field.candidate, column.cells(rows), strict=True):
            # An omitted column means that no product has the field.
            if not _NOTHING.issuperset(cells):
                getattr(message, name).extend(map(encode, cells) if encode else cells)
    return message


@lru_cache(maxsize=KEPT)
def _tags(text: str) -> candidate_pb2.TextList:
    return candidate_pb2.TextList(values=json.loads(text))


@lru_cache(maxsize=KEPT)
def _attributes(text: str) -> candidate_pb2.AttributeList:
    return candidate_pb2.AttributeList(
        values=[attribute(key, value) for key, value in json.loads(text)]
    )


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


_ENCODED: Mapping[type[FieldKind], Callable[[str], Any]] = {
    kinds.TextsKind: _tags,
    kinds.AttributesKind: _attributes,
    kinds.ChoiceKind: AVAILABILITY_NUMBER.__getitem__,
}
"""By kind of field, the function that converts a cell to its message. Other cells need none."""
