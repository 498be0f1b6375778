"""Agreement of stored vectors with those of the same photos or texts, embedded again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from retriever.domain import errors
from retriever.domain.index_values import IndexRow
from retriever.domain.vectors import Floats, GivenVector
from retriever.indexing.verification.case import Case
from servicekit.errors import ServiceError

EMBED = 16
"""Photos of one call to the embedder."""


@dataclass(slots=True)
class Agreement:
    """Agreement of the stored vectors with those embedded again."""

    count: int = 0
    least: float = 1.0
    lost: int = 0
    """Photos that could not be read or embedded."""


async def embed_again(case: Case, sample: Sequence[IndexRow]) -> Agreement:
    """Compare stored vectors with those of the photos, or texts, as they are embedded now."""
    found, made, tools = Agreement(), case.generation, case.tools
    if made.given:  # only the caller that supplied them could compute them again
        await case.advance(len(sample))
        return found
    kinds = await _kinds(case)
    for start in range(0, len(sample), EMBED):
        some = sample[start : start + EMBED]
        sources = await (_texts(case, some) if made.of_texts else _photos(case, some, found))
        if sources:
            contents = [content for content, _ in sources]
            given = [
                await tools.embedder.embed(
                    made.catalog_id, made.space, made.space_version, contents, shoppers=shoppers
                )
                for shoppers in kinds
            ]
            for (_, vector), *results in zip(sources, *given, strict=True):
                _compare(vector, results, found)
        await case.advance(len(some))
    return found


async def _kinds(case: Case) -> list[Collection[int]]:
    """Return the kinds of photos to embed again, by the places of shoppers' photos: as the
    catalog's and, if the version knows tags of shoppers' photos, as shoppers'.

    The products may no longer tell which kind a photo was when it was embedded.
    """
    made = case.generation
    offers = await case.tools.embedder.spaces(made.catalog_id)
    version = made.space, made.space_version
    tagged = any(
        each.shopper_photo_tags for each in offers if (each.space, each.version) == version
    )
    return [(), range(EMBED)] if tagged else [()]


async def _photos(
    case: Case, rows: Sequence[IndexRow], found: Agreement
) -> list[tuple[bytes | str, Floats]]:
    """Yield the rows' photos with their stored vectors; unreadable ones are noted."""
    read: list[tuple[bytes | str, Floats]] = []
    for row in rows:
        try:
            data = await case.tools.photos.get(case.generation.catalog_id, row.image_id)
            read.append((data, row.vector))
        except (errors.ImageNotFound, errors.ImageDamaged):
            found.lost += 1
    return read


async def _texts(case: Case, rows: Sequence[IndexRow]) -> list[tuple[bytes | str, Floats]]:
    """Yield the rows' texts with their stored vectors, except those waiting for a new one."""
    product_ids = [row.product_id for row in rows]
    found = await case.tools.record.embedded_texts(case.generation, product_ids)
    return [*found.values()]


def _compare(
    stored: Floats, results: Sequence[GivenVector | ServiceError], found: Agreement
) -> None:
    """Compare stored and new vectors.

    Raises EmbedderUnavailable, VersionMismatch, which are not the items' fault.
    """
    best = -1.0
    for result in results:
        if isinstance(result, errors.EmbedderUnavailable | errors.VersionMismatch):
            raise result
        if not isinstance(result, GivenVector):
            found.lost += 1
            return
        best = max(best, _cosine(stored, np.frombuffer(result.data, dtype="<f4")))
    found.count += 1
    found.least = min(found.least, best)


def _cosine(left: Floats, right: Floats) -> float:
    """Return the cosine of two vectors; −1 if they can't be compared."""
    if left.shape != right.shape:
        return -1.0
    lengths = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    value = float(left @ right) / lengths if lengths else -1.0
    return value if np.isfinite(value) else -1.0
