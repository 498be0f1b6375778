"""Roll-out of a space's version: create, backfill, verify, activate.

Each step first reads the state of the suite, so an interrupted roll-out can be continued.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sightline_client.cli.language import _, later
from sightline_client.cli.work import following
from sightline_client.client import SightlineClient
from sightline_client.convert import from_wire
from sightline_client.errors import FailedPrecondition
from sightline_client.values.operations import (
    Generation,
    GenerationState,
    IndexMetric,
    Job,
    JobState,
    Verification,
)

OFFER_SECONDS = 15.0
"""Maximum seconds until the suite notices a version that the embedder has begun to serve."""
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline."""

    time: datetime
    name: str
    result: str
    """Result of the step."""
    seconds: float


@dataclass(slots=True)
class Upgrade:
    """Progress of an upgrade: its steps so far."""

    steps: list[Step] = field(default_factory=list)
    generation: Generation | None = None
    """The new generation."""
    done: bool = False
    """Whether the new generation is active."""

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[list[str]]:
        """Time a step. Lines that are appended to the list are its result."""
        begun, clock, result = datetime.now(UTC), time.monotonic(), list[str]()
        try:
            yield result
        finally:
            took = time.monotonic() - clock
            self.steps.append(Step(begun, name, " ".join(result) or _("did not finish"), took))


async def upgrade(client: SightlineClient, space: str, version: str, made: Upgrade) -> None:
    """Roll a version out, or continue its roll-out; ``made`` shows its progress, also after an
    error.

    ``version``: the space's version, or the name of its model; "" = the embedder's default version
    in the space "visual".
    """
    wanted = await _wanted(client, space, version)
    listed = await client.list_generations(space=space)
    active = next((each for each in listed if each.active), None)
    if active is not None and active.space_version == wanted:
        made.generation, made.done = active, True
        async with made.step(later("look")) as result:
            result.append(_("{name} has this version and is active: nothing to do", active))
        return
    begun = [each for each in listed if each.space_version == wanted and not each.active]
    async with made.step(later("create")) as result:
        if begun:
            generation = begun[-1]
            result.append(_("{name} exists, {state}", generation, state=generation.state.lower()))
        else:
            generation = await _create(client, space, wanted, active)
            result.append(f"{generation.name}, {generation.dimension}-d")
    made.generation = generation
    if generation.active:  # the catalog's first
        made.done = True
        return
    if await _backfilled(client, generation, made) and await _verified(client, generation, made):
        async with made.step(later("activate")) as result:
            made.generation = await client.activate_generation(generation.name)
            result.append(
                _(
                    "{name} instead of {former}",
                    generation,
                    former=active.name if active else _("nothing"),
                )
            )
        made.done = True


async def _wanted(client: SightlineClient, space: str, asked: str) -> str:
    """Return the version with this name, or the one of the model with this name."""
    status = await client.status()
    made_by = {each.model: each.version for each in status.embedder_spaces if each.space == space}
    return made_by.get(asked) or asked or status.embedder_space_version


async def _create(
    client: SightlineClient, space: str, version: str, active: Generation | None
) -> Generation:
    """Create a generation that is searched as the active one is. Wait for a version that began to
    be served only a moment ago."""
    end = time.monotonic() + OFFER_SECONDS
    while True:
        try:
            return await client.create_generation(
                space=space,
                space_version=version,
                metric=active.metric if active is not None else IndexMetric.COSINE,
                parameters=active.parameters if active is not None else None,
            )
        except FailedPrecondition as error:
            if error.reason != "SPACE_UNAVAILABLE" or time.monotonic() > end:
                raise
        await asyncio.sleep(LOOK_SECONDS)


async def _backfilled(client: SightlineClient, generation: Generation, made: Upgrade) -> bool:
    """Backfill a generation that lacks photos. Return whether it holds all of them."""
    if generation.state is not GenerationState.BUILDING:
        return True
    async with made.step(later("backfill")) as result:
        job = await _done(client, await client.backfill_generation(generation.name))
        result.append(_("{done:,} of {total:,} photos", job) + _bad_end(job))
    return following.ended_well(job)


async def _verified(client: SightlineClient, generation: Generation, made: Upgrade) -> bool:
    """Verify a generation. Return whether it passed."""
    async with made.step(later("verify")) as result:
        job = await _done(client, await client.verify_generation(generation.name))
        if not following.ended_well(job):
            result.append(_bad_end(job).strip(", "))
            return False
        listed = await client.list_generations(space=generation.space)
        made.generation = next(each for each in listed if each.name == generation.name)
        found = made.generation.verification
        passed = found is not None and found.passed
        result.append(_("passed") if passed else _("failed"))
        if found is not None:
            result.append(_found(found))
    return passed


async def _done(client: SightlineClient, job: Job) -> Job:
    return from_wire.job(await following.follow(client, job.job_id))


def _found(value: Verification) -> str:
    figures = [_("recall at {k:,} {recall:.4f}", value)]
    if value.filtered_recall is not None:
        figures.append(_("under a filter {filtered_recall:.4f}", value))
    figures.append(_("{sample_count:,} photos agree to {least_agreement:.4f}", value))
    return f"({', '.join(figures)})"


def _bad_end(job: Job) -> str:
    return "" if job.state is JobState.SUCCEEDED else _(", ended as {state}", job)
