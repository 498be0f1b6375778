"""The most expensive requests as attackers, each with a key of its own, beside a regular caller."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc

from local_suite.suite import Suite
from servicekit.status import from_rpc_error
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.chaos.model import NotMeasured
from tests.chaos.suite.crowd import WHOLE, Ask, Got, Phase, check_pace, come, counted, p99
from tests.fuzz.cost.apart import apart
from tests.fuzz.cost.recipes import CATALOG, WORDS, Recipe
from tests.fuzz.cost.stage import CALM, DEADLINE_SECONDS, Keys, channel_to
from tests.fuzz.surface import named

P99_TIMES: Final = 2.0
"""Limit of the calm caller's p99, times that of it alone."""
GOODPUT: Final = 0.9
"""Limit of the share of whole answers of the calm caller."""
CALM_DEADLINE: Final = 2.0
PHASE: Final = Phase(8.0, 30.0)
SETTLE_SECONDS: Final = 5.0
_REFUSED_SECONDS: Final = 0.05
"""An attacker that is refused asks again so soon, whatever it is told."""
_BUILT: Final = 20
"""Requests of an attacker that are built before it begins."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Answers of the regular caller, alone and beside the attackers."""

    alone: Sequence[Got]
    beside: Sequence[Got]
    attackers: str
    """Outcomes of the attackers, in words."""

    @property
    def times(self) -> float:
        """The calm caller's p99, times that of it alone."""
        return p99(each.seconds for each in self.beside) / p99(each.seconds for each in self.alone)

    @property
    def goodput(self) -> float:
        """Share of the calm caller's requests that got whole answers in time, beside ÷ alone."""
        return _whole(self.beside) / _whole(self.alone)


def _whole(got: Sequence[Got]) -> float:
    found = [each for each in got if each.outcome == WHOLE and each.seconds <= CALM_DEADLINE]
    return len(found) / len(got) if got else 0.0


async def attack(suite: Suite, keys: Keys, recipes: Sequence[Recipe], seed: int) -> Attack:
    """Run a regular caller alone, and then beside the attackers. Raise NotMeasured."""
    chance, codes = random.Random(seed), Counter[str]()
    address = suite.addresses()["gateway"]
    async with channel_to(address) as own:
        ask = calm(own, keys)
        await come(ask, [Phase(PHASE.rate, SETTLE_SECONDS)], chance)
        (alone,) = await come(ask, [PHASE], chance)
        check_pace(alone)
        if not _whole(alone):
            raise NotMeasured(f"the calm caller gets nothing whole alone: {counted(alone)}")
        async with apart(partial(_attackers, address, keys, recipes), codes):
            await come(ask, [Phase(PHASE.rate, SETTLE_SECONDS)], chance)
            (beside,) = await come(ask, [PHASE], chance)
    check_pace(beside)
    said = ", ".join(f"{count} {what}" for what, count in codes.most_common(5))
    return Attack(alone, beside, said)


def calm(channel: grpc.aio.Channel, keys: Keys) -> Ask:
    """Return a caller of ordinary requests: a search by words, products like another one."""
    numbers = itertools.count()
    metadata = keys.metadata(CALM)
    search, like = (
        channel.unary_unary(named(name).path, None, response.FromString)
        for name, response in (("Search", pb.SearchResponse), ("Recommend", pb.RecommendResponse))
    )

    async def ask() -> str:
        number = next(numbers)
        if number % 2:
            text = f"word{number * 17 % WORDS} word{number * 29 % WORDS}"
            signals = [pb.QuerySignal(text=text)]
            raw = pb.SearchRequest(catalog_id=CATALOG, signals=signals).SerializeToString()
            return await _outcome(search(raw, timeout=CALM_DEADLINE, metadata=metadata))
        signals = [pb.QuerySignal(product_id=f"p{number % 1_000}")]
        raw = pb.RecommendRequest(catalog_id=CATALOG, signals=signals).SerializeToString()
        return await _outcome(like(raw, timeout=CALM_DEADLINE, metadata=metadata))

    return ask


async def _outcome(call: Awaitable[pb.SearchResponse | pb.RecommendResponse]) -> str:
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name} {from_rpc_error(error).reason}"
    if not answer.results:
        return "empty"
    causes = {type(each).Cause.Name(each.cause) for each in answer.degradations}
    return " ".join(sorted(causes)) or WHOLE


async def _attackers(
    address: str, keys: Keys, recipes: Sequence[Recipe], codes: Counter[str]
) -> None:
    """Run an attacker for each recipe."""
    bodies = [_bodies(recipe, number) for number, recipe in enumerate(recipes)]
    async with asyncio.TaskGroup() as group:
        for number, recipe in enumerate(recipes):
            group.create_task(_attacker(address, keys, number, recipe, bodies[number], codes))


async def _attacker(
    address: str,
    keys: Keys,
    number: int,
    recipe: Recipe,
    bodies: Iterator[bytes],
    codes: Counter[str],
) -> None:
    """Send requests one after another. One that is rejected is sent again."""
    metadata = keys.metadata(f"attacker-{number}")
    async with channel_to(address) as channel:
        call = channel.unary_unary(recipe.method.path, None, None)
        for raw in bodies:
            while True:
                if await _sent(call(raw, timeout=DEADLINE_SECONDS, metadata=metadata), codes):
                    break
                await asyncio.sleep(_REFUSED_SECONDS)


async def _sent(call: Awaitable[object], codes: Counter[str]) -> bool:
    """Return whether the call was answered, and count its code."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        codes[from_rpc_error(error).reason or error.code().name] += 1
        return False
    codes["OK"] += 1
    return True


def _bodies(recipe: Recipe, number: int) -> Iterator[bytes]:
    """Return requests that no other attacker sends. The first ones are built now, as building takes
    as long as an answer."""
    turns = itertools.count(1_000_000 * (number + 1))
    made = [recipe.build(turn) for turn in itertools.islice(turns, _BUILT)]
    return itertools.chain(made, map(recipe.build, turns))
