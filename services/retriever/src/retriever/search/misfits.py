"""Photos that do not fit their product, found page by page over a whole catalog."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retriever.domain.errors import SpaceUnavailable
from retriever.domain.generation import Generation
from retriever.domain.index_values import Collapse, IndexRow
from retriever.domain.misfits import MIN_LEAD, Misfit, Nearest, misfits
from retriever.domain.vectors import GivenVector
from retriever.search.fallback.chain import Remaining
from retriever.search.query import SearchQuery
from retriever.search.search import Searcher, search
from servicekit.rpc import requests
from servicekit.rpc.requests import RequestInvalid

DEFAULT_EXAMINED, MOST_EXAMINED = 50, 200
MOST_RELATIVES = 20
"""Products that a search returns: variants of the photo's own product are not counted as others."""
MOST_LEAD = 2.0
"""Largest difference of two cosines."""
AT_ONCE = 4
"""Searches of a page that run at the same time."""


@dataclass(frozen=True, slots=True)
class MisfitPage:
    """Result for some products."""

    generation: Generation
    """Generation of the vectors, the same on every page."""
    found: Sequence[Misfit]
    """By product, in the order of the ids."""
    examined: int
    """Products with at least two photos that were examined."""
    next_token: str
    """Empty on the last page."""


async def find_misfits(
    catalog_id: str,
    space: str,
    deps: Searcher,
    remaining: Remaining,
    *,
    page_size: int,
    page_token: str,
    min_lead: float | None,
) -> MisfitPage:
    """Return the photos of some products that do not fit them.

    `page_size`: products that are looked at; those without two photos have nothing to compare.
    Later pages use the generation of the first one. Raises SpaceUnavailable if there is none, or
    that one was dropped meanwhile; PageTokenInvalid; RequestInvalid; errors of a search.
    """
    least = MIN_LEAD if min_lead is None else min_lead
    if not 0 <= least <= MOST_LEAD:  # NaN fails every comparison
        raise RequestInvalid.at("min_lead", "must be 0 to 2")
    wanted = requests.page_size(page_size, DEFAULT_EXAMINED, MOST_EXAMINED)
    about = (catalog_id, space, str(least))
    name, after = requests.page_place(page_token, about, str, str) or ("", "")
    generation = await deps.record.generation(catalog_id, space, name)
    if generation is None or generation.of_products:
        raise SpaceUnavailable(space)
    ids = [item for item, _ in await deps.record.mean_vectors(generation, after, wanted)]
    products = _by_product(await deps.record.rows(generation, ids))
    turn = asyncio.Semaphore(AT_ONCE)

    async def judged(rows: Sequence[IndexRow]) -> list[Misfit]:
        async def nearest(row: IndexRow) -> Nearest | None:
            async with turn:
                return await _nearest(row, generation, deps, remaining)

        others = await asyncio.gather(*map(nearest, rows))
        vectors = np.stack([row.vector for row in rows])
        images = [row.image_id for row in rows]
        return misfits(rows[0].product_id, images, vectors, others, least)

    pages = [await judged(products[item]) for item in ids if len(products.get(item, ())) > 1]
    last = ids[-1] if len(ids) == wanted else ""
    token = requests.page_token(about, generation.name, last) if last else ""
    return MisfitPage(generation, [each for page in pages for each in page], len(pages), token)


def _by_product(rows: Sequence[IndexRow]) -> Mapping[str, list[IndexRow]]:
    found = dict[str, list[IndexRow]]()
    for row in sorted(rows, key=lambda each: each.row_id):
        found.setdefault(row.product_id, []).append(row)
    return found


async def _nearest(
    row: IndexRow, generation: Generation, deps: Searcher, remaining: Remaining
) -> Nearest | None:
    """Return the nearest photo of a product that is no variant of the row's; None: there is none
    among the first."""
    given = GivenVector(
        generation.space,
        generation.space_version,
        generation.dimension,
        row.vector.astype("<f4").tobytes(),
    )
    query = SearchQuery(
        generation.catalog_id,
        vector=given,
        top_k=MOST_RELATIVES,
        excluded=(row.product_id,),
        generation=generation.name,
        collapse=Collapse.OFF,
    )
    found = (await search(query, deps, remaining)).candidates
    table, ids = found.view.table, found.product_ids
    own, *families = table.families(table.places([row.product_id, *ids])).tolist()
    for product_id, family, image_id, similarity in zip(
        ids, families, found.image_ids, found.similarities, strict=True
    ):
        if family != own:
            return Nearest(product_id, image_id, float(similarity))
    return None
