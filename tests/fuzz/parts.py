"""Parts of the fuzzer beside the mutated requests, each alone on a suite of its own: changed files
of exports, cancelled calls, and names that are given again."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import grpc
import httpx

from examples.wines.local import own
from local_suite.model import SuiteError
from local_suite.suite import Suite
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest
from tests.fuzz import cancelled, exports, keeping, logs, memory, pictures
from tests.fuzz.callers import Callers
from tests.fuzz.cancelled import Cancelling
from tests.fuzz.composing import Composer
from tests.fuzz.model import KEPT, Outcome, Result
from tests.fuzz.namesakes import Namesakes, kinds
from tests.fuzz.run import calling, operators_address
from tests.fuzz.shop import open_shop, sent

Say = Callable[[str], None]
MakeSuite = Callable[[Callers, Say, Path], Suite]
Part = Callable[[Suite, Callers, int], tuple[Outcome, list[str]]]


def run(options: argparse.Namespace, names: Sequence[str], make: MakeSuite, say: Say) -> Result:
    """Run the named parts. Return a check of each, and of the suite after them."""
    result, who = Result(), Callers.new()
    try:
        with own(partial(make, who, say)) as suite:
            marks, programs = logs.marks(suite), memory.pids(suite)
            for name in names:
                say(f"{name} …")
                try:
                    outcome, found = PARTS[name](suite, who, options.seed)
                except (keeping.Unanswered, OSError, grpc.RpcError, httpx.HTTPError) as error:
                    result.miss(name, str(error))
                    continue
                result.add(name, outcome.held and not found, "; ".join([outcome.measured, *found]))
            _afterwards(suite, result, marks, programs)
    except (SuiteError, OSError, ValueError) as error:
        result.miss("further parts", str(error))
    return result


def _afterwards(
    suite: Suite, result: Result, marks: dict[str, int], programs: Mapping[str, int]
) -> None:
    """Check that all processes live, and what they logged."""
    now = memory.pids(suite)
    gone = [name for name, pid in programs.items() if not pid or now.get(name) != pid]
    result.add("further parts: no process died", not gone, ", ".join(gone) or "none")
    guilty = logs.guilty(suite, marks)
    said = "; ".join(f"{name}: {line[:300]}" for name, line in guilty[:3])
    result.add("further parts: clean logs", not guilty, f"{len(guilty)} lines {said}")


def _exports(suite: Suite, who: Callers, seed: int) -> tuple[Outcome, list[str]]:
    """Import changed files into a catalog that nothing else writes."""

    async def keep() -> None:
        async with calling(suite, who) as (sender, _):
            product = Product(product_id=exports.KEEP, title="Keep")
            request = UpsertProductsRequest(catalog_id=KEPT, products=[product])
            await sent(sender, "UpsertProducts", request)

    async def stored() -> str:
        async with calling(suite, who) as (sender, _):
            found = await keeping.stored(sender, KEPT)
        return "".join(f"{p.product_id}\n{p.title}\n{p.description}\n" for p in found)

    with tempfile.TemporaryDirectory() as home:
        address, token = operators_address(suite), who.tokens.get("own", "")
        importer = exports.Importer(address, token, KEPT, Path(home))
        outcome = exports.check(
            importer, lambda: asyncio.run(keep()), lambda: asyncio.run(stored()), seed
        )
    return outcome, []


def _cancelled(suite: Suite, who: Callers, seed: int) -> tuple[Outcome, list[str]]:
    """Cancel calls at random awaits."""

    async def check() -> tuple[Outcome, list[str]]:
        chance, photos = random.Random(seed), pictures.seeds(seed)
        public = grpc.aio.insecure_channel(suite.addresses()["gateway"])
        operators = grpc.aio.insecure_channel(operators_address(suite))
        client = httpx.AsyncClient(base_url=suite.http, trust_env=False, timeout=30)
        async with calling(suite, who) as (sender, _), public, operators, client:
            await open_shop(sender, photos, train=False)
            work = Cancelling(
                public, operators, client if suite.http else None, sender,
                Composer(chance, photos), chance,
            )  # fmt: skip
            return await cancelled.check(suite, sender, work), [f.why for f in sender.findings[:5]]

    return asyncio.run(check())


def _namesakes(suite: Suite, who: Callers, seed: int) -> tuple[Outcome, list[str]]:
    """Delete names and give them again."""

    async def check() -> tuple[Outcome, list[str]]:
        async with calling(suite, who) as (sender, _):
            outcome = await Namesakes(sender, kinds(sender), seed).check()
            return outcome, [finding.why for finding in sender.findings[:5]]

    return asyncio.run(check())


EXPORTS, CANCELLED, NAMESAKES = "changed exports", "cancelled calls", "names given again"
PARTS: Mapping[str, Part] = {EXPORTS: _exports, CANCELLED: _cancelled, NAMESAKES: _namesakes}
