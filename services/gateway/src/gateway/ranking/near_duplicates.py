"""Collapse of near-duplicates across branches into the best one. Pure; the rule is shared.

The best one is the first of the final order, after hidden products were removed: a shopper who hid
a product still sees its variants. The ranker collapses the products that it ranks; this module does
it for orders that it did not make or that have to be explained. A search reports which of its own
products show the same picture, because it has their vectors; between products of different branches
the hashes decide.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import count
from typing import Any

import numpy as np

from sightline_core.answer import AnswerOrder
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns
from sightline_rules.duplicates import NO_HASH
from sightline_rules.grouping import NO_PAIRS, Grouped, grouped


def collapse(candidates: FusedCandidates, order: AnswerOrder) -> AnswerOrder:
    """Return a whole order without near-duplicates of better products and of the query's own."""
    groups, own = _groups(candidates, order), len(candidates.own.product_ids)
    if len(groups.kept) == own + len(order.product_ids):
        return order
    kept = [place - own for place in groups.kept if place >= own]
    members, ids = groups.members(), order.product_ids
    collapsed = [tuple(ids[at - own] for at in members.get(place + own, ())) for place in kept]
    ranks = order.score_ranks or range(1, len(ids) + 1)
    return replace(picked(replace(order, score_ranks=ranks), kept), collapsed=collapsed)


def apart(columns: ProductColumns, others: ProductColumns) -> list[int]:
    """Return the rows of the products that are neither among others nor near-duplicates of one."""
    count = len(others.product_ids)
    pictures = [
        *(others.image_hashes or [NO_HASH] * count),
        *(columns.image_hashes or [NO_HASH] * len(columns.product_ids)),
    ]
    found = grouped([*others.families, *columns.families], np.array(pictures, np.uint64))
    return [row for row, into in enumerate(found.into[count:]) if into >= count]


def picked(order: AnswerOrder, rows: Sequence[int]) -> AnswerOrder:
    """Return only these rows of a whole order, in this order."""
    held = {column.name: getattr(order, column.name) for column in fields(AnswerOrder)}
    columns: dict[str, Any] = {
        name: [values[row] for row in rows if row < len(values)]
        for name, values in held.items()
        if isinstance(values, Sequence) and values
    }
    columns |= {
        "parts": [(name, [values[row] for row in rows]) for name, values in order.parts],
        "contributions": {
            part: [values[row] for row in rows if row < len(values)]
            for part, values in order.contributions.items()
        },
    }
    return replace(order, **columns | {"total": len(rows)})


def collapsed_into(candidates: FusedCandidates, order: AnswerOrder, product_id: str) -> str:
    """Return the better product, or the query's own, that a product is a near-duplicate of; empty
    if none."""
    ids = [*candidates.own.product_ids, *order.product_ids]
    place = ids.index(product_id)
    into = _groups(candidates, order).into[place]
    return "" if into == place else ids[into]


def _groups(candidates: FusedCandidates, order: AnswerOrder) -> Grouped:
    """Group the query's own products, then the order, by near-duplicates."""
    own, columns = candidates.own, candidates.columns
    rows = [*map(candidates.places.__getitem__, order.product_ids)]
    at = dict(zip(rows, count(len(own.product_ids))))
    pairs = [
        (at[one], at[other]) for one, other in candidates.same_pictures if one in at and other in at
    ]
    hashes = columns.image_hashes or [NO_HASH] * len(columns.product_ids)
    pictures = own.image_hashes or [NO_HASH] * len(own.product_ids)
    return grouped(
        [*own.families, *map(columns.families.__getitem__, rows)],
        np.array([*pictures, *map(hashes.__getitem__, rows)], np.uint64),
        np.array(pairs, np.int64) if pairs else NO_PAIRS,
    )
