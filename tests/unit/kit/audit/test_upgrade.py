"""Audit entries of release 0.15: kept by the upgrade, and read by a release that is rolled back."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from servicekit.audit.record import AuditRecord
from servicekit.sql import revisions
from servicekit.sql.database import Database
from tests.stores import POSTGRESQL, STARTED, Stores

BEFORE = {"retriever.record.migrations": "0016", "ranker.record.migrations": "0013"}
"""Revisions of release 0.15.0."""
INSERT = sa.text(
    "INSERT INTO audit_entries (id, time, catalog_id, caller, method, code, reason, request_id)"
    " VALUES (:id, :time, 'default', 'ops', 'm', 'OK', '', '')"
)


@pytest.mark.full
@pytest.mark.parametrize("engine", ["sqlite", STARTED])
@pytest.mark.parametrize("migrations", BEFORE)
async def test_old_entries_are_kept_without_a_number_and_a_chain_follows(
    migrations: str, engine: str, stores: Stores, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    if engine == POSTGRESQL:
        name = f"audit_{migrations.partition('.')[0]}"
        stores.server().execute(f"CREATE DATABASE {name}")
        url = stores.server().url(name)
    db = Database(url, migrations=migrations)
    with db._migration_connection() as connection:
        revisions.upgrade(connection, migrations, to=BEFORE[migrations])
        connection.execute(INSERT, [{"id": f"e{n}", "time": n} for n in range(3)])
    db.migrate()
    record = AuditRecord(db)
    new = {"id": "e5", "time": 5, "catalog_id": "default", "caller": "ops", "method": "m"}
    await record.append([new | {"code": "OK", "reason": "", "request_id": "", "left_out": 0}])
    # A release that was rolled back continues as before.
    await db.write(lambda connection: connection.execute(INSERT, {"id": "e6", "time": 6}))
    entries, seal = await record.chain("default", 10, (0, ""))
    found = [(entry["id"], entry["number"]) for entry in entries]
    assert found == [("e0", None), ("e1", None), ("e2", None), ("e6", None), ("e5", 1)]
    assert seal.number == 0
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        await db.write(lambda connection: connection.execute(sa.text("DELETE FROM audit_entries")))
    db.close()
