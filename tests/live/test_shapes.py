"""The suite with its services apart, and all in one process."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import grpc
import psutil
import pytest

from examples.wines import loading
from examples.wines.local import free_port_base
from local_suite.programs import ALL, sightline
from local_suite.suite import Suite
from servicekit.processes.process_group import SOON
from sightline.common.v1.event_pb2 import Shopper
from sightline.ranker.v1.ranking_service_pb2 import RankRequest
from sightline.ranker.v1.ranking_service_pb2_grpc import RankingServiceStub
from sightline_client import Event, EventType, Product, SightlineClient
from sightline_client.errors import Unavailable
from sightline_client.values.answers import Cause
from tests.fakes import faulty_all
from tests.live.conftest import running, until_serving
from tests.live.parity import WINES, answers, differences
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
COUNT = 1_000
"""Requests for recommendations, and as many others."""


async def fill(gateway: str) -> str:
    async with SightlineClient(gateway, timeout=SECONDS) as client:
        version = await loading.load_all(client)
        await until_serving(client, version)
        return version


async def test_answers_of_one_process_are_those_of_four(tmp_path: Path) -> None:
    """Ask suites that follow one another on the same data; apart/test_one_process.py asks both at
    a time."""
    with running(tmp_path, ("default",)) as apart:
        version = await fill(apart.addresses()["gateway"])
        expected = await answers(apart.addresses()["gateway"], COUNT)
    with running(tmp_path, ("default",), target="all") as one:
        gateway = one.addresses()["gateway"]
        async with SightlineClient(gateway, timeout=SECONDS) as client:
            await until_serving(client, version)
        found = await answers(gateway, COUNT)
    assert len(expected) > 2 * COUNT
    assert list(differences(found, expected)) == []


async def test_one_process_that_is_killed_comes_back_with_all_that_it_acknowledged(
    tmp_path: Path,
) -> None:
    with running(tmp_path, ("default",), target="all") as one:
        async with SightlineClient(one.addresses()["gateway"], timeout=SECONDS) as client:
            await loading.import_wines(client, WINES[:20])
            event = Event("1", EventType.VIEW, WINES[0].id, user="ann", time=NOON)
            await client.write_events([event])
            serving = psutil.Process(one.pid("all"))
            parent = serving.parent()
            await asyncio.sleep(SOON + 1 - (time.time() - serving.create_time()))
            one.kill("all")
            await asyncio.to_thread(one.wait_healthy, "all")
            assert psutil.Process(one.pid("all")).parent() == parent, "forked without imports"
            assert (await client.get_product(WINES[19].id)).title == WINES[19].title
            again = await client.write_events([event])
            assert again.duplicate_count == 1
            await loading.wait_indexed(client, 20)
            found = await client.recommend(products=WINES[0].id, page_size=5)
            assert len(found.results) == 5


BACK_SECONDS = 5.0
"""Promised seconds until all services answer again."""
TRIES = 5
"""Losses of which one must end in time: other tests use the same processors meanwhile."""


@contextmanager
def one_process_alone(folder: Path) -> Iterator[Suite]:
    """Run the process of all services without engines and workers, which it does not wait for."""
    programs = sightline(folder, free_port_base(), target=ALL)
    (program,) = [each for each in programs if each.name == ALL]
    faults = {"FAULTS": str(folder), "FORKS_AT_ONCE": "1"}
    faulty = replace(
        program,
        command=(sys.executable, "-m", faulty_all.__name__),
        environment={**program.environment, **faults},
    )
    with Suite(folder, [faulty]) as started:
        yield started


async def block(suite: Suite) -> None:
    """Have the ranker block the event loop of all services."""
    (suite.layout.data / faulty_all.BLOCKED).unlink(missing_ok=True)
    blocks = RankRequest(shopper=Shopper(user_id="blocks"))
    async with grpc.aio.insecure_channel(suite.addresses()["ranker"]) as channel:
        with pytest.raises(grpc.RpcError):
            await RankingServiceStub(channel).Rank(blocks, timeout=SECONDS)


async def kill(suite: Suite) -> None:
    """Kill the process of all services with SIGKILL."""
    await asyncio.to_thread(suite.kill, ALL)


async def seconds_away(suite: Suite, lose: Callable[[Suite], Awaitable[None]]) -> float:
    """Return the seconds from the loss of the process until all of its services answer again."""
    pid, lost = suite.pid(ALL), time.monotonic()
    await lose(suite)
    await until(lambda: suite.pid(ALL) not in (pid, 0))
    await asyncio.to_thread(suite.wait_healthy, ALL)
    return time.monotonic() - lost


@pytest.mark.parametrize("lose", [kill, block])
async def test_one_process_that_is_killed_or_blocked_is_back_within_five_seconds(
    tmp_path: Path, lose: Callable[[Suite], Awaitable[None]]
) -> None:
    took = list[float]()
    with one_process_alone(tmp_path) as one:
        async with SightlineClient(one.addresses()["gateway"], timeout=SECONDS) as client:
            await client.upsert_products([Product("port", "Port")])
            while not took or (min(took) > BACK_SECONDS and len(took) < TRIES):
                took.append(await seconds_away(one, lose))
            await until(partial(reached, client, "port"))
    assert min(took) <= BACK_SECONDS


async def reached(client: SightlineClient, product_id: str) -> bool:
    """Return whether a client whose connection was refused has made a new one."""
    try:
        await client.get_product(product_id)
    except Unavailable:
        return False
    return True


async def test_a_servicer_that_raises_leaves_the_others_alone_and_one_that_blocks_ends_the_process(
    tmp_path: Path,
) -> None:
    faults = {"FAULTS": str(tmp_path)}
    commands = {"all": (sys.executable, "-m", faulty_all.__name__)}
    with running(tmp_path, ("default",), faults, target="all", commands=commands) as one:
        async with SightlineClient(one.addresses()["gateway"], timeout=SECONDS) as client:

            async def causes(user: str) -> set[str]:
                asked = client.recommend(products=WINES[0].id, user=user, page_size=5)
                answer = await asked
                assert answer.results
                return {str(each.cause) for each in answer.degradations}

            await loading.import_wines(client, WINES[:20])
            event = Event("1", EventType.VIEW, WINES[1].id, user="ann", time=NOON)
            await client.write_events([event])
            await loading.wait_indexed(client, 20)
            pid = one.pid("all")
            raised, beside = await asyncio.gather(causes("raises"), causes("ann"))
            assert Cause.RANKER_UNAVAILABLE in raised
            assert not beside
            assert one.pid("all") == pid
            await asyncio.gather(causes("blocks"), return_exceptions=True)
            assert (tmp_path / faulty_all.BLOCKED).exists()
            await asyncio.to_thread(one.wait_healthy, "all")
            assert one.pid("all") != pid
            await until(partial(reached, client, WINES[0].id))
            assert (await client.write_events([event])).duplicate_count == 1
            assert (await client.get_product(WINES[19].id)).title == WINES[19].title
            assert not await causes("blocks")
    log = one.log("all").read_text()
    assert "the event loop took no step for 1.5 s" in log
    assert f"{faulty_all.__name__.rpartition('.')[2]}.py" in log, "the stack of what blocked it"
    assert faulty_all.PERSONAL not in log
