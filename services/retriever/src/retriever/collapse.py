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


@dataclass(slots=True)
class Grouping:
    """Groups the products of one search, anew whenever it found more."""

    generation: Generation
    own: Product | None
    """The product whose near-duplicates are left out; None = none is."""
    _vectors: dict[str, Floats | None] = field(default_factory=dict)
    """By photo; None = it has none."""

    async def groups(self, products: Sequence[Product], record: SearchRecord) -> list[Group]:
        """The groups of products, nearest first, without that of the query's own product."""
        everything = [self.own, *products] if self.own is not None else [*products]
        hashes = [product.image_hash for product in everything]
        pairs = doubtful(hashes)
        photos = {everything[place].images[0].image_id for pair in pairs for place in pair}
        await self._read(photos, record)
        marks: dict[int, list[int]] = defaultdict(list)
        for number, (one, other) in enumerate(pairs):
            cosine = self._cosine(everything[one], everything[other])
            if duplicates.same_picture(hashes[one], hashes[other], cosine):
                marks[one].append(number)
                marks[other].append(number)
        groups = duplicates.collapse(
            Candidate(
                product.content.product_id,
                product.content.parent_id,
                hashes[place],
                marks.get(place, ()),
            )
            for place, product in enumerate(everything)
        )
        if self.own is None:
            return list(groups)
        return [Group(group.place - 1, group.collapsed) for group in groups if group.place]

    async def _read(self, image_ids: set[str], record: SearchRecord) -> None:
        unknown = sorted(image_ids - self._vectors.keys())
        if unknown:
            found = await record.image_vectors(self.generation, unknown)
            self._vectors.update({image_id: found.get(image_id) for image_id in unknown})

    def _cosine(self, one: Product, other: Product) -> float | None:
        left = self._vectors[one.images[0].image_id]
        right = self._vectors[other.images[0].image_id]
        if left is None or right is None:
            return None
        return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def doubtful(hashes: Sequence[int]) -> list[tuple[int, int]]:
    """Places of pairs of hashes that are neither surely nor surely not of one picture."""
    values = np.array(hashes, ">u8")
    held = np.flatnonzero(values)
    bits = np.unpackbits(values[held, None].view(np.uint8), axis=1)
    luminance = _distances(bits[:, : duplicates.LUMINANCE_BITS])
    near = (luminance > duplicates.CERTAIN) & (luminance <= duplicates.POSSIBLE)
    near &= _distances(bits[:, duplicates.LUMINANCE_BITS :]) <= duplicates.COLOUR
    rows, columns = np.nonzero(np.triu(near, 1))
    return [(int(held[one]), int(held[other])) for one, other in zip(rows, columns, strict=True)]


def _distances(bits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Floats:
    """In how many bits each row differs from each other one.

    Of bits written as 1 and −1 the inner product is those that agree less those that differ.
    """
    signs = bits.astype(np.float32) * 2 - 1
    return np.asarray((bits.shape[1] - signs @ signs.T) / 2, np.float32)
