"""The screen that compares a draft with the scene in use: for shoppers, and for recent requests."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.cli.show import scenes
from sightline_client.cli.work import answer_pages
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_client.values.answers import Recommendations
from sightline_client.values.products import Product
from sightline_client.values.scenes import SceneDiff
from sightline_console.screens import steering
from sightline_console.screens.asked import Asked, AskedInvalid
from sightline_console.screens.shelf import asked_of
from sightline_console.screens.shopper import admit_first
from sightline_console.screens.steering import Preview, Steered
from sightline_console.screens.visit import Visit, text_of

PATH = "/shelf/compare"
GROUP = "shoppers"
"""Kind of kept files that name shoppers."""
MOST_SHOPPERS = 5
PLACES = 6
"""Number of products that are compared."""
ANSWERS = 50
"""Maximum number of recent requests that are answered by both."""
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A product at a place before or after a change."""

    product_id: str
    product: Product | None
    """None: unknown."""
    was: int
    """Its place on the other side; 0: not there."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The products of one request, before and after."""

    title: str
    before: tuple[Place, ...]
    after: tuple[Place, ...]
    problem: str = ""

    @property
    def is_same(self) -> bool:
        """True if nothing changes."""
        return [each.product_id for each in self.before] == [each.product_id for each in self.after]


@dataclass(frozen=True, slots=True)
class Group:
    """Shoppers for whom a draft is compared."""

    ids: tuple[str, ...]
    is_user: bool
    """True if they are known customers."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Field of the form → what is wrong with it."""


async def show(visit: Visit) -> Response:
    """Show the shelf of a visitor and of up to five shoppers, before and after, and what the draft
    changes in the last requests to the scene."""
    query = visit.request.query_params
    asked = replace(asked_of(visit, query), photo="", size=str(PLACES))
    group = _group(visit, asked, query.get("group", ""))
    asked = asked.without("shopper", "kind")
    held = await steering.steered(visit.client, asked.scene)
    effect = await asyncio.to_thread(steering.effect, held)
    kind = "user" if group.is_user else ""
    anyone = replace(asked, who="", kind=kind)
    requests = [replace(anyone, shopper=each) for each in ("", *group.ids)]
    (difference, problem), pairs = await asyncio.gather(
        _diff(visit, held), _pairs(visit, requests, effect)
    )
    return visit.page(
        "compare",
        asked=asked,
        shoppers=" ".join(group.ids),
        is_user=group.is_user,
        problems=group.problems,
        most=MOST_SHOPPERS,
        held=held,
        effect=effect,
        pairs=pairs,
        difference=difference,
        problem=problem,
        recent=await recent(visit, difference),
        words=scenes,
    )


async def ask(visit: Visit) -> Response:
    """Keep the shoppers of a form for the session, and lead to the comparison for them."""
    sent = (await visit.form()).fields
    asked = asked_of(visit, sent).without("shopper", "kind")
    ids = list(
        dict.fromkeys(each for each in re.split(r"[\s,;]+", sent.get("shoppers", "")) if each)
    )
    if not ids:
        return visit.go(asked.without("who").address(PATH))
    await admit_first(visit)
    kind = "u" if sent.get("kind") == "user" else "v"
    content = kind + " ".join(ids[:MOST_SHOPPERS])
    return visit.go(asked.address(PATH, group=visit.keep(GROUP, content.encode())))


def _group(visit: Visit, asked: Asked, reference: str) -> Group:
    """Return the shoppers that an address refers to, else that of its request."""
    content = visit.kept(GROUP, reference) if reference else None
    if content is not None:
        return Group(tuple(content[1:].decode().split()), content[:1] == b"u")
    gone = reference or (asked.who and not asked.shopper)
    text = _("This shopper is not kept any more: type the id again.")
    ids = (asked.shopper,) if asked.shopper and not reference else ()
    return Group(ids, asked.kind == "user", {"shoppers": text} if gone else {})


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
    return _paired(title, _products(before), _products(after))


def _products(found: Recommendations) -> dict[str, Product | None]:
    return {each.product.product_id: each.product for each in found.results}


def _paired(
    title: str, before: dict[str, Product | None], after: dict[str, Product | None]
) -> Pair:
    return Pair(title, _places(before, after), _places(after, before))


def _places(one: dict[str, Product | None], other: dict[str, Product | None]) -> tuple[Place, ...]:
    at = {product_id: place for place, product_id in enumerate(other, 1)}
    return tuple(Place(key, product, at.get(key, 0)) for key, product in one.items())


async def _diff(visit: Visit, held: Steered) -> tuple[SceneDiff | None, str]:
    """Compare the answers to the last requests; else say why they are not compared."""
    if not (held.has_draft and held.live):
        return None, _("There is no draft to compare.")
    try:
        found = await visit.client.diff_scene(
            scene=held.scene,
            toml=held.text,
            answer_count=ANSWERS,
            place_count=PLACES,
            timeout=SECONDS,
        )
    except Unauthenticated:
        raise
    except SightlineError as error:
        return None, text_of(error)
    return found, ""


async def recent(visit: Visit, found: SceneDiff | None) -> list[Pair]:
    """Return the requests whose answers change most, with their products."""
    answers = found.answers[:MOST_SHOPPERS] if found else ()
    ids = [
        product_id
        for each in answers
        for product_id in (*each.before_product_ids, *each.after_product_ids)
    ]
    known: dict[str, Any] = await answer_pages.products_of(visit.client, dict.fromkeys(ids))
    return [
        _paired(
            _("Request {number}", number=number),
            {key: known.get(key) for key in each.before_product_ids},
            {key: known.get(key) for key in each.after_product_ids},
        )
        for number, each in enumerate(answers, 1)
    ]
