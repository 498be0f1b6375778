"""The suite with its services apart, and all in one process."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import pytest

from examples.wines import loading
from servicekit.processes import SOON
from sightline_client import Event, EventType, SightlineClient
from sightline_client.errors import Unavailable
from sightline_client.values.answers import Cause
from tests.fakes import faulty_all
from tests.live.conftest import running, until_serving
from tests.live.parity import WINES, answers, differences
from tests.waiting import SECONDS, until

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
COUNT = 1_000
"""Requests for recommendations, and as many others."""


async def fill(gateway: str) -> str:
    async with SightlineClient(gateway, timeout=SECONDS) as client:
        version = await loading.load_all(client)
        await until_serving(client, version)
        return version


@pytest.mark.long
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


@pytest.mark.long
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


async def reached(client: SightlineClient) -> bool:
    """Return whether a client whose connection was refused has made a new one."""
    try:
        await client.get_product(WINES[0].id)
    except Unavailable:
        return False
    return True


@pytest.mark.long
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
            await until(partial(reached, client))
            assert (await client.write_events([event])).duplicate_count == 1
            assert (await client.get_product(WINES[19].id)).title == WINES[19].title
            assert not await causes("blocks")
    log = one.log("all").read_text()
    assert "the event loop took no step for 1.5 s" in log
    assert f"{faulty_all.__name__.rpartition('.')[2]}.py" in log, "the stack of what blocked it"
    assert faulty_all.PERSONAL not in log
