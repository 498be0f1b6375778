"""The screen "Models and indexes": versions and their evaluation, spaces, generations, jobs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.cli.show import (
    evaluation_page,
    evaluation_tables,
    evaluation_words,
    listings,
    space_tables,
    trained,
)
from sightline_client.cli.show.evaluation_page import Plot
from sightline_client.values.operations import Generation, GenerationState, Job, Model
from sightline_client.values.spaces import Space, SpaceState
from sightline_console.pages.blocks import Block, Line, Link, blocks, listed
from sightline_console.screens import changes, model_comparing
from sightline_console.screens.changes import PATH
from sightline_console.screens.sections import Section, section
from sightline_console.screens.visit import Visit
from sightline_console.web.addresses import address

JOBS = 20
"""Number of the newest jobs that are shown."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Findings of an evaluation."""

    advice: str
    differences: Plot | None
    figures: Plot | None
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Models:
    """The models, and the one that the address names, else the newest."""

    listed: Sequence[Block]
    acts: Sequence[Link]
    version: str = ""
    """Empty: there is no model."""
    trained: Sequence[Block] = ()
    evaluated: Section[Evaluated] | None = None


@dataclass(frozen=True, slots=True)
class Jobs:
    """The newest jobs."""

    listed: Sequence[Block]
    running: bool
    """True if one has not ended."""


async def show(visit: Visit) -> Response:
    """Show the models, the spaces, the generations and the jobs."""
    client, wanted = visit.client, visit.request.query_params
    models, spaces, generations, jobs = await asyncio.gather(
        section(_models(client, wanted.get("model", ""))),
        section(_spaces(client)),
        section(_generations(client)),
        section(_jobs(client)),
    )
    done = changes.CHANGES.get(wanted.get("done", ""))
    return visit.page(
        "models",
        done="" if done is None else _(done.done),
        models=models,
        spaces=spaces,
        generations=generations,
        jobs=jobs,
    )


async def _models(client: SightlineClient, version: str) -> Models:
    found = await client.list_models()
    shown = next((each for each in found if each.model_version == version), None)
    chosen = shown or next(iter(found), None)
    acts = [changes.link("train-model")]
    if chosen is None:
        return Models(blocks(listings.models(())), acts)
    acts += [changes.link("evaluate-model", chosen.model_version), changes.link("roll-back-model")]
    two = [("after", "" if chosen.promoted else chosen.model_version)]
    acts.append(Link(_("Compare two models"), address(model_comparing.PATH, two)))
    if any(each.promoted for each in found):
        acts.append(changes.link("demote-model"))
    return Models(
        listed(listings.models, found, _of_model),
        acts,
        chosen.model_version,
        blocks(trained.model(chosen)),
        await section(_evaluated(client, chosen.model_version)),
    )


def _of_model(model: Model) -> list[Link]:
    details = Link(_("Details"), address(PATH, [("model", model.model_version)]))
    if model.promoted or model.pruned:
        return [details]
    return [details, changes.link("promote-model", model.model_version)]


async def _evaluated(client: SightlineClient, version: str) -> Evaluated:
    found = await client.get_evaluation(version)
    trial = next(iter(found.trials), None)
    advice = evaluation_words.advice(found)
    shown = blocks(evaluation_tables.evaluation(found))
    return Evaluated(
        advice,
        evaluation_page.difference_plot(trial) if trial and trial.comparisons else None,
        evaluation_page.figure_plot(trial.systems, "regulars", "ndcg@10") if trial else None,
        [each for each in shown if each != Line(advice, "strong")],
    )


async def _spaces(client: SightlineClient) -> list[Block]:
    found = await client.list_spaces(include_all=True)
    return listed(space_tables.spaces, found, _of_space)


def _of_space(space: Space) -> list[Link]:
    if space.state is SpaceState.CANDIDATE:
        return [changes.link("promote-space", space.version)]
    if space.state is SpaceState.SERVING and space.fitted and not space.default:
        return [changes.link("retire-space", space.version)]
    return []


async def _generations(client: SightlineClient) -> list[Block]:
    return listed(listings.generations, await client.list_generations(), _of_generation)


def _of_generation(one: Generation) -> list[Link]:
    if one.previous:
        return [changes.link("roll-back-generation", one.space)]
    if one.state is GenerationState.READY and not one.active:
        return [changes.link("activate-generation", one.name)]
    return []


async def _jobs(client: SightlineClient) -> Jobs:
    found: list[Job] = []
    async for job in client.list_jobs():
        found.append(job)
        if len(found) == JOBS:
            break
    return Jobs(listed(listings.jobs, found, _of_job), any(not each.ended for each in found))


def _of_job(job: Job) -> list[Link]:
    return [] if job.ended else [changes.link("cancel-job", job.job_id)]
