"""The audit log of a store, on either engine: entries are added and read, and never changed."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.audit_record import AuditRecord
from servicekit.audit_service import AuditServicer
from servicekit.requests import CatalogNotFound, PageTokenInvalid, RequestInvalid
from servicekit.sql import Database
from sightline.common.v1 import audit_service_pb2 as pb
from tests.stores import NewStore

CONTEXT: Any = None


@pytest.fixture(params=["ranker.events", "retriever"])
def db(request: pytest.FixtureRequest, new_store: NewStore) -> Iterator[Database]:
    migrations = f"{request.param}.record.migrations"
    made = Database(new_store(migrations, "store.db"), migrations=migrations)
    yield made
    made.close()


@pytest.fixture
def servicer(db: Database) -> AuditServicer:
    return AuditServicer(["default", "other"], AuditRecord(db))


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
    request = pb.AppendAuditEntryRequest(catalog_id=catalog, entry=entry)
    await servicer.AppendAuditEntry(request, CONTEXT)


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
