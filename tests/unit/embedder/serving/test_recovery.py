"""Retries, and which models are reloaded, and when."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from embedder.domain.errors import (
    EmbedderUnavailable,
    ModelNotReady,
    ModelSilent,
    ProcessLost,
    QueueFull,
)
from embedder.domain.models import Tensors
from embedder.serving import recovery
from embedder.serving.model import KEPT, PROVEN, ServedModel
from embedder.serving.recovery import (
    HUNG_SECONDS,
    RECOVERIES,
    RETRY_SECONDS,
    UP,
    Recovery,
    Retrying,
)
from servicekit import deadlines
from servicekit.errors import ServiceError
from tests.fakes.triton import FakeInference
from tests.waiting import SECONDS

INPUTS: Tensors = {"image": np.zeros((1, 8, 8, 3), np.uint8)}
GONE = EmbedderUnavailable("gone")


@dataclass
class Clock:
    """A clock that pauses move."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass
class Flaky(FakeInference):
    """Inference that fails a number of times, then answers."""

    failures: list[ServiceError] = field(default_factory=list)
    asked: int = 0

    async def infer(self, inputs: Tensors):  # type: ignore[no-untyped-def]
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return await super().infer(inputs)


async def answered(clock: Clock, *failures: ServiceError) -> tuple[Flaky, Retrying]:
    """Return a model that answered once, and fails so from now on."""
    model = Flaky()
    retrying = Retrying(model, clock=clock, pause=clock.pause)
    await retrying.infer(INPUTS)
    model.failures, model.asked = list(failures), 0
    return model, retrying


async def test_a_loss_of_a_moment_is_not_seen_by_the_caller(clock: Clock) -> None:
    model, retrying = await answered(clock, GONE, ProcessLost("its process ended"), GONE)
    assert len((await retrying.infer(INPUTS)).vectors) == 1
    assert model.asked == 4


@pytest.mark.parametrize("error", [ModelSilent(), QueueFull(), ModelNotReady("x")])
async def test_what_is_full_slow_or_wrong_is_not_asked_for_twice(
    clock: Clock, error: ServiceError
) -> None:
    model, retrying = await answered(clock, error)
    with pytest.raises(type(error)):
        await retrying.infer(INPUTS)
    assert model.asked == 1


async def test_one_that_stays_away_is_given_up_in_time_and_later_callers_fail_at_once(
    clock: Clock,
) -> None:
    model, retrying = await answered(clock, *[GONE] * 100)
    began = clock.now
    with pytest.raises(EmbedderUnavailable):
        await retrying.infer(INPUTS)
    assert RETRY_SECONDS / 2 < clock.now - began < RETRY_SECONDS
    clock.now = began + RETRY_SECONDS
    model.asked = 0
    with pytest.raises(EmbedderUnavailable):
        await retrying.infer(INPUTS)
    assert model.asked == 1


async def test_a_caller_in_a_hurry_gets_the_error_before_the_deadline(clock: Clock) -> None:
    model, retrying = await answered(clock, *[GONE] * 100)
    with deadlines.within(0.05), pytest.raises(EmbedderUnavailable):
        await retrying.infer(INPUTS)
    assert model.asked == 1


async def test_a_model_that_never_answered_is_not_waited_for(clock: Clock) -> None:
    model = Flaky(failures=[GONE])
    with pytest.raises(EmbedderUnavailable):
        await Retrying(model, clock=clock, pause=clock.pause).infer(INPUTS)
    assert model.asked == 1


@dataclass
class FakeControl:
    """A server whose models recover when they are loaded."""

    models: dict[str, FakeInference]
    now: dict[str, str]
    error: ServiceError | None = None
    refused: ServiceError | None = None
    calls: list[str] = field(default_factory=list)
    loads_help: bool = True

    async def states(self) -> dict[str, str]:
        if self.error:
            raise self.error
        return dict(self.now)

    async def load(self, model: str) -> None:
        self.calls.append(f"load {model}")
        await asyncio.sleep(0)
        if self.refused:
            raise self.refused
        self.now[model] = "READY"
        if self.loads_help and model in self.models:
            self.models[model].error = None

    async def unload(self, model: str) -> None:
        self.calls.append(f"unload {model}")
        self.now[model] = "UNAVAILABLE"


@dataclass
class Ward:
    """One model under watch."""

    clock: Clock
    inference: FakeInference = field(default_factory=FakeInference)
    fitted: set[str] = field(default_factory=set)
    trouble: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.control = FakeControl({"fake": self.inference}, {"fake": "READY"})
        asked = Retrying(self.inference, self.trouble.set, self.clock, self.clock.pause)
        self.model = ServedModel(asked, 30, clock=self.clock, probe=self.inference)
        self.recovery = Recovery(
            self.control, lambda: [self.model], self._fitted, self.trouble, self.clock
        )

    async def _fitted(self) -> set[str]:
        return self.fitted

    async def embed(self) -> None:
        await self.model.embed(INPUTS, self.inference.description)


@pytest.fixture
def ward(clock: Clock) -> Ward:
    return Ward(clock)


def outcomes(outcome: str) -> float:
    value = RECOVERIES.labels("fake", outcome)._value.get()
    return float(value)


async def test_a_model_that_is_well_is_left_alone_and_one_that_others_ask_is_not_even_looked_at(
    ward: Ward,
) -> None:
    assert await ward.recovery.look()
    looks = len(ward.inference.batches)
    await ward.embed()
    assert await ward.recovery.look()
    assert ward.control.calls == []
    assert len(ward.inference.batches) == looks + 1


async def test_a_model_with_a_dead_process_is_unloaded_and_loaded_and_proved(ward: Ward) -> None:
    assert await ward.recovery.look()
    recovered = outcomes("mended")
    ward.inference.error = ProcessLost("its process ended")
    with pytest.raises(ProcessLost):
        await ward.embed()
    assert ward.trouble.is_set(), "nobody waits for the next look"
    assert not await ward.recovery.look(closely=True)
    assert ward.control.calls == ["unload fake", "load fake"]
    assert outcomes("mended") == recovered + 1
    assert (await ward.model.state()).ready
    assert await ward.recovery.look()


async def test_a_call_without_an_answer_has_its_model_checked_while_it_waits(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ward.embed()
    assert not ward.trouble.is_set()
    monkeypatch.setattr(recovery, "SLOW_SECONDS", 0.01)
    ward.inference.gate = asyncio.Event()
    waiting = asyncio.create_task(ward.embed())
    async with asyncio.timeout(SECONDS):
        await ward.trouble.wait()
    assert not waiting.done()
    ward.inference.gate.set()
    await waiting


async def test_one_dead_process_of_two_is_reloaded_though_no_caller_notices_it(ward: Ward) -> None:
    assert await ward.recovery.look()
    ward.inference.change(instances=2)
    await ward.model.refresh()
    ward.inference.dies_in_turn = ProcessLost("its process ended")
    for _ in range(4):
        await ward.embed()
    assert ward.trouble.is_set()
    assert await ward.recovery.look(), "it answers whoever asks it"
    assert ward.control.calls == []
    assert not await ward.recovery.look(closely=True)
    assert ward.control.calls == ["unload fake", "load fake"]


async def test_a_dead_process_is_found_without_a_caller(ward: Ward, clock: Clock) -> None:
    assert await ward.recovery.look()
    ward.inference.error = ProcessLost("its process ended")
    clock.now += PROVEN
    assert not await ward.recovery.look()
    assert ward.control.calls == ["unload fake", "load fake"]


async def test_what_loading_does_not_fix_is_tried_more_and_more_seldom(
    ward: Ward, clock: Clock
) -> None:
    ward.control.loads_help = False
    ward.inference.error = ProcessLost("its process ended")
    loads = []
    for _ in range(200):
        await ward.recovery.look()
        loads.append(len([call for call in ward.control.calls if call == "load fake"]))
        clock.now += 1.0
    first, last = loads[9], loads[-1] - loads[-60]
    assert first >= 3
    assert last <= 2


async def test_a_slow_model_is_not_loaded_anew_but_one_that_answers_nobody_is(
    ward: Ward, clock: Clock
) -> None:
    await ward.embed()
    ward.inference.error = ModelSilent()
    clock.now += PROVEN - 1
    assert await ward.recovery.look()
    clock.now += HUNG_SECONDS - 1
    assert not await ward.recovery.look()
    assert ward.control.calls == []
    clock.now += KEPT + 1
    assert not await ward.recovery.look()
    assert ward.control.calls == ["unload fake", "load fake"]


async def test_an_error_of_the_model_itself_is_no_reason_to_load_it_anew(ward: Ward) -> None:
    ward.inference.error = ModelNotReady("x")
    assert not await ward.recovery.look()
    assert ward.control.calls == []


async def test_a_silent_server_is_reported_and_its_models_are_left_alone(ward: Ward) -> None:
    assert await ward.recovery.look()
    ward.control.error = GONE
    ward.inference.error = ProcessLost("its process ended")
    assert not await ward.recovery.look()
    assert UP._value.get() == 0
    assert not (await ward.model.state()).ready
    assert ward.control.calls == []
    ward.control.error = ward.inference.error = None
    assert await ward.recovery.look()
    assert UP._value.get() == 1


async def test_a_model_that_should_be_served_and_is_not_is_loaded_at_the_second_look(
    ward: Ward,
) -> None:
    ward.fitted = {"visual_0123456789ab"}
    ward.control.now["fake"] = ""
    assert not await ward.recovery.look()
    assert ward.control.calls == [], "somebody may be about to"
    assert not await ward.recovery.look()
    assert sorted(ward.control.calls) == ["load fake", "load visual_0123456789ab"]
    assert await ward.recovery.look()


async def test_a_broken_space_costs_nobody_else_anything(ward: Ward, clock: Clock) -> None:
    ward.fitted = {"visual_0123456789ab"}
    ward.control.refused = ModelNotReady("Triton can't load it")
    for _ in range(20):
        await ward.recovery.look()
        clock.now += 1.0
    assert 3 <= len(ward.control.calls) <= 6
    assert set(ward.control.calls) == {"load visual_0123456789ab"}
    await ward.embed()


async def test_a_model_that_loads_without_end_holds_up_no_other(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LOOK_SECONDS", 0.05)
    ward.fitted = {"visual_0123456789ab"}
    load, never = ward.control.load, asyncio.Event()

    async def hangs(model: str) -> None:
        if model == "visual_0123456789ab":
            ward.control.calls.append("endless")
            await never.wait()
        await load(model)

    ward.control.load = hangs  # type: ignore[method-assign]
    assert not await ward.recovery.look()
    assert not await ward.recovery.look()  # begins to load it
    ward.control.now["fake"] = "UNAVAILABLE"
    assert not await ward.recovery.look()
    assert not await ward.recovery.look()
    assert ward.control.calls == ["endless", "load fake"]
    never.set()


async def test_what_loads_already_is_waited_for(ward: Ward) -> None:
    ward.control.now["fake"] = "LOADING"
    for _ in range(3):
        assert not await ward.recovery.look()
    assert ward.control.calls == []


async def test_the_watch_goes_on_whatever_a_look_runs_into(ward: Ward) -> None:
    looks = 0

    async def states() -> dict[str, str]:
        nonlocal looks
        looks += 1
        raise RuntimeError("a bug")

    ward.control.states = states  # type: ignore[method-assign]
    watching = asyncio.create_task(ward.recovery.run())
    async with asyncio.timeout(SECONDS):
        while looks < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    watching.cancel()
