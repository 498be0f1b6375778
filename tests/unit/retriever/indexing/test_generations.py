"""The registry of generations: on a real record, jobs too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retriever.domain.embedding import EmbeddingSpace
from retriever.domain.errors import (
    GenerationActive,
    GenerationExists,
    GenerationNotFound,
    GenerationNotVerified,
    GenerationsFull,
    IndexParametersInvalid,
    RollbackUnavailable,
    SpaceUnavailable,
)
from retriever.domain.generation import (
    MOST_LIVE,
    Generation,
    GenerationState,
    IndexKind,
    IndexParameters,
    VectorMetric,
    Verification,
)
from retriever.indexing import generations
from retriever.indexing.generations import BACKFILL, Demand, GenerationRequest
from retriever.record import Record
from retriever.record.rollout import LONGEST_WAIT
from retriever.wiring import job_queue
from servicekit.jobs.queue import Jobs
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.index import DIMENSION, VERSION
from tests.unit.retriever.conftest import Clock, generation, vectors, write

A, B, C = b"photo a", b"photo b", b"photo c"
GOOD = Verification((), 10, 1.0, 1.0, None, 100, 10, 10, 0, 5)
OFFERS = [
    EmbeddingSpace("visual", VERSION, DIMENSION, ready=True),
    EmbeddingSpace("visual", "V2", 4, ready=True, default=False),
]


@pytest.fixture
async def shop(record: Record) -> Record:
    """Return a record with an active generation, and an embedder that serves two versions."""
    await record.save_offers("default", OFFERS)
    await record.create_generation(generation())
    return record


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return job_queue(db)


async def second(record: Record, name: str = "two", **fields: object) -> Generation:
    """Return another generation, verified and completely filled."""
    order = GenerationRequest("visual", name, "V2")
    made = (await generations.create("default", order, "p", record)).generation
    await record.end_backfill(made)
    await record.save_verification(made, replace(GOOD, **fields))  # type: ignore[arg-type]
    return await record.find_generation("default", name)


async def active(record: Record) -> str:
    """Return the name of the only active generation."""
    (found,) = [each for each in await record.generations("default") if each.active]
    return found.name


# Create


async def test_a_new_generation_is_building_and_reached_by_every_write(shop: Record) -> None:
    await shop.write("default", [write("old", A)])
    made = await generations.create(
        "default", GenerationRequest("visual", space_version="V2"), "p", shop
    )
    found = made.generation
    assert (found.name, found.state, found.active) == (
        "visual-v2-1",
        GenerationState.BUILDING,
        False,
    )
    assert (found.dimension, found.parameters) == (4, IndexParameters())
    assert (made.indexed, made.pending) == (0, 0)  # what was there takes a backfill
    await shop.write("default", [write("new", B)])
    assert [item.item_id for item in await shop.due(found, 10)] == [image_id(B)]


async def test_names_are_made_one_after_another_and_never_again(shop: Record) -> None:
    names = []
    for _ in range(2):
        made = await generations.create(
            "default", GenerationRequest("visual", space_version="V2"), "p", shop
        )
        names.append(made.generation.name)
        await shop.retire("default", names[-1])
    assert names == ["visual-v2-1", "visual-v2-2"]
    with pytest.raises(GenerationExists):
        await generations.create("default", GenerationRequest("visual", names[0], "V2"), "p", shop)


async def test_without_a_version_the_default_one_is_taken(shop: Record) -> None:
    made = await generations.create("default", GenerationRequest("visual", "again"), "p", shop)
    assert made.generation.space_version == VERSION
    assert made.generation.collection != (await shop.generation("default", "visual")).collection  # type: ignore[union-attr]


async def test_a_version_that_is_not_served_is_refused_and_the_served_are_named(
    shop: Record,
) -> None:
    with pytest.raises(SpaceUnavailable, match=f"it serves V2, {VERSION}"):
        await generations.create(
            "default", GenerationRequest("visual", space_version="V9"), "p", shop
        )
    with pytest.raises(SpaceUnavailable, match="it serves none"):
        await generations.create("default", GenerationRequest("text"), "p", shop)


@pytest.mark.parametrize("name", ["A", "a b", "a" * 65, "é"])
async def test_a_name_of_other_characters_is_refused(shop: Record, name: str) -> None:
    with pytest.raises(RequestInvalid, match="name"):
        await generations.create("default", GenerationRequest("visual", name), "p", shop)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (IndexParameters(kind=IndexKind.HNSW, m=3), "parameters.m"),
        (
            IndexParameters(kind=IndexKind.HNSW, ef_construction=513),
            "parameters.ef_construction",
        ),
        (IndexParameters(kind=IndexKind.HNSW, ef=-1), "parameters.ef"),
        (IndexParameters(partitions=65), "parameters.partitions"),
    ],
)
async def test_parameters_out_of_range_are_refused(
    shop: Record, parameters: IndexParameters, field: str
) -> None:
    order = GenerationRequest("visual", parameters=parameters)
    with pytest.raises(IndexParametersInvalid) as caught:
        await generations.create("default", order, "p", shop)
    assert [each.field for each in caught.value.violations] == [field]


async def test_what_a_generation_is_made_of_is_kept(shop: Record) -> None:
    hnsw = IndexParameters(
        VectorMetric.L2, IndexKind.HNSW, m=8, ef_construction=64, ef=32, partitions=4
    )
    await generations.create("default", GenerationRequest("visual", "g", "V2", hnsw), "p", shop)
    found = await shop.find_generation("default", "g")
    assert found.parameters == hnsw


async def test_a_space_has_only_so_many_generations_at_a_time(shop: Record) -> None:
    for number in range(MOST_LIVE - 1):
        await generations.create(
            "default", GenerationRequest("visual", f"g{number}", "V2"), "p", shop
        )
    with pytest.raises(GenerationsFull):
        await generations.create("default", GenerationRequest("visual", "more", "V2"), "p", shop)
    await shop.retire("default", "g0")
    await generations.create("default", GenerationRequest("visual", "more", "V2"), "p", shop)


# Activate and roll back


async def test_activation_and_rollback_swap_the_two(shop: Record, clock: Clock) -> None:
    clock.now += 1
    await second(shop)
    made = await generations.activate("default", "two", shop, force=False)
    assert (made.generation.active, made.generation.activated) == (True, clock.now)
    assert not made.generation.forced
    listed = await shop.statuses("default", "visual", dropped=False)
    assert [(each.generation.name, each.previous) for each in listed] == [
        ("visual-1", True),
        ("two", False),
    ]
    back = await generations.rollback("default", "visual", shop)
    assert back.generation.name == await active(shop) == "visual-1"
    with pytest.raises(RollbackUnavailable):
        await generations.rollback("default", "visual", shop)
    assert await active(shop) == "visual-1"


async def test_rolling_back_twice_goes_back_two_generations(shop: Record) -> None:
    await second(shop, "two")
    await second(shop, "three")
    for name in ("two", "three"):
        await generations.activate("default", name, shop, force=False)
    names = [(await generations.rollback("default", "visual", shop)).generation.name for _ in "ab"]
    assert names == ["two", "visual-1"]


async def test_activating_the_active_one_changes_nothing(shop: Record) -> None:
    await second(shop)
    for _ in range(2):
        made = await generations.activate("default", "two", shop, force=False)
    assert made.generation.predecessor == "visual-1"


@pytest.mark.parametrize(
    "why", ["building", "unverified", "failed", "waiting", "behind", "young and waiting"]
)
async def test_what_is_not_known_to_be_good_is_not_activated(
    shop: Record, clock: Clock, why: str
) -> None:
    order = GenerationRequest("visual", "two", "V2")
    made = (await generations.create("default", order, "p", shop)).generation
    if why != "building":
        await shop.end_backfill(made)
    if why != "unverified":
        findings = ("recall is poor",) if why == "failed" else ()
        await shop.save_verification(made, replace(GOOD, findings=findings))
    if why in ("waiting", "behind", "young and waiting"):
        await shop.write("default", [write("a", A)])
    if why == "behind":
        await shop.save_vectors(made, vectors(A))
    clock.now += LONGEST_WAIT + (0 if why == "young and waiting" else 1)
    if why == "young and waiting":
        assert (await shop.activate("default", "two", force=False)).active
        return
    with pytest.raises(GenerationNotVerified):
        await generations.activate("default", "two", shop, force=False)
    assert await active(shop) == "visual-1"
    forced = await generations.activate("default", "two", shop, force=True)
    assert forced.generation.forced
    assert await active(shop) == "two"


async def test_force_is_reported_only_where_it_was_needed(shop: Record) -> None:
    await second(shop)
    assert not (await generations.activate("default", "two", shop, force=True)).generation.forced


async def test_a_photo_that_fails_for_a_reason_of_its_own_holds_up_no_activation(
    shop: Record, clock: Clock
) -> None:
    made = await second(shop)
    await shop.write("default", [write("a", A)])
    for change in await shop.changes(made, 10):
        await shop.advance(made, change)
    await shop.postpone(made, [image_id(A)], 1.0, "INTERNAL")
    clock.now += LONGEST_WAIT + 1
    assert (await shop.activate("default", "two", force=False)).active


# Drop


async def test_the_active_one_is_not_dropped(shop: Record, jobs: Jobs) -> None:
    with pytest.raises(GenerationActive):
        await generations.drop("default", "visual-1", shop, jobs)
    with pytest.raises(GenerationNotFound):
        await generations.drop("default", "nobody", shop, jobs)


async def test_a_dropped_one_is_listed_only_when_asked_for_and_cleared_by_one_job(
    shop: Record, jobs: Jobs
) -> None:
    await second(shop)
    for _ in range(2):
        made = await generations.drop("default", "two", shop, jobs)
        assert made.generation.state is GenerationState.DROPPED
    assert len(await jobs.list(kinds=(generations.DROP,))) == 1
    assert len(await shop.statuses("default", "", dropped=False)) == 1
    assert len(await shop.statuses("default", "", dropped=True)) == 2
    for call in (
        shop.find_generation("default", "two"),
        shop.activate("default", "two", force=True),
    ):
        with pytest.raises(GenerationNotFound):
            await call


async def test_vectors_go_with_the_last_generation_of_their_version(shop: Record) -> None:
    await shop.write("default", [write("a", A), write("b", B), write("c", C)])
    one, two = await second(shop, "one"), await second(shop, "two")
    await shop.save_vectors(one, vectors(A, B))
    await shop.retire("default", "one")
    assert await shop.discard(one, 10) == 0
    assert await shop.row_count(two) == 2
    await shop.retire("default", "two")
    assert [await shop.discard(two, 1) for _ in range(3)] == [1, 1, 0]
    assert await shop.row_count(two) == 0
    (kept,) = await shop.generations("default")
    assert len(await shop.due(kept, 10)) == 3  # nothing of another version was touched


async def test_a_vector_that_comes_after_the_drop_is_not_kept(shop: Record) -> None:
    await shop.write("default", [write("a", A)])
    made = await second(shop)
    await shop.retire("default", "two")
    outcomes, _ = await shop.save_vectors(made, vectors(A))
    assert [type(outcome) for outcome in outcomes] == [GenerationNotFound]
    assert await shop.row_count(made) == 0


# Jobs


async def test_a_generation_has_one_open_job_of_a_kind(shop: Record, jobs: Jobs) -> None:
    await second(shop)
    first = await generations.backfill("default", "two", shop, jobs, request_id="r")
    again = await generations.backfill("default", "two", shop, jobs, request_id="other")
    other = await generations.backfill("default", "visual-1", shop, jobs, request_id="r")
    assert first.id == again.id != other.id
    await jobs.cancel(first.id)
    renewed = await generations.backfill("default", "two", shop, jobs, request_id="new")
    assert renewed.id != first.id
    assert {job.kind for job in await jobs.list()} == {BACKFILL}
    with pytest.raises(GenerationNotFound):
        await generations.backfill("default", "nobody", shop, jobs, request_id="")


@pytest.mark.parametrize(
    ("demand", "field"),
    [
        (Demand(sample_size=-1), "sample_size"),
        (Demand(k=1_001), "k"),
        (Demand(min_recall=1.5), "min_recall"),
    ],
)
async def test_a_verification_out_of_range_is_refused(
    shop: Record, jobs: Jobs, demand: Demand, field: str
) -> None:
    with pytest.raises(RequestInvalid, match=field):
        await generations.verify("default", "visual-1", demand, shop, jobs, request_id="")
