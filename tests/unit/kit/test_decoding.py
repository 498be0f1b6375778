"""Work that crashes, hangs and eats memory, really."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from servicekit import decoding
from servicekit.decoding import (
    Decoders,
    DecodingCrashed,
    DecodingOutOfMemory,
    DecodingTimedOut,
    DecodingUnavailable,
)
from tests.fakes import hostile
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

MIB = 2**20


@pytest.fixture
async def decoders() -> AsyncIterator[Decoders]:
    made = Decoders(2, seconds=1, memory_bytes=200 * MIB, preload=["tests.fakes.hostile"])
    await made.start()
    yield made
    made.close()


@pytest.fixture
async def patient() -> AsyncIterator[Decoders]:
    """Where time is not what runs out, on however busy a machine."""
    made = Decoders(2, seconds=60, memory_bytes=200 * MIB, preload=["tests.fakes.hostile"])
    await made.start()
    yield made
    made.close()


async def test_work_gives_its_result_or_its_error(decoders: Decoders) -> None:
    for size in (0, 10 * MIB, 17 * MIB):  # more than is shared
        big = os.urandom(size)
        assert await decoders.run(hostile.echo, big) == big
    with pytest.raises(ZeroDivisionError, match="sulking"):
        await decoders.run(hostile.sulk)


async def test_a_crash_costs_its_own_item_only(decoders: Decoders) -> None:
    crash = asyncio.create_task(decoders.run(hostile.segfault))
    others = [decoders.run(hostile.echo, i) for i in range(50)]
    assert await asyncio.gather(*others) == list(range(50))
    with pytest.raises(DecodingCrashed, match="died of it"):
        await crash
    assert await asyncio.gather(*(decoders.run(hostile.echo, i) for i in range(4))) == [0, 1, 2, 3]


async def test_a_process_that_hangs_deaf_to_everything_is_killed_when_its_time_is_up(
    decoders: Decoders,
) -> None:
    hang = asyncio.create_task(decoders.run(hostile.hang))
    await asyncio.sleep(0)
    assert await decoders.run(hostile.echo, 1) == 1
    assert not hang.done()
    with pytest.raises(DecodingTimedOut, match="longer than 1 s"):
        await hang
    assert await asyncio.gather(*(decoders.run(hostile.echo, i) for i in range(4))) == [0, 1, 2, 3]


async def test_memory_is_capped_for_one_item_and_the_process_lives_on(patient: Decoders) -> None:
    for _ in range(3):
        with pytest.raises(DecodingOutOfMemory, match="more than 200 MiB"):
            await patient.run(hostile.eat, 300 * MIB)
        assert await patient.run(hostile.eat, 150 * MIB) == 150 * MIB


async def test_work_sees_the_limits_and_leaves_no_core_file(decoders: Decoders) -> None:
    assert await decoders.run(hostile.limits) == ((0, 0), True)


async def test_there_are_never_more_processes_than_asked_for_and_none_is_forked_from_here(
    decoders: Decoders,
) -> None:
    seen = await asyncio.gather(*(decoders.run(hostile.where) for _ in range(12)))
    assert len({pid for pid, _ in seen}) == 2
    assert os.getpid() not in {parent for _, parent in seen}


async def test_an_idle_process_that_somebody_kills_is_replaced(decoders: Decoders) -> None:
    for _ in range(3):
        pid, _ = await decoders.run(hostile.where)
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.gather(*(decoders.run(hostile.echo, i) for i in range(2))) == [0, 1]


async def test_an_item_is_not_blamed_for_a_process_that_somebody_killed(
    decoders: Decoders, tmp_path: Path
) -> None:
    assert await decoders.run(hostile.die_once, str(tmp_path / "mark")) == "done"


async def test_an_item_is_not_blamed_when_processes_can_not_live_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "serve", hostile.be_stillborn)
    with pytest.raises(DecodingUnavailable):
        await Decoders(1).run(hostile.echo, 1)


async def test_an_item_is_not_blamed_when_no_process_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "serve", hostile.sleep_first)
    monkeypatch.setattr(decoding, "START_SECONDS", 0.3)
    with pytest.raises(DecodingUnavailable, match="in time"):
        await Decoders(1).run(hostile.echo, 1)


async def test_a_process_is_replaced_after_so_many_items(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MOST_ITEMS", 3)
    seen = [pid for pid, _ in [await decoders.run(hostile.where) for _ in range(6)]]
    assert len(set(seen[:3])) == len(set(seen[3:])) == 1
    assert seen[0] != seen[3]


async def test_what_can_not_be_passed_on_is_an_error_of_its_item(decoders: Decoders) -> None:
    for _ in range(3):
        with pytest.raises((AttributeError, pickle.PicklingError)):
            await decoders.run(hostile.give_a_function)
        with pytest.raises(TypeError, match="Unspeakable"):
            await decoders.run(hostile.raise_the_unspeakable)
    with pytest.raises(DecodingCrashed):
        await decoders.run(sys.exit, 3)
    assert await decoders.run(hostile.echo, 1) == 1


async def test_items_of_several_kinds_at_once_each_get_their_own_outcome(
    decoders: Decoders,
) -> None:
    work: list[tuple[Any, ...]] = [(hostile.echo, i) for i in range(20)]
    work[3:3] = [(hostile.segfault,), (hostile.eat, 300 * MIB), (hostile.sulk,), (hostile.hang,)]
    outcomes = await asyncio.gather(*(decoders.run(*item) for item in work), return_exceptions=True)
    bad = [type(outcome) for outcome in outcomes[3:7]]
    assert bad == [DecodingCrashed, DecodingOutOfMemory, ZeroDivisionError, DecodingTimedOut]
    assert outcomes[:3] + outcomes[7:] == list(range(20))


async def test_closing_ends_who_waits_and_every_process(decoders: Decoders) -> None:
    pid, _ = await decoders.run(hostile.where)
    hang = asyncio.create_task(decoders.run(hostile.hang))
    await asyncio.sleep(0.1)
    decoders.close()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(hang, SECONDS)
    await asyncio.to_thread(_gone, [pid])


async def test_a_cancelled_caller_gives_its_process_back_in_the_end(decoders: Decoders) -> None:
    callers = [asyncio.create_task(decoders.run(hostile.where)) for _ in range(6)]
    await asyncio.sleep(0.02)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    assert await asyncio.gather(*(decoders.run(hostile.echo, i) for i in range(4))) == [0, 1, 2, 3]


async def test_failures_are_counted_by_kind(decoders: Decoders) -> None:
    count = decoding.FAILURES.labels("DecodingOutOfMemory")._value
    before = count.get()
    with pytest.raises(DecodingOutOfMemory):
        await decoders.run(hostile.eat, 300 * MIB)
    assert count.get() == before + 1


PROGRAM = """
import asyncio
from servicekit.decoding import Decoders
from tests.fakes import hostile

async def main():
    decoders = Decoders(2, seconds=60)
    await decoders.start()
    await decoders.run(hostile.shout)
    pids = await asyncio.gather(*(decoders.run(hostile.where) for _ in range(4)))
    print(*{pid for pid, _ in pids}, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_no_process_outlives_a_service_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, program],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdout is not None
        line = service.stdout.readline()  # the untrusted words are not in it
        pids = [int(pid) for pid in line.split()]
        assert len(pids) == 2
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        service.kill()
    _gone(pids)


def _gone(pids: Sequence[int]) -> None:
    """Wait until these processes are no more."""
    end = time.monotonic() + SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
