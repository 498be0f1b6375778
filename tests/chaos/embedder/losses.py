"""Faults of Triton, caused one after another under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from embedder.adapters.triton.client import CONTROL_KEY
from local_suite.suite import Suite
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from tests.chaos.embedder.load import ASKERS, BROKEN, Asker, Load, counted
from tests.chaos.embedder.stage import VISUAL, Repository, control_key, stage
from tests.chaos.model import NotMeasured, Report
from tests.chaos.stage import channel_to
from tests.chaos.watching import hung
from tests.peer_stubs import peer_stub
from tests.triton import processes_of

T = TypeVar("T")

BACK_SECONDS: Final = 5.0
"""Promised seconds from Triton's recovery to the suite's."""
WATCHED_SECONDS: Final = 15.0
"""Promised seconds where Triton's watchdog first has to detect the loss."""
REPORTED_SECONDS: Final = 5.0
"""Maximum seconds until ListSpaces reports a loss."""
UNSEEN_SECONDS: Final = 3.0
"""A loss that is over so soon need not be reported: what was found out is reported again for a
second, and to find it out takes another."""
AWAY_SECONDS: Final = 4.0
START_SECONDS: Final = 60.0
LOST: Final = frozenset({"EMBEDDER_UNAVAILABLE", "DEADLINE_EXCEEDED", "EMBED_QUEUE_FULL"})
"""Reasons that a caller may get meanwhile."""
FLOOD: Final = tuple(Asker(f"flood {n}", 8, 3.0) for n in range(40))


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects that a case uses."""

    suite: Suite
    repository: Repository
    load: Load
    client: Any
    """tritonclient's, which sees Triton without the embedder."""
    key: Mapping[str, str]
    """The header that model control asks for."""

    async def load_again(self) -> None:
        """Have Triton look at the model's files again."""
        await self.client.load_model(VISUAL, headers=self.key)

    async def answers(self) -> None:
        """Return once Triton itself runs the model of photos."""
        image = triton.InferInput("image", [1, 224, 224, 3], "UINT8")
        image.set_data_from_numpy(np.zeros((1, 224, 224, 3), np.uint8))

        async def runs() -> bool:
            await self.client.infer(VISUAL, [image], client_timeout=1.0)
            return True

        await _until(runs, bool, "Triton does not come back")

    async def whole(self) -> None:
        """Wait until Triton runs the model. A load whose process dies at its start ends when the
        watchdog ends the server."""

        async def there() -> bool:
            ready = await self.client.is_model_ready(VISUAL, client_timeout=1.0)
            return bool(ready) and bool(self.processes())

        await _until(there, bool, f"Triton does not run {VISUAL} again")

    def processes(self) -> list[int]:
        """Return the ids of the processes in which Triton runs the photo model."""
        return processes_of(VISUAL, self.suite.pid("triton"))


async def _until(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool], otherwise: str) -> T:
    """Return the answer once it is good; Triton may refuse meanwhile. Raises NotMeasured."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(InferenceServerException):
            if good(found := await ask()):
                return found
        await asyncio.sleep(0.05)
    raise NotMeasured(otherwise)


Loss = Callable[[Scene], Awaitable[float]]
"""Does its harm; returns when Triton was well again, by time.monotonic()."""


async def process_killed(scene: Scene) -> float:
    """Kill the model's process; only the embedder replaces it."""
    for pid in scene.processes():
        os.kill(pid, signal.SIGKILL)
    return time.monotonic()


async def starting_stands_still(scene: Scene) -> float:
    """Stop (SIGSTOP) the processes that start in place of killed ones: Triton either gives them up
    once they continue, and waits for them, or ends."""
    before = scene.processes()
    await process_killed(scene)

    async def started() -> list[int]:
        return [pid for pid in scene.processes() if pid not in before]

    for pid in (starting := await _until(started, bool, "no process starts")):
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(AWAY_SECONDS)
    for pid in starting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return time.monotonic()


async def unloaded(scene: Scene) -> float:
    """Unload the model in Triton."""
    await scene.client.unload_model(VISUAL, headers=scene.key)
    return time.monotonic()


async def killed(scene: Scene) -> float:
    """Kill Triton (SIGKILL) during requests; the supervisor restarts it."""
    await asyncio.to_thread(scene.suite.kill, "triton")
    await scene.answers()
    return time.monotonic()


async def restarted(scene: Scene) -> float:
    """End Triton (SIGTERM), which finishes its requests; the supervisor restarts it."""
    before = scene.suite.pid("triton")
    await asyncio.to_thread(scene.suite.kill, "triton", signal.SIGTERM)

    async def ended() -> bool:
        return scene.suite.pid("triton") != before

    await _until(ended, bool, "Triton does not end")
    await scene.answers()
    return time.monotonic()


async def stands_still(scene: Scene) -> float:
    """Stop (SIGSTOP) the server and all of its processes."""
    with hung(scene.suite.pid("triton")):
        await asyncio.sleep(AWAY_SECONDS)
    await scene.answers()
    return time.monotonic()


async def slow(scene: Scene) -> float:
    """Let Triton run only a fifth of the time."""
    until = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < until:
        with hung(scene.suite.pid("triton")):
            await asyncio.sleep(0.4)
        await asyncio.sleep(0.1)
    return time.monotonic()


async def overloaded(scene: Scene) -> float:
    """Add forty clients that request eight photos at a time."""
    async with scene.load.running(FLOOD):
        await asyncio.sleep(AWAY_SECONDS)
    return time.monotonic()


LOSSES: Final[Mapping[str, Loss]] = {
    "the model's process killed": process_killed,
    "starting processes stand still": starting_stands_still,
    "model unloaded": unloaded,
    "Triton killed": killed,
    "Triton restarted": restarted,
    "Triton stands still": stands_still,
    "Triton slow": slow,
    "overloaded": overloaded,
}
WATCHED: Final = frozenset({"starting processes stand still"})
HIDDEN: Final = frozenset({"Triton slow", "overloaded"})
"""Losses that may end before a check of the spaces detects them."""


def losses(turns: int, report: Report) -> None:
    """Cause every loss `turns` times. Raise SuiteError or NotMeasured."""
    with stage() as (suite, repository):
        asyncio.run(_losses(suite, repository, turns, report))


async def _losses(suite: Suite, repository: Repository, turns: int, report: Report) -> None:
    async with _scene(suite, repository) as scene, scene.load.running():
        for name, loss in [*LOSSES.items()] * turns:
            await _lose(scene, name, loss, report)


@contextlib.asynccontextmanager
async def _scene(suite: Suite, repository: Repository) -> Any:
    address = suite.addresses()["triton"]
    async with (
        channel_to(suite, "embedder") as channel,
        triton.InferenceServerClient(address) as client,
    ):
        load = Load(channel)
        await load.learn()
        yield Scene(suite, repository, load, client, {CONTROL_KEY: control_key(suite)})


async def _lose(scene: Scene, name: str, loss: Loss, report: Report) -> None:
    """Cause one loss, from one healthy state to the next, and report its effects."""
    load = scene.load
    await scene.whole()
    await load.calm(time.monotonic())
    lost = time.monotonic()
    back = await loss(scene)
    well = await load.calm(lost)
    seconds = max(0.0, well - back)
    around = [each for each in load.got if each.ended >= lost and each.asker in _NAMES]
    counts = counted(around)
    report.say(f"{name}: {_summary(counts)}; all well {seconds:.1f} s after its return")
    strange = {reason for reason in counts if reason != "whole"} - LOST
    report.add(f"{name}: typed answers, in time", bool(counts) and not strange, _summary(counts))
    most = WATCHED_SECONDS if name in WATCHED else BACK_SECONDS
    report.add(f"{name}: well within {most:.0f} s", seconds <= most, f"{seconds:.1f} s")
    unready = [when for when in load.unready if when >= lost]
    report.add(f"{name}: the embedder stays ready", not unready, f"{len(unready)} times it was not")
    if name not in HIDDEN:
        reported = [when - lost for when, ready in load.reported if when >= lost and not ready]
        held = min(reported) <= REPORTED_SECONDS if reported else well - lost < UNSEEN_SECONDS
        first = (
            f"after {min(reported):.1f} s" if reported else f"not: over after {well - lost:.1f} s"
        )
        report.add(f"{name}: ListSpaces reports it", held, first)


_NAMES: Final = frozenset(asker.name for asker in ASKERS)


def _summary(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def versions(switches: int, report: Report) -> None:
    """Switch versions back and forth, and offer broken ones. Raise SuiteError or NotMeasured."""
    with stage() as (suite, repository):
        asyncio.run(_versions(suite, repository, switches, report))


async def _versions(suite: Suite, repository: Repository, switches: int, report: Report) -> None:
    async with _scene(suite, repository) as scene:
        load = scene.load
        (first,) = load.signs
        second = await _second_version(scene)
        load.signs[second] = -1.0
        async with load.running():
            began = time.monotonic()
            for number in range(switches):
                await load.calm(time.monotonic())
                await _switch(scene, second if number % 2 == 0 else first)
            await load.calm(time.monotonic())
            _judge_switches(load, began, switches, report)
            began, good = time.monotonic(), load.got[-1].version
            for number, what in enumerate(("a graph that is none", "a hash of another graph")):
                refused = await _offer_broken(scene, number)
                report.say(f"{what} is offered: {'refused' if refused else 'TAKEN'}")
                await load.calm(time.monotonic())
                report.add(f"{what} is refused", refused, "by Triton's model control")
            later = [e for e in load.got if e.ended >= began and e.asker == "shopper"]
            held = bool(later) and {(e.reason, e.version) for e in later} == {("", _of(load, good))}
            report.add("the version before it serves on", held, _summary(counted(later)))


def _of(load: Load, _last: str) -> str:
    """Return the version of the photo model that answered last."""
    return next(e.version for e in reversed(load.got) if e.asker == "shopper" and not e.reason)


async def _second_version(scene: Scene) -> str:
    """Serve the negated version for a moment, and return its version in the embedder."""

    async def version() -> str:
        answer = await peer_stub("embedder", scene.load.channel, EmbeddingServiceStub).ListSpaces(
            pb.ListSpacesRequest(), timeout=10
        )
        return next(s.version for s in answer.spaces if s.space == "visual")

    first = await version()
    scene.repository.turned(2)
    await scene.load_again()
    kept = "the version does not change"
    found = await _until(version, lambda found: found not in {"", first}, kept)
    scene.repository.take(2)
    await scene.load_again()
    await _until(version, lambda found: found == first, kept)
    return found


async def _switch(scene: Scene, wanted: str) -> None:
    """Have Triton serve the other version, and wait until shoppers get it."""
    if scene.load.signs[wanted] < 0:
        scene.repository.turned(2)
    else:
        scene.repository.take(2)
    await scene.load_again()
    until = time.monotonic() + START_SECONDS
    while _of(scene.load, "") != wanted:
        if time.monotonic() > until:
            raise NotMeasured("nobody gets the other version")
        await asyncio.sleep(0.05)


async def _offer_broken(scene: Scene, number: int) -> bool:
    """Offer a version that can't be loaded; return whether Triton refused it."""
    repository = scene.repository
    kept = repository.config.read_text()
    repository.add(9, b"no graph at all")
    if number:
        graph = (repository.folder / VISUAL / "1" / "model.onnx").read_bytes()
        (repository.folder / VISUAL / "9" / "model.onnx").write_bytes(graph)
    try:
        await scene.load_again()
    except InferenceServerException:
        return True
    finally:
        repository.take(9)
        repository.write(kept)
    return False


def _judge_switches(load: Load, began: float, switches: int, report: Report) -> None:
    around = [each for each in load.got if each.ended >= began]
    failed = [each for each in around if each.reason]
    broken = [each for each in failed if each.reason.startswith(BROKEN)]
    report.add(
        f"{switches} switches of version: no request failed",
        bool(around) and not failed,
        _summary(counted(around)),
    )
    versions = {each.version for each in around if each.asker == "shopper"}
    report.add(
        "each vector is of the version that it names",
        not broken and len(versions) == 2,
        f"{len(around)} vectors of {len(versions)} versions of photos",
    )
