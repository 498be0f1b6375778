"""The space's version, the checks of its vectors, and its state while the model is silent."""

import asyncio

import numpy as np
import pytest

from embedder.domain.errors import (
    EmbedderUnavailable,
    ModelFailed,
    ModelNotReady,
    SpaceVersionUnavailable,
)
from embedder.domain.models import Description, Inferred, Tensors, version_of
from embedder.domain.recipes import PhotoRecipe
from embedder.serving.model import KEPT, PROVEN, READY, SILENCE, ServedModel, check
from servicekit import deadlines
from tests.fakes.kit_clock import Seconds
from tests.fakes.triton import DESCRIPTION, FakeInference
from tests.waiting import SECONDS

BLANK: Tensors = {"image": np.zeros((2, 8, 8, 3), np.uint8)}


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def space(inference: FakeInference, clock: Seconds) -> ServedModel:
    return ServedModel(inference, ttl=30, clock=clock)


def changed(**changes: object) -> Description:
    inference = FakeInference()
    inference.change(**changes)
    return inference.description


async def test_the_description_is_asked_for_once_within_its_time(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    await asyncio.gather(*(space.description() for _ in range(5)))
    clock.now += 29.9
    await space.description()
    assert inference.described == 1
    clock.now += 0.2
    await space.description()
    assert inference.described == 2


async def test_a_silent_model_is_what_it_was_last(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    known = await space.description()
    inference.silence = EmbedderUnavailable("down")
    clock.now += 31
    assert await space.description() == known


async def test_a_model_that_never_spoke_is_unavailable_and_asked_again_soon(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    inference.silence = EmbedderUnavailable("down")
    done = await asyncio.gather(*(space.description() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(error, EmbedderUnavailable) for error in done)
    assert inference.described == 1, "those that waited share one silence"
    inference.silence = None
    clock.now += SILENCE
    assert await space.description() == DESCRIPTION


async def test_the_version_of_a_vector_is_that_of_the_model_which_answered(
    space: ServedModel, inference: FakeInference
) -> None:
    known = await space.description()
    first = await space.embed(BLANK, known)
    inference.change(hashes={"1": "a" * 64, "2": "b" * 64})
    inference.version = "2"
    second = await space.embed(BLANK, known)
    assert first.version == version_of(known, "1")
    assert second.version == version_of(inference.description, "2")
    assert first.version != second.version
    assert inference.described == 2


async def test_pixels_made_for_another_model_are_not_taken_for_this_one_s(
    space: ServedModel, inference: FakeInference
) -> None:
    known = await space.description()
    inference.change(hashes={"2": "b" * 64}, recipe=PhotoRecipe(8, 0.5, "none"))
    inference.version = "2"
    with pytest.raises(EmbedderUnavailable, match="replaced"):
        await space.embed(BLANK, known)


async def test_a_version_that_the_configuration_does_not_name_is_refused(
    space: ServedModel, inference: FakeInference
) -> None:
    known = await space.description()
    inference.version = "7"
    with pytest.raises(ModelNotReady):
        await space.embed(BLANK, known)


async def test_a_model_of_another_space_is_refused(
    space: ServedModel, inference: FakeInference
) -> None:
    inference.change(space="text")
    with pytest.raises(ModelNotReady):
        await space.description()


GOOD = np.eye(2, 12, dtype=np.float32)


@pytest.mark.parametrize(
    "bad",
    [
        GOOD[:1],
        GOOD[:, :11],
        GOOD.astype(np.float64),
        GOOD * np.float32(np.nan),
        np.full_like(GOOD, np.inf),
        GOOD * np.float32(0),
        GOOD * np.float32(1.01),
        np.concatenate([GOOD[:1], GOOD[:1] * np.float32(0.9)]),
    ],
    ids=["count", "dimension", "float64", "NaN", "infinite", "zero", "long", "one of two"],
)
async def test_an_unsound_vector_never_leaves(
    space: ServedModel, inference: FakeInference, bad: np.ndarray
) -> None:
    inference.answer = bad
    with pytest.raises(ModelFailed):
        await space.embed(BLANK, await space.description())


def test_a_sound_one_does() -> None:
    check(Inferred(GOOD, "1"), 2, DESCRIPTION)


async def test_a_space_is_ready_only_after_a_real_inference(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    state = await space.state()
    assert (state.ready, state.known) == (True, DESCRIPTION)
    assert state.version == version_of(DESCRIPTION, "1")
    assert inference.batches == [1]
    inference.error = EmbedderUnavailable("the stub died; the server still says READY")
    clock.now += PROVEN
    lost = await space.state()
    assert not lost.ready
    assert lost.version == state.version


async def test_a_space_whose_model_never_spoke_has_no_version(inference: FakeInference) -> None:
    inference.silence = EmbedderUnavailable("down")
    state = await ServedModel(inference, ttl=30).state()
    assert (state.ready, state.version, state.known) == (False, "", None)
    assert state.model == "fake"


async def test_of_two_versions_that_are_silent_none_is_claimed(
    space: ServedModel, inference: FakeInference
) -> None:
    inference.change(hashes={"1": "a" * 64, "2": "b" * 64})
    await space.description()
    inference.error = EmbedderUnavailable("down")
    assert (await space.state()).version == ""


async def test_a_space_whose_processes_do_not_all_answer_is_not_ready(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    inference.change(instances=2)
    assert (await space.state()).ready
    assert inference.batches == [1, 1]
    inference.dies_in_turn = EmbedderUnavailable("one of two stubs died")
    clock.now += PROVEN - KEPT
    for _ in range(3):
        clock.now += KEPT
        assert not (await space.state()).ready


async def test_a_state_is_returned_within_its_time_while_the_model_hangs(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    version = (await space.state()).version
    clock.now += PROVEN
    inference.gate = asyncio.Event()
    async with asyncio.timeout(SECONDS):
        state = await space.state(seconds=0.05)
    assert (state.ready, state.version) == (False, version)


async def test_whoever_asks_for_the_state_often_costs_few_looks(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    inference.change(instances=2)
    states = await asyncio.gather(*(space.state() for _ in range(50)))
    assert all(state.ready for state in states)
    for _ in range(10):
        clock.now += PROVEN / 11
        await space.state()
    assert inference.batches == [1, 1]
    clock.now += PROVEN / 11
    await space.state()
    assert inference.batches == [1, 1, 1, 1]


async def test_a_state_is_read_anew_where_there_are_doubts_and_after_another_version_answered(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    first = (await space.state()).version
    inference.error = EmbedderUnavailable("down")
    assert (await space.state()).ready
    space.doubt()
    assert not (await space.state()).ready
    inference.error = None
    space.doubt()
    assert (await space.state()).version == first
    inference.change(hashes={"2": "c" * 64})
    inference.version = "2"
    clock.now += KEPT
    await space.refresh()
    await space.embed(BLANK, await space.description())
    assert (await space.state()).version != first


async def test_a_failed_call_has_the_state_read_anew_at_most_once_a_second(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    assert (await space.state()).ready
    inference.error = EmbedderUnavailable("down")
    with pytest.raises(EmbedderUnavailable):
        await space.embed(BLANK, await space.description())
    assert (await space.state()).ready
    clock.now += KEPT
    assert not (await space.state()).ready


async def test_a_call_that_was_given_up_has_the_state_read_anew(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    assert (await space.state()).ready
    inference.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await space.embed(BLANK, await space.description())
    clock.now += KEPT
    assert not (await space.state(0.05)).ready


async def test_those_who_share_a_look_do_not_share_the_deadline_of_the_first(
    space: ServedModel, inference: FakeInference
) -> None:
    await space.description()
    inference.gate = asyncio.Event()
    seen: list[float | None] = []
    inference.watch = lambda: seen.append(deadlines.remaining())
    with deadlines.within(0.05):
        first = asyncio.create_task(space.state(0.05))
        await inference.started.wait()
    second = asyncio.create_task(space.state(5))
    assert not (await first).ready
    first.cancel()
    inference.gate.set()
    assert (await second).ready
    assert (inference.batches, seen) == ([1], [None])


async def test_a_cancelled_caller_leaves_the_look_to_the_others(
    space: ServedModel, inference: FakeInference
) -> None:
    inference.gate = asyncio.Event()
    first, second = (asyncio.create_task(space.state()) for _ in range(2))
    await inference.started.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    inference.gate.set()
    assert (await second).ready
    assert inference.batches == [1]


async def test_the_metric_of_readiness_has_one_series_a_model_and_follows_the_version(
    inference: FakeInference, clock: Seconds
) -> None:
    def series() -> dict[str, float]:
        (family,) = READY.collect()
        return {
            sample.labels["version"]: sample.value
            for sample in family.samples
            if sample.labels["model"] == "series"
        }

    inference.change(model="series")
    space = ServedModel(inference, ttl=30, clock=clock)
    first = await space.state()
    assert series() == {first.version: 1}
    inference.error = EmbedderUnavailable("down")
    clock.now += PROVEN
    await space.state()
    assert series() == {first.version: 0}
    inference.error = None
    inference.change(hashes={"1": "c" * 64})
    clock.now += 31
    second = await space.state()
    assert series() == {second.version: 1}


async def test_a_version_is_named_by_its_model_once_it_spoke(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    inference.silence = EmbedderUnavailable("down")
    assert isinstance(await space.refresh(), EmbedderUnavailable)
    assert space.versions() == []
    inference.silence = None
    clock.now += SILENCE
    inference.change(hashes={"1": "a" * 64, "2": "b" * 64})
    assert await space.refresh() is None
    both = [version_of(inference.description, number) for number in ("1", "2")]
    assert space.versions() == space.serving() == both
    inference.version = "2"
    await space.embed(BLANK, await space.description())
    assert space.versions() == both
    assert space.serving() == both[1:]


async def test_a_model_is_not_asked_again_within_a_moment(
    space: ServedModel, inference: FakeInference, clock: Seconds
) -> None:
    for _ in range(5):
        await space.refresh()
    assert inference.described == 1
    clock.now += KEPT
    await space.refresh()
    assert inference.described == 2


async def test_vectors_of_another_version_than_is_wanted_are_refused(
    space: ServedModel, inference: FakeInference
) -> None:
    known = await space.description()
    await space.embed(BLANK, known, version_of(DESCRIPTION, "1"))
    with pytest.raises(SpaceVersionUnavailable):
        await space.embed(BLANK, known, "0" * 16)
