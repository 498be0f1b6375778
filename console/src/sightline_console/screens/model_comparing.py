"""The screen that compares two models: the last requests to a scene, answered by each."""

import asyncio
from dataclasses import dataclass

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.cli.show import scenes
from sightline_client.values.operations import Model
from sightline_client.values.scenes import SceneDiff
from sightline_console.screens import comparing
from sightline_console.screens.answering import scene_names
from sightline_console.screens.comparing import Pair
from sightline_console.screens.sections import Section, section
from sightline_console.screens.visit import Visit

PATH = "/models/compare"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Compared:
    """Answers to recent requests by two models."""

    sentences: tuple[str, ...]
    pairs: tuple[Pair, ...]
    """Pairs of answers that differ most."""


async def show(visit: Visit) -> Response:
    """Show a form with the models and scenes, and what the chosen ones answer."""
    asked = visit.request.query_params
    before, after, scene = (asked.get(name, "") for name in ("before", "after", "scene"))
    found, names = await asyncio.gather(section(_models(visit.client)), scene_names(visit.client))
    models = found.found or ()
    serving = next((each.model_version for each in models if each.promoted), "")
    problem = ""
    compared: Section[Compared] | None = None
    if after and after == (before or serving):
        problem = _("Choose two different models.")
    elif after:
        compared = await section(_compared(visit, before, after, scene or DEFAULT))
    return visit.page(
        "model_compare",
        400 if problem else 200,
        models=models,
        listed=found,
        serving=serving,
        scenes=names or (DEFAULT,),
        before=before,
        after=after,
        scene=scene or DEFAULT,
        problem=problem,
        compared=compared,
    )


async def _models(client: SightlineClient) -> tuple[Model, ...]:
    return tuple(each for each in await client.list_models() if not each.pruned)


async def _compared(visit: Visit, before: str, after: str, scene: str) -> Compared:
    found = await visit.client.diff_scene(
        scene=scene,
        answer_count=comparing.ANSWERS,
        place_count=comparing.PLACES,
        current_model_version=before,
        model_version=after,
        timeout=comparing.SECONDS,
    )
    return Compared(_sentences(found), tuple(await comparing.recent(visit, found)))


def _sentences(found: SceneDiff) -> tuple[str, ...]:
    if found.answer_count:
        about_scenes = (_(scenes.ANEW), _(scenes.RECORDED))
        return tuple(each for each in scenes.summary(found) if each not in about_scenes)
    if found.skipped_count:
        return (_("No request could be answered by both: load the page again in a minute."),)
    return (
        _(
            "The gateway has had no request to this scene in the last hour: choose another scene,"
            " or send some by Try it."
        ),
    )
