"""Near-duplicates among the products that a search found; the rule is sightline_rules.duplicates.

Where hashes leave open whether two photos are one picture, the photos' vectors say it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from retriever.model import Floats, Generation, Product
from retriever.ports import SearchRecord
from sightline_rules import duplicates
from sightline_rules.duplicates import Candidate, Group

_COLOURS = (1 << duplicates.COLOUR_BITS) - 1
_ONES = np.array([byte.bit_count() for byte in range(256)], np.uint8)
"""In how many bits a byte is 1."""


@dataclass(slots=True)
class Grouping:
    """Groups the products of one search, anew whenever it found more."""

    generation: Generation | None
    """Whose vectors are compared; None = no photo has one, and hashes decide alone."""
    own: Sequence[Product]
    """The products whose near-duplicates are left out."""
    _vectors: dict[str, Floats | None] = field(default_factory=dict)
    """By photo; None = it has none."""

    async def groups(self, products: Sequence[Product], record: SearchRecord) -> list[Group]:
        """The groups of products, nearest first, without those of the query's own products."""
        everything, before = [*self.own, *products], len(self.own)
        hashes = [product.image_hash for product in everything]
        pairs = look_alikes(hashes)
        if not pairs and not any(product.content.parent_id for product in everything):
            # As in most answers: nothing is like anything else.
            return [Group(place) for place in range(len(products))]
        await self._read(
            {
                everything[place].images[0].image_id
                for one, other in pairs
                if not duplicates.same_picture(hashes[one], hashes[other])
                for place in (one, other)
            },
            record,
        )
        marks: dict[int, list[int]] = defaultdict(list)
        for number, (one, other) in enumerate(pairs):
            cosine = self._cosine(everything[one], everything[other])
            if duplicates.same_picture(hashes[one], hashes[other], cosine):
                marks[one].append(number)
                marks[other].append(number)
        # Without hashes: the marks say already which pictures are the same, all pairs at a time.
        groups = duplicates.collapse(
            Candidate(
                product.content.product_id, product.content.parent_id, marks=marks.get(place, ())
            )
            for place, product in enumerate(everything)
        )
        return [
            Group(group.place - before, group.collapsed)
            for group in groups
            if group.place >= before
        ]

    async def _read(self, image_ids: set[str], record: SearchRecord) -> None:
        unknown = sorted(image_ids - self._vectors.keys())
        if unknown and self.generation is not None:
            found = await record.image_vectors(self.generation, unknown)
            self._vectors.update({image_id: found.get(image_id) for image_id in unknown})

    def _cosine(self, one: Product, other: Product) -> float | None:
        left = self._vectors.get(one.images[0].image_id)
        right = self._vectors.get(other.images[0].image_id)
        if left is None or right is None:
            return None
        return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def look_alikes(hashes: Sequence[int]) -> list[tuple[int, int]]:
    """Places of pairs of hashes that are of one picture, or may be if the vectors agree.

    By colour first, which sets most pairs apart and is one byte.
    """
    values = np.array(hashes, np.uint64)
    held = np.flatnonzero(values)
    values = values[held]
    colours = (values & np.uint64(_COLOURS)).astype(np.uint8)
    rows, columns = np.nonzero(np.triu(_ONES[colours[:, None] ^ colours] <= duplicates.COLOUR, 1))
    differing = (values[rows] ^ values[columns]) >> np.uint64(duplicates.COLOUR_BITS)
    luminance = _ONES[differing.view(np.uint8).reshape(-1, 8)].sum(axis=1)
    near = np.flatnonzero(luminance <= duplicates.POSSIBLE)
    return list(zip(held[rows[near]].tolist(), held[columns[near]].tolist(), strict=True))
