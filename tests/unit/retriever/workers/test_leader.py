"""One worker leads, and its waits grow after failures."""

from __future__ import annotations

import asyncio

import pytest

from retriever.workers import leader_loops
from servicekit import liveness
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease, LeaseLost
from servicekit.tasks.supervision import Backoff
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import VERSION
from tests.unit.retriever.conftest import write
from tests.unit.retriever.workers.conftest import PHOTOS, Bench
from tests.waiting import until


def test_waits_double_up_to_the_longest_and_start_anew_after_a_success() -> None:
    backoff = Backoff(1.0, 5.0)
    assert [backoff.fail() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.fail() == 1.0


async def test_one_leads_and_another_follows_when_it_lets_go(db: Database) -> None:
    first = Lease(db, "x", "first", 5)
    second = Lease(db, "x", "second", 5)
    assert first.left() == 0
    assert await first.acquire()
    assert first.left() > 0
    assert not await second.acquire()
    assert second.left() == 0
    await first.release()
    assert first.left() == 0
    assert await second.acquire()


async def test_a_lease_that_another_took_ends_the_leadership(db: Database) -> None:
    leadership = Lease(db, "x", "first", 0.2)
    assert await leadership.acquire()
    await asyncio.sleep(0.25)
    assert leadership.left() == 0
    assert await Lease(db, "x", "second", 60).acquire()
    with pytest.raises(LeaseLost):
        await leadership.keep()


@pytest.mark.full
@pytest.mark.parametrize(
    ("method", "loop"), [("waiting", "leader"), ("outstanding", "index")], ids=["look", "index"]
)
async def test_a_leading_worker_whose_loop_hangs_is_not_alive(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str, loop: str
) -> None:
    """Check liveness: the worker renews its lease, so no other one takes over, and it must be
    ended."""
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 3.0)
    monkeypatch.setattr(liveness.LIVENESS, "_due", {})  # loops of other tests

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    async with bench.working():
        await until(lambda: loop in liveness.LIVENESS._due)
        await asyncio.sleep(0.3)
        assert loop not in liveness.LIVENESS.overdue()
        monkeypatch.setattr(type(bench.record), method, never)
        await until(lambda: loop in liveness.LIVENESS.overdue())
    assert loop not in liveness.LIVENESS._due or loop == "leader", "it leads no more"


@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "method", "loop"),
    [
        (Jobs, "claim", "asking for backfill jobs"),
        (FakeEmbedder, "spaces", "embedding"),
        (FakeEmbedder, "embed", f"embedding default visual {VERSION}"),
    ],
    ids=["jobs", "what is offered", "a version"],
)
async def test_a_call_that_never_ends_is_missed_in_what_waits_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, loop: str
) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(liveness.LIVENESS, "_due", {})

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    await bench.record.write("default", [write("a", PHOTOS[0])])
    async with bench.working():
        await until(lambda: bench.rows() == {"a"})
    assert loop not in liveness.LIVENESS._due, "at rest"
    await bench.record.write("default", [write("b", PHOTOS[1])])
    monkeypatch.setattr(kind, method, never)
    async with bench.working():
        await until(lambda: loop in liveness.LIVENESS.overdue())
    assert loop not in liveness.LIVENESS._due, "it leads no more"


@pytest.mark.parametrize("failing", [False, True], ids=["it ends", "it fails as it ends"])
async def test_a_worker_that_is_cancelled_as_it_stops_to_lead_leads_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    periods, ends = list[asyncio.Event](), asyncio.Event()

    async def lead(_: object) -> None:
        periods.append(asyncio.Event())
        try:
            await asyncio.Event().wait()
        finally:
            periods[-1].set()
            await ends.wait()
            if failing:
                raise OSError

    monkeypatch.setattr(leader_loops, "lead", lead)
    working = asyncio.create_task(leader_loops.lead_in_turn(bench.worker("w"), asyncio.Event()))
    await until(lambda: bool(periods))
    working.cancel()
    await periods[0].wait()
    ends.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert len(periods) == 1
