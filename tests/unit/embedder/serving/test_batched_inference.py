"""Several calls in one inference."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from embedder.domain.errors import EmbedderUnavailable, ModelFailed
from embedder.domain.items import Priority
from embedder.domain.models import Inferred, Tensors
from embedder.domain.urgency import urgency
from embedder.serving.batched_inference import SHOPPED, Batching
from servicekit import deadlines
from servicekit.errors import ServiceError
from tests import virtual_time
from tests.fakes.triton import DESCRIPTION, FakeInference, vectors_of

BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference(gate=asyncio.Event())


def image(shade: int, views: int = 1, side: int = 8) -> Tensors:
    pixels = np.full((views, side, side, 3), shade, np.uint8)
    pixels[:, 0, 0] = 255 - shade
    return {"image": pixels}


def ask(
    batching: Batching, inputs: Tensors, priority: Priority | None = INTERACTIVE
) -> asyncio.Task[Inferred]:
    async def asked() -> Inferred:
        urgency.set(priority)
        return await batching.infer(inputs)

    return asyncio.create_task(asked())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def release(inference: FakeInference) -> None:
    assert inference.gate is not None
    inference.gate.set()


async def test_an_idle_model_is_asked_at_once(inference: FakeInference) -> None:
    asked = ask(Batching(inference, 4, 2), image(1))
    await settle()
    assert inference.batches == [1]
    release(inference)
    await asked


async def test_what_comes_while_all_places_are_taken_goes_together_each_to_its_own(
    inference: FakeInference,
) -> None:
    batching = Batching(inference, 4, 2)
    asked = [ask(batching, image(shade, views=1 + shade % 2)) for shade in range(1, 9)]
    await settle()
    assert len(inference.batches) == 2
    release(inference)
    for shade, answer in enumerate(await asyncio.gather(*asked), 1):
        expected = vectors_of(image(shade, views=1 + shade % 2), 12)
        assert np.allclose(answer.vectors, expected)
    assert max(inference.batches) == 4
    assert sum(inference.batches) == 12


async def test_no_more_go_together_than_the_model_takes(inference: FakeInference) -> None:
    inference.change(max_batch=3)
    batching = Batching(inference, 8, 2)
    await batching.describe()
    asked = [ask(batching, image(shade)) for shade in range(10)]
    await settle()
    release(inference)
    await asyncio.gather(*asked)
    assert max(inference.batches) == 3


async def test_what_has_another_form_goes_apart(inference: FakeInference) -> None:
    batching = Batching(inference, 8, 2)
    asked = [ask(batching, image(9, side=8 + 8 * (n % 2))) for n in range(8)]
    await settle()
    release(inference)
    await asyncio.gather(*asked)
    assert all(len({len(given["image"][0])}) == 1 for given in inference.given)
    assert sorted(inference.batches) == [1, 1, 3, 3]


async def test_a_shopper_goes_before_bulk_work_that_waits_and_never_along_with_it(
    inference: FakeInference,
) -> None:
    batching = Batching(inference, 8, 3)
    asked = [ask(batching, image(100), BULK) for _ in range(6)]
    await settle()
    assert inference.batches == [1, 1]  # a place is kept from it
    asked += [ask(batching, image(shade)) for shade in range(3)]
    await settle()
    assert [int(given["image"].max()) for given in inference.given[2:]] == [255]
    release(inference)
    await asyncio.gather(*asked)
    assert inference.batches == [1, 1, 1, 2, 4]


def test_bulk_work_has_one_place_while_shoppers_ask() -> None:
    async def most_running(after: float | None) -> int:
        """Return how many bulk inferences run at a time, `after` seconds after a shopper's call.

        None: no shopper called.
        """
        inference = FakeInference()
        batching = Batching(inference, 1, 4)
        if after is not None:
            await ask(batching, image(1))
            await asyncio.sleep(after)
        inference.most_running, inference.gate = 0, asyncio.Event()
        asked = [ask(batching, image(100), BULK) for _ in range(6)]
        await settle()
        release(inference)
        await asyncio.gather(*asked)
        return inference.most_running

    async def main() -> list[int]:
        return [await most_running(after) for after in (None, 0.9 * SHOPPED, 1.1 * SHOPPED)]

    found, _ = virtual_time.run(main())
    assert found == [3, 1, 3]


def test_bulk_work_rests_for_as_long_as_an_inference_took_while_shoppers_ask() -> None:
    async def begun(*, shopped: bool) -> list[int]:
        """Return how many of two bulk calls ran .9 and 1.1 seconds after the first one, which takes
        one second."""
        inference = FakeInference()
        batching = Batching(inference, 1, 2)
        if shopped:
            await ask(batching, image(1))
        before, inference.gate = len(inference.given), asyncio.Event()
        asked = [ask(batching, image(100), BULK) for _ in range(2)]
        await asyncio.sleep(1.0)
        release(inference)
        found = []
        for seconds in (0.9, 0.2):
            await asyncio.sleep(seconds)
            found.append(len(inference.given) - before)
        await asyncio.gather(*asked)
        return found

    async def main() -> list[list[int]]:
        return [await begun(shopped=shopped) for shopped in (False, True)]

    found, _ = virtual_time.run(main())
    assert found == [[2, 2], [1, 2]]


async def test_nobody_s_call_is_run_at_once_and_alone(inference: FakeInference) -> None:
    batching = Batching(inference, 8, 2)
    asked = [ask(batching, image(shade), None) for shade in range(5)]
    await settle()
    assert inference.batches == [1] * 5
    release(inference)
    await asyncio.gather(*asked)


async def test_who_gives_up_costs_the_others_nothing(inference: FakeInference) -> None:
    batching = Batching(inference, 4, 2)
    asked = [ask(batching, image(shade)) for shade in range(6)]
    await settle()
    asked[0].cancel()
    asked[3].cancel()
    await settle()
    release(inference)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for shade, answer in enumerate(answers):
        if shade in {0, 3}:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert isinstance(answer, Inferred)
            assert np.allclose(answer.vectors, vectors_of(image(shade), 12))
    assert sum(inference.batches) == 5


async def test_an_inference_that_all_gave_up_is_stopped_and_its_place_is_free(
    inference: FakeInference,
) -> None:
    batching = Batching(inference, 4, 2)
    asked = [ask(batching, image(1)) for _ in range(2)]
    await settle()
    assert inference.running == 2
    for each in asked:
        each.cancel()
    await settle()
    assert inference.running == 0
    asked = [ask(batching, image(1)) for _ in range(2)]
    await settle()
    assert inference.running == 2
    release(inference)
    await asyncio.gather(*asked)


async def test_a_model_server_that_is_away_fails_all_who_wait_for_it(
    inference: FakeInference,
) -> None:
    inference.error = EmbedderUnavailable("down")
    batching = Batching(inference, 4, 2)
    asked = [ask(batching, image(shade)) for shade in range(6)]
    await settle()
    release(inference)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, EmbedderUnavailable) for answer in answers)
    assert len(inference.batches) == 3


class Choosy(FakeInference):
    """Inference that fails if its input contains a black picture."""

    async def infer(self, inputs: Tensors) -> Inferred:
        found = await super().infer(inputs)
        if (inputs["image"][:, 1, 1] == 0).any():
            raise ModelFailed("broke")
        return found


async def test_what_breaks_the_model_costs_those_that_it_goes_with_nothing() -> None:
    inference = Choosy(gate=asyncio.Event())
    batching = Batching(inference, 4, 2)
    asked = [ask(batching, image(shade)) for shade in (1, 2, 0, 3, 4)]
    await settle()
    release(inference)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(answer, ServiceError) for answer in answers] == [False] * 2 + [
        True,
        False,
        False,
    ]


class Abandoned(FakeInference):
    """Inference whose batches fail after some of their callers gave up."""

    leaving: tuple[asyncio.Task[Inferred], ...] = ()

    async def infer(self, inputs: Tensors) -> Inferred:
        found = await super().infer(inputs)
        if len(inputs["image"]) == 1:
            return found
        for each in self.leaving:
            each.cancel()
        await settle()
        raise ModelFailed("broke")


async def test_who_gave_up_is_not_inferred_alone_after_a_failed_batch() -> None:
    inference = Abandoned(gate=asyncio.Event())
    batching = Batching(inference, 8, 2)
    asked = [ask(batching, image(shade)) for shade in range(1, 7)]
    await settle()
    inference.leaving = tuple(asked[3:])
    release(inference)
    await asyncio.gather(*asked, return_exceptions=True)
    assert inference.batches == [1, 1, 4, 1]


async def test_an_answer_of_too_few_rows_is_nobody_s(inference: FakeInference) -> None:
    inference.answer = vectors_of(image(5), 12)
    batching = Batching(inference, 4, 2)
    asked = [ask(batching, image(shade, views=2)) for shade in range(4)]
    await settle()
    release(inference)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(
        isinstance(answer, ModelFailed) or len(answer.vectors) == 1  # type: ignore[union-attr]
        for answer in answers
    )


class Timed(FakeInference):
    """Inference that records its deadline."""

    left: list[float | None]

    async def infer(self, inputs: Tensors) -> Inferred:
        self.left.append(deadlines.remaining())
        return await super().infer(inputs)


@pytest.mark.parametrize(("seconds", "expected"), [((5.0, 90.0, 20.0), 90), ((5.0, None), None)])
async def test_an_inference_for_several_has_the_time_of_the_most_patient(
    seconds: tuple[float | None, ...], expected: float | None
) -> None:
    inference = Timed(gate=asyncio.Event())
    inference.left = []
    batching = Batching(inference, 4, 2)

    async def asked(until: float | None) -> Inferred:
        urgency.set(INTERACTIVE)
        deadlines.start(until)
        return await batching.infer(image(1))

    tasks = [asyncio.create_task(asked(1.0)) for _ in range(2)]
    await settle()
    tasks += [asyncio.create_task(asked(each)) for each in seconds]
    await settle()
    release(inference)
    await asyncio.gather(*tasks)
    assert inference.left[-1] == (None if expected is None else pytest.approx(expected, abs=1))


async def test_it_says_of_itself_what_the_model_says(inference: FakeInference) -> None:
    inference.description = replace(DESCRIPTION, model="named")
    batching = Batching(inference, 4, 2)
    assert batching.model == "named"
    assert await batching.describe() == inference.description


def test_bulk_work_and_shoppers_need_a_place_each(inference: FakeInference) -> None:
    with pytest.raises(ValueError, match="place"):
        Batching(inference, 4, 1)
