"""Work that crashes, hangs, exhausts memory and lies, in real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from servicekit.decoding import decoders as decoding
from servicekit.decoding import pool
from servicekit.decoding.decoders import (
    Decoders,
    DecodingBroken,
    DecodingCrashed,
    DecodingFailed,
    DecodingOutOfMemory,
    DecodingRefused,
    DecodingTimedOut,
    DecodingUnavailable,
)
from servicekit.decoding.fork_server import address_space
from tests.fakes.hostile_asked import do, echo, links_of, made, processes_of
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow

MIB = 2**20


@pytest.fixture
async def decoders() -> AsyncIterator[Decoders]:
    found = made(seconds=1, memory_bytes=200 * MIB)
    await found.start()
    yield found
    found.close()


async def test_work_gives_its_facts_and_its_pixels(decoders: Decoders) -> None:
    for size in (0, 1, 10 * MIB):
        big = os.urandom(size)
        assert await echo(decoders, big) == big
    assert await do(decoders, "where") in processes_of(decoders)


async def test_what_work_does_not_take_is_a_number_and_a_short_text(decoders: Decoders) -> None:
    with pytest.raises(DecodingRefused, match=r"^a\?\[31m red photo!") as caught:
        await do(decoders, "refuse", 7)
    assert caught.value.code == 7
    assert len(str(caught.value)) == 1024


async def test_an_error_of_the_work_itself_is_the_item_s(alone: Decoders) -> None:
    before = await do(alone, "where")
    with pytest.raises(DecodingBroken, match="ZeroDivisionError: sulking"):
        await do(alone, "sulk")
    assert await do(alone, "where") == before


async def test_a_crash_costs_its_own_item_only(decoders: Decoders) -> None:
    crash = asyncio.create_task(do(decoders, "segfault"))
    others = [echo(decoders, bytes([i])) for i in range(50)]
    assert await asyncio.gather(*others) == [bytes([i]) for i in range(50)]
    with pytest.raises(DecodingCrashed, match="crashed on it"):
        await crash
    assert await asyncio.gather(*(echo(decoders) for _ in range(4))) == [b"1"] * 4


async def test_a_process_that_hangs_deaf_to_everything_is_killed_when_its_time_is_up(
    decoders: Decoders,
) -> None:
    hang = asyncio.create_task(do(decoders, "hang"))
    await asyncio.sleep(0)
    assert await echo(decoders) == b"1"
    assert not hang.done()
    with pytest.raises(DecodingTimedOut, match="longer than 1 s"):
        await hang
    assert await asyncio.gather(*(echo(decoders) for _ in range(4))) == [b"1"] * 4


async def test_memory_is_capped_for_one_item_and_the_next_has_its_own(patient: Decoders) -> None:
    for _ in range(3):
        with pytest.raises(DecodingOutOfMemory, match="more than 296 MiB"):
            await do(patient, "eat", 310 * MIB)
        assert await do(patient, "eat", 70 * MIB) == 70 * MIB


async def test_a_photo_whose_header_promised_too_little_gets_all_that_there_is(
    patient: Decoders,
) -> None:
    assert await do(patient, "eat", 250 * MIB) == 250 * MIB


async def test_a_photo_that_needs_more_by_its_header_gets_it_out_of_what_all_share(
    patient: Decoders,
) -> None:
    size = decoding.SPARE + 200 * MIB
    assert await do(patient, "greedy", size) == size - 16 * MIB
    with pytest.raises(DecodingOutOfMemory, match="more than 296 MiB"):
        await do(patient, "greedy", size + 1)
    with pytest.raises(DecodingOutOfMemory):
        await do(patient, "ask_for_all")


async def test_large_photos_wait_for_memory_and_never_have_more_than_there_is(
    patient: Decoders,
) -> None:
    size = decoding.SPARE + 150 * MIB
    base = {link.process: address_space(link.process) for link in links_of(patient)}
    large = [asyncio.create_task(do(patient, "greedy", size)) for _ in range(4)]
    most = 0
    while not all(each.done() for each in large):
        taken = [max(0, address_space(pid) - start) for pid, start in base.items()]
        most = max(most, sum(taken))
        await asyncio.sleep(0.01)
    assert await asyncio.gather(*large) == [size - 16 * MIB] * 4
    assert 150 * MIB < most <= 200 * MIB + 2 * decoding.SPARE


async def test_a_process_that_keeps_what_it_was_lent_is_replaced(alone: Decoders) -> None:
    before = await do(alone, "where")
    await do(alone, "keep", 60 * MIB)
    assert await do(alone, "where") == before, "that much it may have at any time"
    await do(alone, "greedy_for_good", decoding.SPARE + 150 * MIB)
    assert await do(alone, "where") != before


async def test_there_are_never_more_processes_than_asked_for_and_none_is_forked_from_here(
    decoders: Decoders,
) -> None:
    seen = set(await asyncio.gather(*(do(decoders, "where") for _ in range(12))))
    assert len(seen) == 2
    server = decoders._server._process
    assert server is not None
    assert {parent_of(pid) for pid in seen} == {server.pid}


async def test_an_idle_process_that_somebody_kills_is_replaced(decoders: Decoders) -> None:
    for _ in range(3):
        os.kill(await do(decoders, "where"), signal.SIGKILL)
        assert await asyncio.gather(*(echo(decoders) for _ in range(2))) == [b"1"] * 2


async def test_when_the_first_process_is_killed_all_are_replaced(decoders: Decoders) -> None:
    server = decoders._server._process
    assert server is not None
    before = processes_of(decoders)
    server.kill()
    await asyncio.to_thread(_gone, [*before])
    assert await asyncio.gather(*(echo(decoders) for _ in range(4))) == [b"1"] * 4


async def test_an_item_is_not_blamed_for_a_process_that_somebody_killed(alone: Decoders) -> None:
    first = await do(alone, "where")
    resting = asyncio.create_task(do(alone, "rest", 0.3))
    await asyncio.sleep(0.1)
    os.kill(first, signal.SIGKILL)
    assert await resting != first


async def test_an_item_is_not_blamed_when_processes_can_not_live_at_all() -> None:
    with pytest.raises(DecodingUnavailable, match="exit at once"):
        await echo(Decoders("tests.fakes.no_such_module", 1))


async def test_an_item_is_not_blamed_when_no_process_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "START_SECONDS", 0.001)
    with pytest.raises(DecodingUnavailable, match="in time"):
        await echo(made(1))


async def test_a_process_is_replaced_after_so_many_items(
    alone: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MOST_ITEMS", 3)
    seen = [await do(alone, "where") for _ in range(6)]
    assert len(set(seen[:3])) == len(set(seen[3:])) == 1
    assert seen[0] != seen[3]


async def test_items_of_several_kinds_at_once_each_get_their_own_outcome(
    decoders: Decoders,
) -> None:
    work: list[tuple[str, object]] = [("rest", 0)] * 20
    work[3:3] = [("segfault", ""), ("eat", 310 * MIB), ("sulk", ""), ("hang", "")]
    outcomes = await asyncio.gather(*(do(decoders, *item) for item in work), return_exceptions=True)
    bad = [type(outcome) for outcome in outcomes[3:7]]
    assert bad == [DecodingCrashed, DecodingOutOfMemory, DecodingBroken, DecodingTimedOut]
    assert all(isinstance(each, int) for each in outcomes[:3] + outcomes[7:])


async def test_closing_ends_who_waits_and_every_process(patient: Decoders) -> None:
    pids = processes_of(patient)
    hang = asyncio.create_task(do(patient, "hang"))
    await asyncio.sleep(0.1)
    patient.close()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(hang, SECONDS)
    await asyncio.to_thread(_gone, [*pids])


async def test_what_nobody_waits_for_ends_soon_and_gives_its_process_back(
    alone: Decoders,
) -> None:
    before = await do(alone, "where")
    resting = asyncio.create_task(do(alone, "rest", 0.1))
    await asyncio.sleep(0.02)
    resting.cancel()
    assert await do(alone, "where") == before, "one that is nearly done costs no process"
    for name, given in (("hang", ""), ("greedy", decoding.SPARE + 100 * MIB)):
        asked = asyncio.create_task(do(alone, name, given))
        await asyncio.sleep(0.05)
        asked.cancel()
    assert await asyncio.wait_for(do(alone, "where"), SECONDS) != before


async def test_of_many_that_were_cancelled_none_is_begun(alone: Decoders) -> None:
    callers = [asyncio.create_task(do(alone, "rest", SECONDS)) for _ in range(20)]
    await asyncio.sleep(0.02)
    for caller in callers:
        caller.cancel()
    # One that is waited for takes the 60 s that an item may take.
    assert await asyncio.wait_for(echo(alone), 40) == b"1"


async def test_failures_are_counted_by_kind(decoders: Decoders) -> None:
    for kind, size in (("eat", 310 * MIB), ("ask_for_all", "")):
        count = decoding.FAILURES.labels("DecodingOutOfMemory")._value
        before = count.get()
        with pytest.raises(DecodingFailed):
            await do(decoders, kind, size)
        assert count.get() == before + 1


PROGRAM = """
import asyncio
from servicekit.decoding.decoders import Decoders
from servicekit.telemetry import configure_logging
from tests.fakes.hostile_asked import SHOP
from tests.fakes import hostile

async def main():
    decoders = Decoders(hostile.__name__, 2, seconds=60)
    await decoders.start()
    await decoders.run(b"shout", b"", hostile.NUMBER, SHOP)
    pids = {link._link.process for link in decoders._pool.all}
    print(*pids, flush=True)
    hang = decoders.run(b"hang", b"", hostile.NUMBER, SHOP)
    await hang

if __name__ == "__main__":
    configure_logging("test", "info")
    asyncio.run(main())
"""


def test_no_process_outlives_a_service_that_is_killed(tmp_path: Path) -> None:
    program, log = tmp_path / "program.py", tmp_path / "log"
    program.write_text(PROGRAM)
    root = Path(__file__).parents[4]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, program],
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as service,
    ):
        assert service.stdout is not None
        line = service.stdout.readline()  # the untrusted words are not in it
        pids = [int(pid) for pid in line.split()]
        assert len(pids) == 2
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        service.kill()
    _gone(pids)
    assert "somebody" not in log.read_text()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _gone(pids: Sequence[int]) -> None:
    """Wait until these processes have ended."""
    end = time.monotonic() + SECONDS
    while any(map(_runs, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_runs, pids))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
