"""The answer to a request, with the counts of its facets."""

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from sightline_client import SightlineClient
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_client.values.answers import Listing, Recommendations, SearchResults
from sightline_client.values.facets import Facet
from sightline_client.values.parts import FacetQuery
from sightline_client.values.scenes import SceneList
from sightline_console.screens.asked import SORTS, Asked

Found: TypeAlias = Recommendations | SearchResults | Listing
FACETS = tuple(FacetQuery(name, top=8) for name in ("category", "brand", "price", "tags"))
"""Fields whose values are counted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The products of a request, and what stands beside them."""

    found: Found
    counted: Listing | None
    """Counts of the values of fields over all products that pass the filter. None: unknown."""
    listed: SceneList | None
    """The scenes; None: unknown, as where the user may not list them."""

    @property
    def next_page(self) -> str:
        """Token of the next page; empty: there is none."""
        return "" if isinstance(self.found, SearchResults) else self.found.next_page_token

    @property
    def is_ranked(self) -> bool:
        """True if a scene ordered the products."""
        return isinstance(self.found, Recommendations)

    @property
    def facets(self) -> list[Facet]:
        """Counted fields that have values."""
        return [each for each in self.counted.facets if each.values] if self.counted else []

    @property
    def is_of_no_product(self) -> bool:
        """True if no product of the catalog passes at all."""
        counted = self.counted
        return not self.found.results and counted is not None and not counted.product_count


async def answer(
    client: SightlineClient, asked: Asked, photo: bytes | None, language: str
) -> Answer:
    """Return the answer to a request. Raises AskedInvalid, SightlineError."""
    found, counted, scenes = await asyncio.gather(
        _found(client, asked, photo, language),
        _counted(client, asked, language),
        listed_scenes(client),
    )
    return Answer(found, counted, scenes)


async def _found(
    client: SightlineClient, asked: Asked, photo: bytes | None, language: str
) -> Found:
    if asked.sort not in SORTS:
        return await client.recommend(page_token=asked.page, **asked.recommending(photo, language))
    if asked.has_signal:
        return await client.search(**asked.searching(photo, language))
    return await client.listing(page_token=asked.page, **asked.listing(language))


async def _counted(client: SightlineClient, asked: Asked, language: str) -> Listing | None:
    if asked.page:
        return None
    options = asked.sorted_by("").without("photo", "size").listing(language)
    options["page_size"], options["facets"] = 1, FACETS
    try:
        return await client.listing(**options)
    except Unauthenticated:
        raise
    except SightlineError:
        return None  # an answer without counts is better than none


async def listed_scenes(client: SightlineClient) -> SceneList | None:
    """Return the scenes, and what steers the catalog; None where the user may not list them."""
    try:
        return await client.list_scenes()
    except Unauthenticated:
        raise
    except SightlineError:
        return None
