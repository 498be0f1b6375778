"""The use case, with a model in this process."""

import asyncio

import numpy as np
import pytest

from embedder.domain.errors import (
    BatchInvalid,
    DeadlinePassed,
    EmbedderUnavailable,
    ModelFailed,
)
from embedder.domain.items import Embedding, Item, Priority
from embedder.domain.models import version_of
from embedder.domain.photos import Box, Camera, PhotoView
from embedder.embedding.embed import ItemEmbedder
from servicekit.outbound.fetch import UriUnreadable
from servicekit.telemetry import Stages
from tests.fakes.embedding import FakeIntake, embedder_of
from tests.fakes.triton import (
    DESCRIPTION,
    RECIPE,
    FakeFetch,
    FakeInference,
    vectors,
)
from tests.unit.embedder.embedding.conftest import reasons, run, shades
from tests.waiting import SECONDS


async def test_each_photo_gets_its_own_vector_in_its_own_place(embedder: ItemEmbedder) -> None:
    outcomes = await run(embedder, shades(11))
    for place, outcome in enumerate(outcomes):
        assert isinstance(outcome, Embedding)
        pixels = (
            await FakeIntake().see(
                bytes([place + 1]), RECIPE, PhotoView(), Stages("test"), "default"
            )
        ).pixels
        assert np.allclose(outcome.values, vectors(pixels, 12)[0])
        assert (outcome.space, outcome.version) == ("visual", version_of(DESCRIPTION, "1"))


async def test_a_bad_item_never_fails_the_rest(embedder: ItemEmbedder) -> None:
    outcomes = await run(
        embedder,
        [
            Item(photo=b"a"),
            Item(photo=b""),
            Item(photo=b"b", space="visual"),
            Item(photo=b"cut"),
            Item(photo=b"far too large"),
            Item(text="a red wine"),
            Item(text="a red wine", space="text"),
            Item(text="a red wine", space="visual"),
            Item(text=""),
            Item(text="x" * 4097),
            Item(photo=b"c", space="text"),
            Item(photo=b"c", space="x-ray"),
            Item(),
            Item(photo=b"d"),
        ],
    )
    assert reasons(outcomes) == [
        "",
        "IMAGE_UNDECODABLE",
        "",
        "IMAGE_UNDECODABLE",
        "IMAGE_TOO_LARGE",
        "SPACE_UNAVAILABLE",
        "SPACE_UNAVAILABLE",
        "SPACE_UNAVAILABLE",
        "TEXT_INVALID",
        "TEXT_INVALID",
        "SPACE_UNAVAILABLE",
        "SPACE_UNAVAILABLE",
        "ITEM_EMPTY",
        "",
    ]


@pytest.mark.parametrize(("ours", "theirs", "most"), [(4, 4, 4), (3, 8, 3), (64, 5, 5)])
async def test_photos_go_to_a_busy_model_in_batches_of_the_smaller_limit(
    inference: FakeInference, ours: int, theirs: int, most: int
) -> None:
    inference.change(max_batch=theirs)
    await run(embedder_of(inference, batch=ours, places=2), shades(20))
    assert max(inference.batches) == most
    assert sum(inference.batches) == 20
    assert len(inference.batches) <= 2 + -(-18 // most)


async def test_photos_of_several_calls_go_to_the_model_together(inference: FakeInference) -> None:
    embedder = embedder_of(inference, places=2)
    inference.gate = asyncio.Event()
    calls = [asyncio.create_task(run(embedder, [shade])) for shade in shades(10)]
    await asyncio.wait_for(inference.started.wait(), SECONDS)
    for _ in range(50):  # by then all the others wait too
        await asyncio.sleep(0)
    inference.gate.set()
    for place, outcome in enumerate(await asyncio.gather(*calls)):
        pixels = (
            await FakeIntake().see(
                bytes([place + 1]), RECIPE, PhotoView(), Stages("test"), "default"
            )
        ).pixels
        assert isinstance(outcome[0], Embedding)
        assert np.allclose(outcome[0].values, vectors(pixels, 12)[0])
    assert inference.batches == [1, 1, 4, 4]


async def test_a_photo_that_came_before_costs_no_second_inference(inference: FakeInference) -> None:
    embedder = embedder_of(inference, cache_bytes=2**20)
    first, again = [await run(embedder, [Item(photo=b"a")]) for _ in range(2)]
    assert isinstance(first[0], Embedding)
    assert isinstance(again[0], Embedding)
    assert (first[0].values == again[0].values).all()
    assert inference.batches == [1]


@pytest.mark.parametrize(
    "other",
    [
        Item(photo=b"b"),
        Item(photo=b"a", views=2),
        Item(photo=b"a", box=Box(0, 0, 0.5, 0.5)),
        Item(photo=b"a", camera=Camera.CATALOGUE),
        Item(photo=b"a", guesses=3),
        Item(photo=b"a", version=version_of(DESCRIPTION, "1")),
    ],
)
async def test_a_photo_asked_for_in_another_way_is_another_one(
    inference: FakeInference, other: Item
) -> None:
    embedder = embedder_of(inference, cache_bytes=2**20)
    for item in (Item(photo=b"a"), other):
        assert reasons(await run(embedder, [item])) == [""]
    assert len(inference.batches) == 2


async def test_bulk_work_is_always_done_anew(inference: FakeInference) -> None:
    embedder = embedder_of(inference, cache_bytes=2**20)
    for priority in (Priority.INTERACTIVE, Priority.BULK, Priority.BULK):
        await run(embedder, [Item(photo=b"a")], priority=priority)
    assert inference.batches == [1, 1, 1]


async def test_a_batch_of_only_bad_items_asks_the_model_nothing(
    embedder: ItemEmbedder, inference: FakeInference
) -> None:
    await run(embedder, [Item(photo=b""), Item(text="x")])
    assert (inference.described, inference.batches) == (0, [])
    await run(embedder, [Item(photo=b"cut")])
    assert inference.batches == []


@pytest.mark.parametrize("count", [0, 65])
async def test_no_items_and_too_many_are_refused_as_a_whole(
    embedder: ItemEmbedder, count: int
) -> None:
    with pytest.raises(BatchInvalid):
        await run(embedder, shades(count))


async def test_sixty_four_items_are_taken(embedder: ItemEmbedder) -> None:
    assert reasons(await run(embedder, shades(64))) == [""] * 64


async def test_while_the_model_is_silent_good_photos_say_so_and_bad_ones_what_they_are(
    embedder: ItemEmbedder, inference: FakeInference
) -> None:
    inference.silence = EmbedderUnavailable("down")
    outcomes = await run(embedder, [Item(photo=b"a"), Item(photo=b""), Item(text="x")])
    assert reasons(outcomes) == ["EMBEDDER_UNAVAILABLE", "IMAGE_UNDECODABLE", "SPACE_UNAVAILABLE"]


async def test_a_failed_inference_fails_the_photos_in_it_and_keeps_their_neighbours_reasons(
    embedder: ItemEmbedder, inference: FakeInference
) -> None:
    inference.error = ModelFailed("broke")
    outcomes = await run(embedder, [Item(photo=b"a"), Item(photo=b"cut"), Item(photo=b"b")])
    assert reasons(outcomes) == ["MODEL_FAILED", "IMAGE_UNDECODABLE", "MODEL_FAILED"]


async def test_what_is_not_done_in_time_says_so_and_its_place_is_free_again(
    inference: FakeInference,
) -> None:
    embedder = embedder_of(inference, places=2)
    inference.gate = asyncio.Event()
    outcomes = await run(embedder, [*shades(12), Item(photo=b"")], seconds=0.5)
    assert reasons(outcomes) == ["DEADLINE_EXCEEDED"] * 12 + ["IMAGE_UNDECODABLE"]
    assert isinstance(outcomes[0], DeadlinePassed)
    assert inference.running == 0
    inference.gate = None
    assert reasons(await run(embedder, shades(12))) == [""] * 12


async def test_no_more_batches_run_at_once_than_there_are_places(
    inference: FakeInference,
) -> None:
    embedder = embedder_of(inference, batch=1, places=3)
    await run(embedder, shades(20), priority=Priority.BULK)
    assert inference.most_running == 2
    await run(embedder, shades(20))
    assert inference.most_running == 3


async def test_above_the_queue_s_bound_items_are_refused_and_the_others_embedded(
    inference: FakeInference,
) -> None:
    outcomes = await run(embedder_of(inference, batch=1, places=2, queue=5), shades(10))
    assert reasons(outcomes) == [""] * 5 + ["EMBED_QUEUE_FULL"] * 5


async def test_a_cancelled_call_stops_its_work(
    embedder: ItemEmbedder, inference: FakeInference
) -> None:
    inference.gate = asyncio.Event()
    task = asyncio.create_task(run(embedder, shades(8)))
    await asyncio.wait_for(inference.started.wait(), SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inference.running == 0


async def test_a_mistake_of_our_own_is_not_dressed_up_as_the_item_s(embedder: ItemEmbedder) -> None:
    with pytest.raises(ZeroDivisionError):
        await run(embedder, [Item(photo=b"bug")])
    with pytest.raises(ExceptionGroup) as caught:
        await run(embedder, [Item(photo=b"bug"), Item(photo=b"\xff\xd8\xff")])
    assert caught.value.subgroup(ZeroDivisionError) is not None


async def test_inference_is_timed(embedder: ItemEmbedder) -> None:
    stages = Stages("test")
    await embedder.embed(shades(1), "default", Priority.BULK, stages, None)
    assert [stage.name for stage in stages.finished] == ["queue", "infer"]


async def test_a_photo_by_its_address_gets_the_vector_of_its_bytes(
    inference: FakeInference,
) -> None:
    embedder = embedder_of(inference, fetch=FakeFetch({"https://a": b"7"}))
    by_address, given = await run(embedder, [Item(uri="https://a"), Item(photo=b"7")])
    assert isinstance(by_address, Embedding)
    assert isinstance(given, Embedding)
    assert (by_address.values == given.values).all()


async def test_an_address_that_gives_no_photo_costs_its_own_item_only(
    inference: FakeInference,
) -> None:
    pages = {
        "https://gone": UriUnreadable("404"),
        "https://empty": b"",
        "https://cut": b"cut",
        "https://large": bytes(11),
        "https://good": b"7",
    }
    embedder = embedder_of(inference, fetch=FakeFetch(pages))
    outcomes = await run(embedder, [Item(uri=uri) for uri in [*pages, "https://forbidden"]])
    assert [getattr(outcome, "reason", "") for outcome in outcomes] == [
        "URI_UNREADABLE",
        "IMAGE_UNDECODABLE",
        "IMAGE_UNDECODABLE",
        "IMAGE_TOO_LARGE",
        "",
        "URI_FORBIDDEN",
    ]


@pytest.mark.slow
async def test_nobody_waits_for_a_slow_address(inference: FakeInference) -> None:
    fetch = FakeFetch({"https://slow": b"7"}, gate=asyncio.Event())
    embedder = embedder_of(inference, places=2, fetch=fetch)
    items = [Item(uri="https://slow")] * 8 + [Item(photo=b"8")]
    outcomes = await run(embedder, items, seconds=2)
    assert [isinstance(outcome, DeadlinePassed) for outcome in outcomes] == [True] * 8 + [False]
    assert isinstance(outcomes[-1], Embedding)


async def test_nothing_is_fetched_for_a_space_that_there_is_not(inference: FakeInference) -> None:
    fetch = FakeFetch(gate=asyncio.Event())
    (outcome,) = await run(
        embedder_of(inference, fetch=fetch), [Item(uri="https://a", space="x-ray")]
    )
    assert getattr(outcome, "reason", "") == "SPACE_UNAVAILABLE"
