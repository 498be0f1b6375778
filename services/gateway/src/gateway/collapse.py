"""Near-duplicates across branches collapse into the best. Pure; the rule is shared.

The best is that of the final order, after hidden products are out of it: who hides a product sees
its variants still. A search tells which of its own products show the same picture, as it has their
vectors; between products of different branches the hashes decide.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace

from gateway.model import AnsweredProduct, Candidates, Columns
from sightline_rules import duplicates
from sightline_rules.duplicates import Candidate


def collapse(
    candidates: Candidates, order: Sequence[AnsweredProduct]
) -> tuple[AnsweredProduct, ...]:
    """The order without near-duplicates of better products and of the query's own."""
    own = candidates.own
    return tuple(
        replace(order[group.place - len(own)], collapsed=group.collapsed)
        for group in _groups(candidates, order)
        if group.place >= len(own)
    )


def stands_behind(candidates: Candidates, order: Sequence[AnsweredProduct], product_id: str) -> str:
    """The better product, or the query's own, that a product of the order is a near-duplicate of;
    "" = none."""
    own = [item.product_id for item in candidates.own]
    ids = [*own, *(item.product_id for item in order)]
    into = (group.place for group in _groups(candidates, order) if product_id in group.collapsed)
    return next((ids[place] for place in into), "")


def _groups(
    candidates: Candidates, order: Sequence[AnsweredProduct]
) -> tuple[duplicates.Group, ...]:
    """The query's own products, then the order, in groups of near-duplicates."""
    known = {item.product_id: item for item in near_duplicates(candidates.columns)}
    ordered = (
        replace(known[item.product_id], marks=candidates.marks.get(item.product_id, ()))
        for item in order
    )
    return duplicates.collapse((*candidates.own, *ordered))


def near_duplicates(columns: Columns) -> list[Candidate]:
    """What decides whether products are near-duplicates."""
    return [
        Candidate(product_id, parent_id, image_hash)
        for product_id, parent_id, image_hash in zip(
            columns.product_ids, columns.parent_ids, columns.image_hashes, strict=True
        )
    ]


def count(columns: Columns, left_out: Collection[str]) -> int:
    """How many products stay of those not left out."""
    items = near_duplicates(columns)
    return len(duplicates.collapse(item for item in items if item.product_id not in left_out))


def marks(
    searches: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
) -> Mapping[str, Sequence[Hashable]]:
    """Marks of products, from those of several searches and what each of them stands for."""
    found: dict[str, list[Hashable]] = defaultdict(list)
    for number, (product_ids, collapsed) in enumerate(searches):
        for product_id, others in zip(product_ids, collapsed, strict=False):
            for other in others:
                mark = (number, product_id, other)
                found[product_id].append(mark)
                found[other].append(mark)
    return found
