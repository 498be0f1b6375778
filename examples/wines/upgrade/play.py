"""The roll-out itself: to the new model, back in one call, and to it again."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from examples.wines.catalogue import Rating, Wine
from examples.wines.upgrade.load import SIGHTLINE, Load, questions
from examples.wines.upgrade.model import Moment, Phase, Played, UpgradeFailed, first_answers
from sightline_client import Generation, SightlineClient

SPACE = "visual"
_LOOK_SECONDS = 0.1

Tell = Callable[[Moment], None]


@dataclass(slots=True)
class _Story:
    """What has happened so far."""

    tell: Tell
    timeline: list[Moment] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)

    def moment(self, text: str, time: datetime | None = None) -> None:
        self.timeline.append(Moment(time or datetime.now(UTC), text))
        self.tell(self.timeline[-1])

    def phase(self, name: str) -> None:
        self.phases.append(Phase(name, datetime.now(UTC)))


async def roll_out(
    client: SightlineClient,
    target: str,
    wines: Sequence[Wine],
    ratings: Sequence[Rating],
    *,
    version: str,
    steady_seconds: float,
    tell: Tell,
) -> Played:
    """Roll ``version``, or the model of that name, out under load; what came of it.

    The catalog of the client holds the wines, indexed. ``target``: the gateway, for the commands.
    ``steady_seconds``: how long nothing changes between two steps. Raises UpgradeFailed when a
    command fails.
    """
    story = _Story(tell)
    before = await _active(client)
    with tempfile.TemporaryDirectory() as folder:
        load = Load(target, client.catalog, Path(folder))
        async with load.running(questions(wines, ratings, client.catalog)):
            story.phase("before")
            story.moment(f"shoppers ask; {before.name} is active")
            await asyncio.sleep(steady_seconds)
            await _there(client, target, version, story)
            after = await _active(client)
            story.phase("after")
            await asyncio.sleep(steady_seconds)
            await _back_and_forth(client, after.name, story, steady_seconds)
    to = {"during": after.name, "rolled back": before.name, "again": after.name}
    phases = tuple(replace(phase, to=to.get(phase.name, "")) for phase in story.phases)
    played = Played(before.name, after.name, tuple(story.timeline), phases, tuple(load.seen))
    timeline = sorted((*story.timeline, *first_answers(played)), key=lambda each: each.time)
    return replace(played, timeline=tuple(timeline))


async def _there(client: SightlineClient, target: str, version: str, story: _Story) -> None:
    """``sightline index upgrade``, watched."""
    story.phase("during")
    story.moment("sightline index upgrade")
    async with _watched(client, story):
        answer = await _command(client, target, "upgrade", "--version", version)
    for step in answer["steps"]:
        ended = datetime.fromisoformat(step["time"]) + timedelta(seconds=step["seconds"])
        story.moment(f"{step['step']}: {step['result']} ({step['seconds']:.1f} s)", ended)
    if not answer["active"]:
        raise UpgradeFailed("the upgrade did not make the new generation active")


async def _back_and_forth(
    client: SightlineClient, name: str, story: _Story, steady_seconds: float
) -> None:
    """Back in one call, and to the new one again."""
    for phase, call in (
        ("rolled back", client.rollback_generation(space=SPACE)),
        ("again", client.activate_generation(name)),
    ):
        story.phase(phase)
        made = await call
        story.moment(f"{phase}: {made.name} is active")
        await asyncio.sleep(steady_seconds)


@asynccontextmanager
async def _watched(client: SightlineClient, story: _Story) -> AsyncIterator[None]:
    """Tell of a backfill's progress, a quarter at a time."""

    async def look() -> None:
        quarters = 0
        while True:
            building = next((each for each in await _live(client) if not each.active), None)
            if building is not None and building.indexed_count and building.pending_count:
                whole = building.indexed_count + building.pending_count
                if (now := 4 * building.indexed_count // whole) > quarters:
                    quarters = now
                    story.moment(f"backfill: {building.indexed_count:,} of {whole:,} photos")
            await asyncio.sleep(_LOOK_SECONDS)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _command(client: SightlineClient, target: str, *arguments: str) -> dict[str, Any]:
    """Run ``sightline index …`` and return its report. UpgradeFailed when it ends with an error."""
    process = await asyncio.create_subprocess_exec(
        SIGHTLINE,
        *("index", *arguments, "--json", "--target", target, "--catalog", client.catalog),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, wrong = await process.communicate()
    if process.returncode:
        raise UpgradeFailed(
            f"sightline index {' '.join(arguments)}: {wrong.decode()}{out.decode()}"
        )
    answer: dict[str, Any] = json.loads(out)
    return answer


async def _live(client: SightlineClient) -> Sequence[Generation]:
    return await client.list_generations(space=SPACE)


async def _active(client: SightlineClient) -> Generation:
    return next(each for each in await _live(client) if each.active)
