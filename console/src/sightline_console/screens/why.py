"""The screen "Why": why a product is, or is not, in the answer to a request."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.cli.show import explained, page
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_client.values.answers import SearchResults
from sightline_client.values.explanations import ExplainedScore, Explanation, ProductOutcome
from sightline_client.values.requests import RecommendOptions
from sightline_console.pages.blocks import blocks
from sightline_console.screens import verdicts
from sightline_console.screens.answering import listed_scenes
from sightline_console.screens.asked import Asked, AskedInvalid, placed
from sightline_console.screens.shopper import asked_by
from sightline_console.screens.try_it import PHOTO
from sightline_console.screens.visit import Visit, reason_of, status_of, text_of, title_of

A = TypeVar("A")

PATH = "/why"
MAP = "map"
"""Kind of kept files that are heat maps."""
NEIGHBOURS = 6


@dataclass(frozen=True, slots=True)
class ShownScore:
    """A score, in words."""

    title: str
    total: float
    bars: tuple[page.Bar, ...]


@dataclass(frozen=True, slots=True)
class HeatMapShown:
    """A heat map that the session keeps, or why there is none."""

    file_id: str
    problem: str


async def show(visit: Visit) -> Response:
    """Show the form, and the explanation of the product of the address."""
    asked = asked_by(visit, visit.request.query_params).without()
    product_id = visit.request.query_params.get("why", "").strip()
    if not product_id:
        return _page(visit, asked, product_id)
    photo = visit.kept(PHOTO, asked.photo)
    try:
        options = asked.recommending(photo, visit.language)
        found = await visit.client.explain(product_id, **options)
    except AskedInvalid as error:
        return _page(visit, asked, product_id, status=400, problems=error.problems)
    except Unauthenticated:
        raise
    except SightlineError as error:
        problems = placed(error)
        told = None if problems else (title_of(error), reason_of(error), text_of(error))
        status = status_of(error)
        return _page(visit, asked, product_id, status=status, problems=problems, told=told)
    near, drawn, otherwise, listed = await asyncio.gather(
        _neighbours(visit, asked, found),
        _heat_map(visit, asked, found, photo),
        _otherwise(visit, asked, found, options),
        listed_scenes(visit.client),
    )
    return _page(
        visit,
        asked,
        product_id,
        found=found,
        scores=_scores(found),
        steps=verdicts.steps(found.outcome),
        lists=verdicts.lists(found),
        moves=verdicts.moves(found),
        rules=[block for each in explained.rules(found) for block in blocks(each)],
        remedies=verdicts.remedies(asked, product_id, found, otherwise),
        near=near,
        heat_map=drawn,
        listed=listed,
    )


def _page(
    visit: Visit, asked: Asked, product_id: str, *, status: int = 200, **values: Any
) -> Response:
    known: dict[str, Any] = {"found": None, "problems": {}, "told": None, "listed": None}
    return visit.page("why", status, asked=asked, product_id=product_id, **{**known, **values})


async def _neighbours(visit: Visit, asked: Asked, found: Explanation) -> SearchResults | None:
    """Return the products that look like the product; None: unknown."""
    if found.product is None:
        return None
    return await _if_possible(
        visit.client.search(
            products=(found.product.product_id,),
            market=asked.market,
            page_size=NEIGHBOURS,
            language=visit.language,
        )
    )


async def _heat_map(
    visit: Visit, asked: Asked, found: Explanation, photo: bytes | None
) -> HeatMapShown | None:
    """Draw what makes the photo and the product similar; None: there is nothing to compare."""
    if photo is None or found.product is None or not found.product.images:
        return None
    try:
        drawn = await visit.client.heat_map(photo, found.product.product_id, box=asked.box())
    except Unauthenticated:
        raise
    except SightlineError as error:
        return HeatMapShown("", text_of(error))
    return HeatMapShown(visit.keep(MAP, drawn.png), "")


async def _otherwise(
    visit: Visit, asked: Asked, found: Explanation, options: RecommendOptions
) -> Explanation | None:
    """Explain the product for the request without what lost it; None: that is no part of the
    request."""
    changed: RecommendOptions = {**options}
    match found.outcome:
        case ProductOutcome.FILTERED if asked.filter:
            changed["filter"] = None
        case ProductOutcome.HIDDEN | ProductOutcome.SEEN:
            changed["user"] = changed["visitor"] = None
        case _:
            return None
    return await _if_possible(visit.client.explain(verdicts.id_of(found), **changed))


async def _if_possible(call: Awaitable[A]) -> A | None:
    """Return the answer to a call; None: it failed, which leaves the rest of the page."""
    try:
        return await call
    except Unauthenticated:
        raise
    except SightlineError:
        return None


def _scores(found: Explanation) -> list[ShownScore]:
    """Return the product's score, then that of the last product shown, on one scale."""
    titled: list[tuple[str, ExplainedScore]] = []
    if found.score is not None:
        titled.append((_("its score"), found.score))
    last = found.last_shown
    if last is not None and (found.score is None or last.product_id != found.score.product_id):
        name = _("the last product shown, {product_id}", product_id=last.product_id)
        titled.append((name, last))
    largest = max((abs(part.value) for _title, one in titled for part in one.parts), default=0.0)
    return [
        ShownScore(title, one.raw_score, page.score_bars(one.parts, largest))
        for title, one in titled
    ]
