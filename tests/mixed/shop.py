"""Reads and writes while releases change, as in tests/chaos, with operations that one release
begins and another may have to finish: a later page, a click with an answer's token, a search.
"""

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
RATES: Final = {**dict.fromkeys(WHOLE, 1.0), **dict.fromkeys((*LATER, *WRITES), 0.5)}
"""Calls a second: what two cores answer in a third of their time."""


def asks(client: SightlineClient, ledger: Ledger, seed: int) -> dict[str, Ask]:
    """Return requests of every kind."""
    made = {**shoppers(client, seed), **later(client, ledger), **writers(client, ledger)}
    return {kind: _valid(ask) for kind, ask in made.items()}


def later(client: SightlineClient, ledger: Ledger) -> dict[str, Ask]:
    """Return requests about a product, with follow-up requests from their answers a while later."""
    wines, numbers = [wine.id for wine in WINES], count()
    answers: list[tuple[str, Recommendations]] = []
    """And the products that were asked about."""

    async def product() -> Recommendations:
        wine = wines[next(numbers) % len(wines)]
        answer = await client.recommend(products=wine, page_size=PAGE)
        answers.append((wine, answer))
        return answer

    async def page() -> Recommendations:
        wine, before = answers[-1] if answers else (wines[0], None)
        token = before.next_page_token if before else ""
        return await client.recommend(products=wine, page_size=PAGE, page_token=token)

    async def click() -> None:
        _, seen = answers[-1] if answers else ("", None)
        number, now = next(numbers), datetime.now(UTC)
        event = Event(
            f"click-{number}",
            EventType.CLICK,
            seen.results[0].product.product_id if seen else wines[0],
            f"u-{number}",
            time=now,
            attribution_token=seen.attribution_token if seen else "",
        )
        report = await client.write_events([event])
        for refused in report.failures:
            raise refused.error
        ledger.events.append(event)

    async def search() -> None:
        found = await client.search(products=wines[next(numbers) % len(wines)], page_size=PAGE)
        if not found.results or not all(math.isfinite(each.similarity) for each in found.results):
            raise _broken("nothing found, or no similarity")

    return {"product": product} | dict(zip(LATER, (page, click, search), strict=True))


def _valid(ask: Ask) -> Ask:
    async def asked() -> Recommendations | None:
        answer = await ask()
        if answer is not None and (wrong := fault(answer)):
            raise _broken(wrong)
        return answer

    return asked


def fault(answer: Recommendations) -> str:
    """Return the fault of an answer that no mix of releases may give; "": none."""
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
