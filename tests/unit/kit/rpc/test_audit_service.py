"""The audit log of a store, on either engine: entries are added, read and dropped up to a seal."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.audit.record import (
    NO_HASH,
    AuditRecord,
    AuditSealMismatch,
    AuditTerm,
    entry_hash,
)
from servicekit.rpc.audit_service import AuditServicer
from servicekit.rpc.requests import CatalogNotFound, PageTokenInvalid, RequestInvalid
from servicekit.sql.database import Database
from sightline.common.v1 import audit_service_pb2 as pb
from tests.stores import NewStore

CONTEXT: Any = None


@pytest.fixture(params=["ranker", "retriever"])
def db(request: pytest.FixtureRequest, new_store: NewStore) -> Iterator[Database]:
    migrations = f"{request.param}.record.migrations"
    made = Database(new_store(migrations, "store.db"), migrations=migrations)
    yield made
    made.close()


@pytest.fixture
def servicer(db: Database) -> AuditServicer:
    return AuditServicer(["default", "other"], AuditRecord(db, NOW), days=1.0)


def NOW() -> int:
    """Return the time of entry 100, two days after entry 0."""
    return at(100).ToMicroseconds() + 2 * 86_400_000_000


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=1_700_000_000 + seconds)


async def add(
    servicer: AuditServicer, number: int, caller: str = "ops", catalog: str = "default"
) -> None:
    entry = pb.AuditEntry(
        entry_id=f"e{number}",
        time=at(number),
        caller=caller,
        method="sightline.gateway.v1.AdminService/DropGeneration",
        catalog_id=catalog,
        code="PERMISSION_DENIED",
        reason="ROLE_MISSING",
        request_id=f"r{number}",
    )
    await servicer.AppendAuditEntries(pb.AppendAuditEntriesRequest(entries=[entry]), CONTEXT)


async def listed(servicer: AuditServicer, **asked: Any) -> pb.ListAuditEntriesResponse:
    return await servicer.ListAuditEntries(pb.ListAuditEntriesRequest(**asked), CONTEXT)


async def ids(servicer: AuditServicer, **asked: Any) -> list[str]:
    return [entry.entry_id for entry in (await listed(servicer, **asked)).entries]


async def test_an_entry_is_kept_as_it_is_once(servicer: AuditServicer) -> None:
    await add(servicer, 1)
    await add(servicer, 1, caller="somebody else")
    (entry,) = (await listed(servicer)).entries
    assert (entry.entry_id, entry.caller, entry.time) == ("e1", "ops", at(1))
    assert entry.method.endswith("/DropGeneration")
    assert (entry.code, entry.reason) == ("PERMISSION_DENIED", "ROLE_MISSING")
    assert (entry.request_id, entry.catalog_id) == ("r1", "default")


async def test_entries_are_chosen_by_catalog_caller_and_time(servicer: AuditServicer) -> None:
    for number in range(1, 5):
        await add(servicer, number, caller="ops" if number % 2 else "import")
    await add(servicer, 5, catalog="other")
    assert await ids(servicer) == ["e4", "e3", "e2", "e1"]
    assert await ids(servicer, catalog_id="other") == ["e5"]
    assert await ids(servicer, caller="import") == ["e4", "e2"]
    assert await ids(servicer, caller="\0") == []
    assert await ids(servicer, from_time=at(2), before_time=at(4)) == ["e3", "e2"]
    for never in ("from_time", "before_time"):
        with pytest.raises(RequestInvalid, match=never):
            await listed(servicer, **{never: Timestamp(seconds=10**15)})
    with pytest.raises(CatalogNotFound):
        await listed(servicer, catalog_id="nope")


async def test_pages_follow_one_another_and_are_of_one_list(servicer: AuditServicer) -> None:
    for number in range(1, 4):
        await add(servicer, number)
    first = await listed(servicer, page_size=2)
    second = await listed(servicer, page_size=2, page_token=first.next_page_token)
    found = [entry.entry_id for page in (first, second) for entry in page.entries]
    assert (found, second.next_page_token) == (["e3", "e2", "e1"], "")
    for other in ({"catalog_id": "other"}, {"caller": "ops"}):
        with pytest.raises(PageTokenInvalid):
            await listed(servicer, page_token=first.next_page_token, **other)


async def test_the_store_itself_changes_and_deletes_nothing(
    servicer: AuditServicer, db: Database
) -> None:
    await add(servicer, 1)
    acts = ["UPDATE audit_entries SET caller = 'x'", "DELETE FROM audit_entries"]
    if not db.local:
        acts.append("TRUNCATE audit_entries")
    for act in acts:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            await db.write(lambda connection, act=act: connection.execute(sa.text(act)))
    assert await ids(servicer) == ["e1"]


async def chain(servicer: AuditServicer, **asked: Any) -> pb.ReadAuditChainResponse:
    return await servicer.ReadAuditChain(pb.ReadAuditChainRequest(**asked), CONTEXT)


async def drop(servicer: AuditServicer, number: int, hash_: bytes) -> pb.DropAuditEntriesResponse:
    request = pb.DropAuditEntriesRequest(number=number, hash=hash_)
    return await servicer.DropAuditEntries(request, CONTEXT)


async def test_each_catalog_has_a_chain_of_numbers_and_hashes(servicer: AuditServicer) -> None:
    for number in range(1, 4):
        await add(servicer, number)
    await add(servicer, 4, catalog="other")
    entries = (await chain(servicer)).entries
    assert [each.number for each in entries] == [1, 2, 3]
    assert [each.number for each in (await chain(servicer, catalog_id="other")).entries] == [1]
    previous = NO_HASH
    for each in entries:
        row = {
            "number": each.number,
            "id": each.entry_id,
            "time": each.time.ToMicroseconds(),
            "left_out": each.left_out,
        } | {name: getattr(each, name) for name in ("caller", "method", "catalog_id", "code")}
        row |= {"reason": each.reason, "request_id": each.request_id}
        previous = entry_hash(previous, row)
        assert each.hash == previous


async def test_entries_of_a_batch_are_stored_in_its_order_and_once(
    servicer: AuditServicer,
) -> None:
    await add(servicer, 1)
    batch = [
        pb.AuditEntry(entry_id=f"e{number}", time=at(number), catalog_id=catalog, left_out=number)
        for number, catalog in ((3, "default"), (1, "default"), (2, "?"), (3, "default"))
    ]
    request = pb.AppendAuditEntriesRequest(entries=batch)
    stored = (await servicer.AppendAuditEntries(request, CONTEXT)).entries
    assert [(each.entry_id, each.number, each.caller) for each in stored] == [
        ("e3", 2, ""),
        ("e1", 1, "ops"),
        ("e2", 1, ""),
        ("e3", 2, ""),
    ]
    assert await ids(servicer, catalog_id="?") == ["e2"]
    assert (await chain(servicer)).entries[1].left_out == 3


async def test_a_caller_with_a_nul_does_not_keep_others_out(servicer: AuditServicer) -> None:
    entries = [pb.AuditEntry(entry_id=f"e{n}", caller="a\0b", catalog_id="?") for n in range(2)]
    request = pb.AppendAuditEntriesRequest(entries=entries)
    await servicer.AppendAuditEntries(request, CONTEXT)
    assert len(await ids(servicer, catalog_id="?", caller="a\0b")) == 2


async def test_a_chain_is_read_page_by_page_and_begins_with_what_is_not_chained(
    servicer: AuditServicer, db: Database
) -> None:
    await add_unchained(db, 1)
    await add_unchained(db, 2)
    for number in range(3, 6):
        await add(servicer, number)
    found, token = [], ""
    while True:
        page = await chain(servicer, page_size=2, page_token=token)
        found += [(each.entry_id, each.number) for each in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert found == [("e1", 0), ("e2", 0), ("e3", 1), ("e4", 2), ("e5", 3)]


async def test_a_chain_continues_from_the_seal_of_dropped_entries(
    servicer: AuditServicer, db: Database
) -> None:
    await add_unchained(db, 1)
    for number in range(2, 5):
        await add(servicer, number)
    sealed = (await chain(servicer)).entries[2]
    done = await drop(servicer, 2, sealed.hash)
    assert (done.dropped_count, done.unfinished) == (3, False)
    assert (await drop(servicer, 2, sealed.hash)).dropped_count == 0, "it was done"
    page = await chain(servicer)
    assert [each.number for each in page.entries] == [3]
    assert (page.seal.number, page.seal.hash) == (2, sealed.hash)
    await drop(servicer, 3, page.entries[0].hash)
    await add(servicer, 5)
    page = await chain(servicer)
    assert ([each.number for each in page.entries], page.seal.number) == ([4], 3)
    assert await ids(servicer) == ["e5"]


async def test_only_a_known_entry_older_than_the_term_seals(servicer: AuditServicer) -> None:
    await add(servicer, 1)
    await add(servicer, 86_400 + 101)
    first, second = (await chain(servicer)).entries
    for number, hash_ in ((1, second.hash), (1, b""), (3, second.hash)):
        with pytest.raises(AuditSealMismatch):
            await drop(servicer, number, hash_)
    with pytest.raises(AuditTerm):
        await drop(servicer, 2, second.hash)
    with pytest.raises(RequestInvalid, match="number"):
        await drop(servicer, 0, NO_HASH)
    await drop(servicer, 1, first.hash)
    with pytest.raises(AuditSealMismatch):
        await drop(servicer, 1, second.hash)


async def test_a_drop_goes_on_where_an_unfinished_one_ended(
    servicer: AuditServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.audit.record.BATCH", 2)
    monkeypatch.setattr("servicekit.audit.record.MOST_DROPPED", 2)
    for number in range(1, 6):
        await add(servicer, number)
    sealed = (await chain(servicer)).entries[2].hash
    first = await drop(servicer, 3, sealed)
    assert (first.dropped_count, first.unfinished) == (2, True)
    assert [each.number for each in (await chain(servicer)).entries] == [4, 5]
    second = await drop(servicer, 3, sealed)
    assert (second.dropped_count, second.unfinished) == (1, False)
    assert await ids(servicer) == ["e5", "e4"]


async def test_the_store_itself_deletes_nothing_behind_a_seal_and_keeps_seals(
    servicer: AuditServicer, db: Database
) -> None:
    await add(servicer, 1)
    await add(servicer, 2)
    await drop(servicer, 1, (await chain(servicer)).entries[0].hash)
    acts = ("DELETE FROM audit_entries", "DELETE FROM audit_seals", "UPDATE audit_seals SET time=0")
    for act in acts:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            await db.write(lambda connection, act=act: connection.execute(sa.text(act)))
    assert await ids(servicer) == ["e2"]


async def add_unchained(db: Database, number: int) -> None:
    """Add an entry without a chain, as release 0.16 does."""
    row = {"id": f"e{number}", "time": at(number).ToMicroseconds()}
    statement = sa.text(
        "INSERT INTO audit_entries"
        " (id, time, catalog_id, caller, method, code, reason, request_id)"
        " VALUES (:id, :time, 'default', 'ops', 'm', 'OK', '', '')"
    )
    await db.write(lambda connection: connection.execute(statement, row))


async def test_two_processes_continue_one_chain(db: Database) -> None:
    url = db._url.render_as_string(hide_password=False)
    other = Database(url, migrations=db._migrations)
    row = {"time": 1, "catalog_id": "default", "caller": "ops", "method": "m", "code": "OK"}
    row |= {"reason": "", "request_id": "", "left_out": 0}
    records = [AuditRecord(db), AuditRecord(other)]
    await asyncio.gather(
        *(records[n % 2].append([row | {"id": f"e{n}"}]) for n in range(40)),
    )
    entries, _ = await records[0].chain("default", 100, (0, ""))
    previous = NO_HASH
    for number, entry in enumerate(entries, 1):
        assert (entry["number"], entry["hash"]) == (number, entry_hash(previous, entry))
        previous = entry["hash"]
    assert len(entries) == 40
    other.close()
