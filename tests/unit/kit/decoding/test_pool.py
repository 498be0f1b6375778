"""Assignment of decoding processes to catalogs, with real processes."""

import asyncio
from collections import defaultdict

import pytest

from servicekit.admission import costs
from servicekit.admission.fair_permits import Party
from servicekit.decoding.decoders import Decoders, DecodingTimedOut, Turn
from servicekit.decoding.limits import IDLE_SPARE
from servicekit.telemetry import Stages
from tests.fakes.hostile_asked import do, made, processes_of
from tests.waiting import until

pytestmark = pytest.mark.slow

MIB = 2**20


def of(catalog: str) -> Turn:
    return Turn(Party("shop", catalog))


async def served(decoders: Decoders, *catalogs: str) -> dict[int, set[str]]:
    """Return the catalogs whose photos each process has decoded, for this many concurrent
    photos."""
    seen = defaultdict[int, set[str]](set)
    pids = await asyncio.gather(*(do(decoders, "where", turn=of(each)) for each in catalogs))
    for pid, catalog in zip(pids, catalogs, strict=True):
        seen[pid].add(catalog)
    return seen


@pytest.mark.parametrize("idle", [0, 1, 4])
async def test_a_process_that_saw_a_photo_of_a_catalog_sees_none_of_another(idle: int) -> None:
    decoders = made(seconds=60, idle=idle)
    await decoders.start()
    seen = await served(decoders, *"abcabcabc", *"aabbcc", *"defdefabc")
    assert all(len(catalogs) == 1 for catalogs in seen.values()), seen
    assert set().union(*seen.values()) == {*"abcdef"}
    assert len(decoders._pool.all) <= 2 + idle
    decoders.close()


async def test_a_crashed_process_is_replaced_by_one_of_the_same_catalog() -> None:
    decoders = made(1, seconds=60)
    first = await do(decoders, "where", turn=of("a"))
    with pytest.raises(Exception, match="crashed"):
        await do(decoders, "segfault", turn=of("a"))
    seen = await served(decoders, "b", "a", "b", "a")
    assert first not in seen
    assert all(len(catalogs) == 1 for catalogs in seen.values())
    decoders.close()


async def test_catalogs_that_take_turns_keep_their_processes_while_there_are_enough() -> None:
    decoders = made(1, seconds=60, idle=3)
    seen = await served(decoders, *"abcabcabcabc")
    assert len(seen) == 3
    decoders.close()


async def test_the_process_of_the_catalog_that_was_longest_idle_goes_first() -> None:
    decoders = made(1, seconds=60, idle=1)
    (a,) = await served(decoders, "a")
    (b,) = await served(decoders, "b")
    await until(lambda: a not in processes_of(decoders))
    assert b in processes_of(decoders)
    decoders.close()


async def test_idle_processes_that_grew_leave_their_memory_to_those_that_work() -> None:
    decoders = made(1, seconds=60, idle=4, memory_bytes=200 * MIB)
    (small,) = await served(decoders, "small")
    large = await do(decoders, "keep", IDLE_SPARE + 8 * MIB, turn=of("large"))
    assert {small, large} <= processes_of(decoders)
    await do(decoders, "where", turn=of("small"))
    assert large not in processes_of(decoders)
    assert small in processes_of(decoders)
    decoders.close()


async def test_one_catalog_has_as_many_processes_as_work_at_once_and_no_more() -> None:
    decoders = made(2, seconds=60)
    await decoders.start()
    before = processes_of(decoders)
    assert set(await served(decoders, *"a" * 12)) == before
    assert processes_of(decoders) == before
    decoders.close()


async def test_processor_time_is_measured_and_waiting_costs_nothing() -> None:
    decoders = made(1, seconds=60)
    stages, cost = Stages("test"), costs.Cost()
    costs.current.set(cost)
    turn = Turn(Party("shop", "a"), stages=stages)
    await do(decoders, "rest", 0.5, turn=turn)
    assert stages.decoding_seconds < 0.4, "it slept"
    before, already = cost.seconds, stages.decoding_seconds
    await do(decoders, "burn", 0.5, turn=turn)
    burned = stages.decoding_seconds - already
    assert 0.5 <= burned < 1.0
    assert cost.seconds - before >= burned
    decoders.close()


async def test_an_item_that_is_killed_for_its_time_costs_that_time() -> None:
    decoders = made(1, seconds=0.2)
    stages = Stages("test")
    with pytest.raises(DecodingTimedOut):
        await do(decoders, "burn", 600, turn=Turn(Party("shop", "a"), stages=stages))
    assert stages.decoding_seconds > 0
    decoders.close()
