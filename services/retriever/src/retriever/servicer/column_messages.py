"""Columns in memory as messages. Decides nothing."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from retriever.columns.table import Table
from retriever.search.candidates import Candidates
from retriever.servicer.messages import AVAILABILITY_NUMBER
from sightline.common.v1 import candidate_pb2, product_pb2
from sightline.retriever.v1 import vector_service_pb2

KEPT = 20_000
"""Lists of tags and of attributes whose messages are kept: many products have the same."""

_NOTHING = ("", "[]")


class Found(TypedDict):
    """The columns of a SearchResponse."""

    candidates: candidate_pb2.CandidateColumns
    similarities: Sequence[float]
    image_ids: Sequence[str]
    collapsed: Sequence[vector_service_pb2.ProductIds]


def found(candidates: Candidates) -> Found:
    """What a search found."""
    return Found(
        candidates=columns(candidates.view.table, candidates.places),
        similarities=candidates.similarities,
        image_ids=candidates.image_ids,
        collapsed=_collapsed(candidates.collapsed),
    )


def _collapsed(names: Sequence[Sequence[str]]) -> list[vector_service_pb2.ProductIds]:
    """The near-duplicates of each product; empty when none has any."""
    if not any(names):
        return []
    return [vector_service_pb2.ProductIds(product_ids=ids) for ids in names]


def columns(table: Table, places: Sequence[int]) -> candidate_pb2.CandidateColumns:
    """What ranking needs of the products at some places."""
    rows = np.asarray(places, np.int64)

    def texts(of: Sequence[str], codes: npt.NDArray[Any]) -> list[str]:
        """Empty where the products have none: a column that is left out says so."""
        found = [of[code] for code in codes[rows].tolist()]
        return found if any(text not in _NOTHING for text in found) else []

    message = candidate_pb2.CandidateColumns(
        product_ids=[table.ids[place] for place in places],
        parent_ids=texts(table.parents.texts, table.parent),
        category_paths=texts(table.categories.texts, table.category),
        brands=texts(table.brands.texts, table.brand),
        price_micros=table.price[rows].tolist(),
        currencies=texts(table.currencies.texts, table.currency),
        availabilities=[
            AVAILABILITY_NUMBER[text]
            for text in texts(table.availabilities.texts, table.availability)
        ],
        create_time_micros=table.created[rows].tolist(),
        image_hashes=table.image_hash[rows].tolist(),
    )
    message.tags.extend(map(_tags, texts(table.tags.texts, table.tag)))
    message.attributes.extend(map(_attributes, texts(table.attributes.texts, table.attribute)))
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
    """A typed property."""
    message = product_pb2.Attribute(key=key)
    if isinstance(value, str):
        message.text = value
    elif isinstance(value, bool):
        message.flag = value
    else:
        message.number = value
    return message
