"""The screen that compares a draft with the scene in use: for shoppers, and for recent requests."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.cli.show import scenes
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_client.values.answers import Recommendations
from sightline_client.values.scenes import SceneDiff
from sightline_console.screens import pairs, shopper_group, steering
from sightline_console.screens.asked import Asked, AskedInvalid
from sightline_console.screens.pairs import Pair, Products
from sightline_console.screens.shelf import asked_of
from sightline_console.screens.shopper_group import Group
from sightline_console.screens.steering import Preview, Steered
from sightline_console.screens.visit import Visit, text_of

PATH = "/shelf/compare"
ANSWERS = 50
"""Maximum number of recent requests that are answered by both."""
SHOWN = 5
"""Maximum number of these that are shown."""


async def show(visit: Visit) -> Response:
    """Show the shelf of a visitor and of up to five shoppers, before and after, and what the draft
    changes in the last requests to the scene."""
    visit.wait(more=pairs.SECONDS)
    query = visit.request.query_params
    asked = replace(asked_of(visit, query), photo="", size=str(pairs.PLACES))
    group = _group(visit, asked, query.get("group", ""))
    asked = asked.without("shopper", "kind")
    held = await steering.steered(visit.client, asked.scene)
    effect = await asyncio.to_thread(steering.effect, held)
    kind = "user" if group.is_user else ""
    anyone = replace(asked, who="", kind=kind)
    requests = [replace(anyone, shopper=each) for each in ("", *group.ids)]
    (difference, problem), shown = await asyncio.gather(
        _diff(visit, held), _pairs(visit, requests, effect)
    )
    return visit.page(
        "compare",
        asked=asked,
        group=group,
        most=shopper_group.MOST,
        held=held,
        effect=effect,
        pairs=shown,
        difference=difference,
        problem=problem,
        recent=await recent(visit, difference),
        words=scenes,
    )


async def ask(visit: Visit) -> Response:
    """Keep the shoppers of a form for the session, and lead to the comparison for them."""
    sent = (await visit.form()).fields
    asked = asked_of(visit, sent).without("shopper", "kind")
    reference = await shopper_group.keep(visit, sent)
    if not reference:
        return visit.go(asked.without("who").address(PATH))
    return visit.go(asked.address(PATH, group=reference))


def _group(visit: Visit, asked: Asked, reference: str) -> Group:
    """Return the shoppers that an address refers to, else that of its request."""
    kept = shopper_group.kept(visit, reference)
    if kept is not None:
        return kept
    if asked.who and not asked.shopper:
        return Group.gone()
    return Group((asked.shopper,) if asked.shopper else (), asked.kind == "user")


async def _pairs(visit: Visit, requests: Iterable[Asked], effect: Preview) -> list[Pair]:
    return await asyncio.gather(*(_pair(visit, each, effect) for each in requests))


async def _pair(visit: Visit, asked: Asked, effect: Preview) -> Pair:
    """Answer a shopper with and without the draft."""
    title = asked.shopper or _("a visitor")
    try:
        options = asked.recommending(None, visit.language)
        with_draft = options.copy()
        with_draft["controls"] = effect.controls
        before, after = await asyncio.gather(
            visit.client.recommend(**options), visit.client.recommend(**with_draft)
        )
    except AskedInvalid as error:
        return Pair(title, (), (), "; ".join(error.problems.values()))
    except Unauthenticated:
        raise
    except SightlineError as error:
        return Pair(title, (), (), text_of(error))
    return pairs.paired(title, _products(before), _products(after))


def _products(found: Recommendations) -> Products:
    return {each.product.product_id: each.product for each in found.results}


async def _diff(visit: Visit, held: Steered) -> tuple[SceneDiff | None, str]:
    """Compare the answers to the last requests; else say why they are not compared."""
    if not (held.has_draft and held.live):
        return None, _("There is no draft to compare.")
    try:
        found = await visit.client.diff_scene(
            scene=held.scene,
            toml=held.text,
            answer_count=ANSWERS,
            place_count=pairs.PLACES,
            timeout=pairs.SECONDS,
        )
    except Unauthenticated:
        raise
    except SightlineError as error:
        return None, text_of(error)
    return found, ""


async def recent(visit: Visit, found: SceneDiff | None) -> list[Pair]:
    """Return the requests whose answers change most, with their products."""
    answers = found.answers[:SHOWN] if found else ()
    numbered = enumerate(answers, 1)
    return await pairs.of_answers(
        visit, ((_("Request {number}", number=number), each) for number, each in numbered)
    )
