"""The screen that compares two models: answers to typed shoppers and to the last requests."""

import asyncio
from dataclasses import dataclass, replace

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _, later
from sightline_client.cli.show import scenes
from sightline_client.values.operations import Model
from sightline_client.values.scenes import SceneDiff
from sightline_console.screens import comparing, pairs, shopper_group
from sightline_console.screens.answering import listed_scenes
from sightline_console.screens.pairs import Pair
from sightline_console.screens.sections import Section, section
from sightline_console.screens.shopper_group import Group
from sightline_console.screens.visit import Visit
from sightline_console.web.addresses import address

PATH = "/models/compare"
DEFAULT = "default"
_LATER = later("No request could be answered by both: load the page again in a minute.")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Two models, and the scene that they order."""

    before: str
    """Empty: the model in use."""
    after: str
    """Empty: none is chosen yet."""
    scene: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Answers to recent requests by two models."""

    sentences: tuple[str, ...]
    pairs: tuple[Pair, ...]
    """Pairs of answers that differ most."""


async def show(visit: Visit) -> Response:
    """Show a form with the models and scenes, and what the chosen ones answer."""
    visit.wait(more=pairs.SECONDS)
    asked = visit.request.query_params
    chosen = Chosen(asked.get("before", ""), asked.get("after", ""), asked.get("scene") or DEFAULT)
    group = shopper_group.kept(visit, asked.get("group", "")) or Group()
    found, known = await asyncio.gather(section(_models(visit.client)), listed_scenes(visit.client))
    models = found.found or ()
    serving = next((each.model_version for each in models if each.promoted), "")
    same = bool(chosen.after) and chosen.after == (chosen.before or serving)
    compared: Section[Compared] | None = None
    shoppers: list[Pair] = []
    if chosen.after and not same:
        compared, shoppers = await asyncio.gather(
            section(_compared(visit, chosen)), _by_shopper(visit, chosen, group)
        )
    return visit.page(
        "model_compare",
        400 if same else 200,
        models=models,
        listed=found,
        serving=serving,
        scenes=[each.scene for each in known.scenes] if known else [DEFAULT],
        chosen=chosen,
        group=group,
        most=shopper_group.MOST,
        problem=_("Choose two different models.") if same else "",
        compared=compared,
        shoppers=shoppers,
    )


async def ask(visit: Visit) -> Response:
    """Keep the shoppers of a form for the session, and lead to the comparison for them."""
    sent = (await visit.form()).fields
    chosen = [(name, sent.get(name, "")) for name in ("before", "after", "scene")]
    reference = await shopper_group.keep(visit, sent)
    return visit.go(address(PATH, [*chosen, ("group", reference)]))


async def _models(client: SightlineClient) -> tuple[Model, ...]:
    return tuple(each for each in await client.list_models() if not each.pruned)


async def _diff(
    visit: Visit, chosen: Chosen, *, user: str | None = None, visitor: str | None = None
) -> SceneDiff:
    """Compare the models for a shopper; for none, on the last requests."""
    return await visit.client.diff_scene(
        scene=chosen.scene,
        answer_count=comparing.ANSWERS,
        place_count=pairs.PLACES,
        current_model_version=chosen.before,
        model_version=chosen.after,
        user=user,
        visitor=visitor,
        timeout=pairs.SECONDS,
    )


async def _compared(visit: Visit, chosen: Chosen) -> Compared:
    found = await _diff(visit, chosen)
    return Compared(_sentences(found), tuple(await comparing.recent(visit, found)))


async def _by_shopper(visit: Visit, chosen: Chosen, group: Group) -> list[Pair]:
    """Return what each shopper is shown by either model, or why that is not known."""
    found = await asyncio.gather(
        *(section(_diff(visit, chosen, **group.who(each))) for each in group.ids)
    )
    answers = [next(iter(each.found.answers), None) if each.found else None for each in found]
    shown = await pairs.of_answers(visit, zip(group.ids, answers, strict=True))
    return [replace(pair, problem=_problem(each)) for pair, each in zip(shown, found, strict=True)]


def _problem(one: Section[SceneDiff]) -> str:
    """Say why a shopper's answers are not compared; empty: they are."""
    if one.told is not None:
        title, _reason, text = one.told
        return title + _(".") + f" {text}"
    return "" if one.found and one.found.answer_count else _(_LATER)


def _sentences(found: SceneDiff) -> tuple[str, ...]:
    if found.answer_count:
        about_scenes = (_(scenes.ANEW), _(scenes.RECORDED))
        return tuple(each for each in scenes.summary(found) if each not in about_scenes)
    if found.skipped_count:
        return (_(_LATER),)
    return (
        _(
            "The gateway has had no request to this scene in the last hour: choose another scene,"
            " or send some by Try it."
        ),
    )
