"""Vectors that callers give, stored."""

from collections.abc import Sequence

from retriever.domain.errors import SpaceUnavailable, VectorInvalid, VersionMismatch
from retriever.domain.generation import Generation
from retriever.domain.vectors import GivenVector, VectorWrite, check_vector
from retriever.ports.search import SearchRecord
from servicekit.errors import ServiceError
from servicekit.requests import check_count

MAX_VECTORS = 1_000


async def upsert_vectors(
    catalog_id: str,
    given: Sequence[tuple[str, str, GivenVector]],
    record: SearchRecord,
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
    """A generation of the vector's version: during a roll-out a space has two."""
    held = [each for each in live if each.space == vector.space]
    if not held:
        raise SpaceUnavailable(vector.space)
    for generation in held:
        if generation.space_version == vector.space_version:
            return generation
    active = next((each.space_version for each in held if each.active), "")
    raise VersionMismatch(vector.space_version, active)
