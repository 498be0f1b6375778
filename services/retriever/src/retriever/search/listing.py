"""Lists the vectors of products, for those who learn from what products look like."""

from dataclasses import dataclass

from retriever.domain.errors import SpaceUnavailable
from retriever.domain.generation import Generation
from retriever.domain.vectors import Floats
from retriever.ports.search import SearchRecord
from servicekit import requests

DEFAULT_PAGE = 500
MAX_PAGE = 1_000
"""5 MB of 1,280 dimensions."""


@dataclass(frozen=True, slots=True)
class VectorPage:
    """Some products with their vectors."""

    generation: Generation
    """Whose version the vectors are of: the same on every page."""
    means: list[tuple[str, Floats]]
    """By product id, rising: the mean of its photos' vectors, or its own."""
    next_token: str
    """Empty = this is the last page."""


async def list_vectors(
    catalog_id: str, space: str, record: SearchRecord, *, page_size: int, page_token: str
) -> VectorPage:
    """A page of the products that have a vector of the space's active generation.

    Later pages are of the generation that the first was of, also when another one became active:
    vectors of two versions are not comparable. SpaceUnavailable when there is none, or that one was
    dropped meanwhile; PageTokenInvalid.
    """
    wanted, about = requests.page_size(page_size, DEFAULT_PAGE, MAX_PAGE), (catalog_id, space)
    name, after = requests.page_place(page_token, about, str, str) or ("", "")
    generation = await record.generation(catalog_id, space, name)
    if generation is None:
        raise SpaceUnavailable(space)
    means = await record.mean_vectors(generation, after, wanted)
    last = means[-1][0] if len(means) == wanted else ""
    token = requests.page_token(about, generation.name, last) if last else ""
    return VectorPage(generation, means, token)
