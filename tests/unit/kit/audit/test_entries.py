"""The only writer of audit entries: calls that wait for it, and calls that do not."""

import asyncio
from collections.abc import Sequence

import pytest

from servicekit.admission import access
from servicekit.admission.access import Caller, RoleMissing, TokenInvalid
from servicekit.audit.entries import BATCH, METRICS, MOST_WAITING, Audit
from servicekit.errors import NotFound, ServiceError, Unavailable
from sightline.common.v1.audit_service_pb2 import AuditEntry
from tests import virtual_time

DENIED = RoleMissing(frozenset())


class Store:
    """A store that can be held up, or fail."""

    def __init__(self) -> None:
        self.batches: list[list[AuditEntry]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: ServiceError | None = None

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.batches.append([*entries])

    @property
    def entries(self) -> list[AuditEntry]:
        return [entry for batch in self.batches for entry in batch]


def by(name: str) -> None:
    access.caller.set(Caller(name, frozenset()))


async def test_a_change_is_answered_once_it_is_stored() -> None:
    store = Store()
    audit = Audit(store.add, ["default"])
    store.open.clear()
    noting = asyncio.create_task(audit.note("m", "default", None))
    await asyncio.sleep(0.01)
    assert not noting.done()
    store.open.set()
    await noting
    assert [entry.code for entry in store.entries] == ["OK"]


async def test_a_rejected_call_waits_for_nothing() -> None:
    store = Store()
    audit = Audit(store.add, ["default"])
    store.open.clear()
    await audit.note("m", "default", DENIED, changed=False)
    await audit.note("m", "other", NotFound("no", reason="NONE"))
    assert store.entries == []
    store.open.set()
    await audit.close(10)
    assert [entry.catalog_id for entry in store.entries] == ["default", "?"]


async def test_what_may_have_been_changed_is_stored_each_time() -> None:
    store = Store()
    audit = Audit(store.add, ["default"])
    for _ in range(3):
        await audit.note("m", "default", asyncio.CancelledError())
        await audit.note("m", "default", Unavailable("gone", reason="GONE"))
    assert [entry.code for entry in store.entries] == ["CANCELLED", "UNAVAILABLE"] * 3


async def test_unauthenticated_calls_leave_no_entry() -> None:
    store = Store()
    audit = Audit(store.add, ["default"])
    await audit.note("m", "default", TokenInvalid(), changed=False)
    await audit.close(10)
    assert store.entries == []


def test_a_flood_of_an_hour_is_an_entry_a_minute() -> None:
    async def flood() -> tuple[int, int]:
        store = Store()
        audit = Audit(store.add, ["default"])
        for _ in range(3_600):
            for _ in range(5):
                await audit.note("m", "default", DENIED, changed=False)
            await asyncio.sleep(1)
        stored = len(store.entries)
        await audit.close(10)
        calls = sum(entry.left_out + 1 for entry in store.entries)
        return stored, calls

    (stored, calls), _ = virtual_time.run(flood())
    assert stored <= 61
    assert calls == 3_600 * 5


async def test_entries_that_wait_are_stored_together() -> None:
    store = Store()
    audit = Audit(store.add, ["default"])
    store.open.clear()
    noting = [asyncio.create_task(audit.note("m", "default", None)) for _ in range(BATCH + 50)]
    await asyncio.sleep(0.05)
    store.open.set()
    await asyncio.gather(*noting)
    sizes = [len(batch) for batch in store.batches]
    assert sum(sizes) == BATCH + 50
    assert len(sizes) <= 3
    assert max(sizes) <= BATCH


@pytest.mark.full
async def test_one_caller_fills_half_of_the_queue_at_most() -> None:
    store = Store()
    audit = Audit(store.add, ["default"])
    store.open.clear()
    full = METRICS.dropped.labels("queue_full")._value
    before = full.get()
    by("greedy")
    noting = [
        asyncio.create_task(audit.note("m", "default", None)) for _ in range(MOST_WAITING // 2 + 9)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert full.get() == before + 9
    by("another")
    other = asyncio.create_task(audit.note("m", "default", None))
    await asyncio.sleep(0)
    store.open.set()
    await asyncio.gather(other, *noting)
    assert full.get() == before + 9
    assert store.entries[-1].caller == "another"


def test_a_store_that_fails_for_a_moment_has_the_entry_afterwards() -> None:
    async def outage(capture: list[float]) -> list[str]:
        store = Store()
        audit = Audit(store.add, ["default"])
        store.error = Unavailable("gone", reason="GONE")
        began = asyncio.get_running_loop().time()
        await audit.note("m", "default", None)
        capture.append(asyncio.get_running_loop().time() - began)
        await asyncio.sleep(3)
        store.error = None
        await audit.close(10)
        return [entry.code for entry in store.entries]

    waited: list[float] = []
    codes, _ = virtual_time.run(outage(waited))
    assert codes == ["OK"]
    assert waited[0] < 1, "its caller does not wait for further attempts"


def test_a_store_that_hangs_holds_a_caller_for_seconds_only() -> None:
    async def hang() -> float:
        store = Store()
        audit = Audit(store.add, ["default"])
        store.open.clear()
        began = asyncio.get_running_loop().time()
        await audit.note("m", "default", None)
        seconds = asyncio.get_running_loop().time() - began
        await audit.close(0)
        return seconds

    seconds, _ = virtual_time.run(hang())
    assert seconds == pytest.approx(5, abs=0.1)
