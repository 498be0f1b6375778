"""Columns by kind, for tables and their migrations.

Never change these functions: a migration must always create the same tables.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op


def keys(*names: str, kind: Any = sa.Text) -> Iterable[sa.Column[Any]]:
    """Return columns of a primary key."""
    return [sa.Column(name, kind, primary_key=True) for name in names]


def texts(*names: str, kind: Any = sa.Text) -> Iterable[sa.Column[Any]]:
    """Return text columns that are NOT NULL."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def numbers(*names: str, kind: Any = sa.BigInteger) -> Iterable[sa.Column[Any]]:
    """Return number columns that are NOT NULL."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def flags(*names: str) -> Iterable[sa.Column[Any]]:
    """Return boolean columns that are NOT NULL."""
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def sequence() -> sa.Column[Any]:
    """Return a column that the store increments."""
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("sequence", kind, autoincrement=True, nullable=False)


def create_audit() -> None:
    """Create the append-only table of servicekit.rpc.audit_service."""
    op.create_table(
        "audit_entries",
        *keys("id"),
        *numbers("time"),
        *texts("caller", "method", "catalog_id", "code", "reason", "request_id"),
    )
    op.create_index("audit_entries_catalog", "audit_entries", ["catalog_id", "id"])
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON audit_entries "
                f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
    )
    for acts, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER audit_no_{acts.split()[-1].lower()} BEFORE {acts} ON audit_entries "
            f"FOR EACH {each} EXECUTE FUNCTION audit_append_only()"
        )


_APPEND_ONLY = "the audit log is append-only"


def chain_audit() -> None:
    """Add chains and seals to the table of `create_audit`: entries up to a seal may be deleted."""
    number = sa.Column("left_out", sa.BigInteger(), nullable=False, server_default="0")
    for column in (
        number,
        sa.Column("number", sa.BigInteger()),
        sa.Column("hash", sa.LargeBinary()),
    ):
        op.add_column("audit_entries", column)
    # Not unique: a release before would not start on a new constraint. `AuditRecord` has a lock.
    op.create_index("audit_entries_chain", "audit_entries", ["catalog_id", "number"])
    op.create_table(
        "audit_seals",
        *keys("catalog_id"),
        *keys("number", kind=sa.BigInteger),
        *texts("hash", kind=sa.LargeBinary),
        *numbers("time", "dropped"),
    )
    op.execute("DROP TRIGGER audit_no_delete" + _on("audit_entries"))
    (_seal_sqlite if op.get_bind().dialect.name == "sqlite" else _seal_postgresql)()


_SEALED = (
    "EXISTS (SELECT 1 FROM audit_seals s WHERE s.catalog_id = OLD.catalog_id AND "
    "(OLD.number <= s.number OR (OLD.number IS NULL AND OLD.time < s.time)))"
)


def _on(table: str) -> str:
    return "" if op.get_bind().dialect.name == "sqlite" else f" ON {table}"


def _seal_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
    op.execute(
        f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_entries WHEN NOT {_SEALED} {refuse}"
    )
    for act in ("UPDATE", "DELETE"):
        name = f"audit_seals_no_{act.lower()}"
        op.execute(f"CREATE TRIGGER {name} BEFORE {act} ON audit_seals {refuse}")


def _seal_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_keep_unsealed() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {_SEALED} THEN RETURN OLD; END IF; "
        f"RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
    )
    for name, acts, table, each, function in (
        ("audit_no_update", "UPDATE", "audit_entries", "ROW", "audit_append_only"),
        ("audit_no_delete", "DELETE", "audit_entries", "ROW", "audit_keep_unsealed"),
        ("audit_seals_no_delete", "UPDATE OR DELETE", "audit_seals", "ROW", "audit_append_only"),
        ("audit_seals_no_truncate", "TRUNCATE", "audit_seals", "STATEMENT", "audit_append_only"),
    ):
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {acts} ON {table} FOR EACH {each} "
            f"EXECUTE FUNCTION {function}()"
        )


def unchain_audit() -> None:
    """Undo `chain_audit`."""
    op.execute("DROP TRIGGER audit_no_delete" + _on("audit_entries"))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_entries "
            f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
        )
    else:
        op.execute("DROP TRIGGER audit_no_update ON audit_entries")
        op.execute(
            "CREATE TRIGGER audit_no_delete BEFORE UPDATE OR DELETE ON audit_entries "
            "FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
        )
    op.drop_table("audit_seals")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_keep_unsealed()")
    op.drop_index("audit_entries_chain", "audit_entries")
    for name in ("hash", "number", "left_out"):
        op.drop_column("audit_entries", name)


def create_jobs() -> None:
    """Create the table of servicekit.jobs.queue."""
    op.create_table(
        "jobs",
        *texts("id", "kind", "catalog_id", "request_id", "params", "state"),
        *numbers("done", "total"),
        *texts("error_reason", "error_message", "result"),
        *flags("cancel_requested"),
        *texts("owner"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("lease_until", "created_time", "started_time", "finished_time"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "catalog_id", "request_id", name="jobs_request"),
    )
    op.create_index("jobs_open", "jobs", ["state", "kind"])


def caller_of_job() -> sa.Column[str]:
    """Return the column of a job's caller; empty for existing jobs and those of the release
    before."""
    return sa.Column("caller", sa.Text(), nullable=False, server_default="")
