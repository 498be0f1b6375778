"""Storage of vectors from callers, and lists of products' vectors for training."""

from collections.abc import Sequence
from dataclasses import dataclass

from retriever.domain.errors import SpaceUnavailable, VectorInvalid, VersionMismatch
from retriever.domain.generation import Generation
from retriever.domain.vectors import Floats, GivenVector, VectorWrite, check_vector
from retriever.record import Record
from servicekit.errors import ServiceError
from servicekit.rpc import requests
from servicekit.rpc.requests import check_count

MAX_VECTORS = 1_000
DEFAULT_PAGE = 500
MAX_PAGE = 1_000
"""5 MB of 1,280 dimensions."""


async def upsert_vectors(
    catalog_id: str,
    given: Sequence[tuple[str, str, GivenVector]],
    record: Record,
) -> tuple[list[ServiceError | None], int]:
    """Store (product id, image id, vector), each with an outcome of its own; and the newest seq."""
    check_count("vectors", len(given), MAX_VECTORS)
    outcomes: list[ServiceError | None] = [None] * len(given)
    batches: dict[tuple[str, str], tuple[Generation, list[int], list[VectorWrite]]] = {}
    live = await record.generations(catalog_id)
    for position, (product_id, image_id, vector) in enumerate(given):
        try:
            generation = _holder(vector, live)
            values = check_vector(vector, generation.dimension, f"vectors[{position}].vector")
            if generation.of_products and image_id:
                path = f"vectors[{position}].image_id"
                raise VectorInvalid.at(path, "must be empty: this space has one vector a product")
        except ServiceError as error:
            outcomes[position] = error
            continue
        version = vector.space, vector.space_version
        _, positions, writes = batches.setdefault(version, (generation, [], []))
        positions.append(position)
        writes.append(VectorWrite(image_id, values, product_id))
    seq = 0
    for generation, positions, writes in batches.values():
        results, newest = await record.save_vectors(generation, writes)
        seq = max(seq, newest)
        for position, result in zip(positions, results, strict=True):
            outcomes[position] = result
    return outcomes, seq


def _holder(vector: GivenVector, live: Sequence[Generation]) -> Generation:
    """Return a generation of the vector's version: during a roll-out a space has two."""
    held = [each for each in live if each.space == vector.space]
    if not held:
        raise SpaceUnavailable(vector.space)
    for generation in held:
        if generation.space_version == vector.space_version:
            return generation
    active = next((each.space_version for each in held if each.active), "")
    raise VersionMismatch(vector.space_version, active)


@dataclass(frozen=True, slots=True)
class VectorPage:
    """Some products with their vectors."""

    generation: Generation
    """Generation of the vectors, the same on every page."""
    means: list[tuple[str, Floats]]
    """The mean of each product's photo vectors, or its own vector; ascending product ids."""
    next_token: str
    """Empty on the last page."""


async def list_vectors(
    catalog_id: str, space: str, record: Record, *, page_size: int, page_token: str
) -> VectorPage:
    """Return a page of the products that have a vector of the space's active generation.

    Later pages use the generation of the first one, even after another became active: vectors of
    two versions are not comparable. Raises SpaceUnavailable when there is none, or that one was
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
