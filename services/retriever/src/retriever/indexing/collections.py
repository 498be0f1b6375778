"""Collections in the engine: creation, loading, migration to the current shape."""

from dataclasses import replace

from retriever.domain.collection_names import new_collection, shape_of, shaped
from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import GenerationNotFound
from retriever.domain.generation import TEXT_SPACE, Generation, GenerationState
from retriever.domain.index_values import CollectionState
from retriever.indexing.reconcile import reconcile
from retriever.ports.engine import VectorIndex
from retriever.record import Record
from servicekit.sql.leases import Lease
from servicekit.telemetry import get_logger

log = get_logger()


async def ensure_generation(
    catalog_id: str, space: EmbeddingSpace, prefix: str, record: Record
) -> Generation:
    """Return the first generation of a space, created active if the space has none at all.

    Later ones are created by an operator who rolls a new version out.
    """
    for generation in await record.generations(catalog_id):
        if generation.space == space.space:
            return generation
    name = f"{space.space}-{space.version[:12]}-1"
    made = await record.create_generation(
        Generation(
            catalog_id=catalog_id,
            name=name,
            space=space.space,
            space_version=space.version,
            dimension=space.dimension,
            collection=new_collection(prefix, space.space),
            state=GenerationState.READY,
            active=True,
            of_products=space.space == TEXT_SPACE,
        )
    )
    log.info("generation created", generation=made.name, dimension=made.dimension)
    return made


async def open_collection(generation: Generation, index: VectorIndex) -> bool:
    """Make sure that the collection exists and is in memory. Return whether it already was."""
    match await index.state(generation.collection):
        case CollectionState.LOADED:
            return True
        case CollectionState.RELEASED:
            await index.load(generation.collection)
        case CollectionState.ABSENT:
            await index.create(generation.collection, generation.dimension, generation.parameters)
    return False


def has_present_shape(generation: Generation) -> bool:
    """Return whether the generation's collection has the columns that filters compile to now."""
    return generation.collection == shaped(generation.collection)


async def reshape(
    generation: Generation, record: Record, index: VectorIndex, leader: Lease
) -> Generation:
    """Move a generation to a collection of the present shape, and return it.

    One of an older shape is searched until the new one holds all of its rows; no photo is embedded
    again. The outbox must not be applied meanwhile. The old collection stays for searches in
    progress, until `drop_former`. Raises GenerationNotFound if the generation is dropped meanwhile.
    """
    if has_present_shape(generation):
        return generation
    wanted = shaped(generation.collection)
    made = replace(generation, collection=wanted)
    await open_collection(made, index)
    drift = await reconcile(made, record, index, leader)
    await index.flush(wanted)
    if not await record.mark(generation, collection=wanted):
        await index.drop(wanted)  # nothing names it any more
        raise GenerationNotFound
    log.info("collection reshaped", generation=made.name, collection=wanted, rows=drift.upserted)
    return made


async def drop_former(generation: Generation, index: VectorIndex) -> None:
    """Drop what earlier shapes of the generation's collection left in the engine."""
    for shape in range(1, shape_of(generation.collection)):
        former = shaped(generation.collection, shape)
        if await index.state(former) is not CollectionState.ABSENT:
            await index.drop(former)
            log.info("former collection dropped", generation=generation.name, collection=former)
