"""Who asks and writes while releases change: as in tests/chaos, and what one release begins and
another one may have to end: a later page, a click that carries an answer's token, a search."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import count
from typing import Final

import grpc

from sightline_client import Event, EventType, Recommendations, SightlineClient, SightlineError
from sightline_client.errors import Failure, make
from tests.chaos.suite.shop import PAGE, WHOLE, WRITES, Ask, Ledger, shoppers, writers
from tests.live.hands import WINES

LATER: Final = ("next page", "click", "search")
RATES: Final = {**dict.fromkeys(WHOLE, 2.0), **dict.fromkeys((*LATER, *WRITES), 1.0)}
"""Calls a second."""


def asks(client: SightlineClient, ledger: Ledger, seed: int) -> dict[str, Ask]:
    """Every kind of call."""
    made = {**shoppers(client, seed), **later(client, ledger), **writers(client, ledger)}
    return {kind: _valid(ask) for kind, ask in made.items()}


def later(client: SightlineClient, ledger: Ledger) -> dict[str, Ask]:
    """What goes on from an answer of a while before."""
    wines, numbers = [wine.id for wine in WINES], count()
    first: list[tuple[str, str]] = []
    """Product and the token of the second page."""
    shown: list[tuple[str, str]] = []
    """Product and the token of the answer."""

    async def page() -> Recommendations:
        wine = wines[next(numbers) % len(wines)]
        answer = await client.recommend(products=wine, page_size=PAGE)
        first.append((wine, answer.next_page_token))
        shown.append((answer.results[0].product.product_id, answer.attribution_token))
        before, token = first[-2] if len(first) > 1 else first[-1]
        return await client.recommend(products=before, page_size=PAGE, page_token=token)

    async def click() -> None:
        product, token = shown[-1] if shown else (wines[0], "")
        number, now = next(numbers), datetime.now(UTC)
        event = Event(
            f"click-{number}",
            EventType.CLICK,
            product,
            f"u-{number}",
            time=now,
            attribution_token=token,
        )
        report = await client.write_events([event])
        for refused in report.failures:
            raise refused.error
        ledger.events.append(event)

    async def search() -> None:
        found = await client.search(products=wines[next(numbers) % len(wines)], page_size=PAGE)
        if not found.results or not all(math.isfinite(each.similarity) for each in found.results):
            raise _broken("nothing found, or no similarity")

    return dict(zip(LATER, (page, click, search), strict=True))


def _valid(ask: Ask) -> Ask:
    async def asked() -> Recommendations | None:
        answer = await ask()
        if answer is not None and (wrong := fault(answer)):
            raise _broken(wrong)
        return answer

    return asked


def fault(answer: Recommendations) -> str:
    """What no answer may be, whichever releases made it; "" = it is not."""
    ids = [each.product.product_id for each in answer.results]
    if len(set(ids)) < len(ids):
        return "a product twice"
    if [each.rank for each in answer.results] != sorted(each.rank for each in answer.results):
        return "not in the order of its ranks"
    if not all(math.isfinite(each.raw_score) for each in answer.results):
        return "a score that is no number"
    return ""


def _broken(what: str) -> SightlineError:
    return make(Failure(grpc.StatusCode.INTERNAL, what, f"INVALID: {what}"))
