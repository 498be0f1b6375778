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
    """Create the append-only table of servicekit.audit_service."""
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


def create_jobs() -> None:
    """Create the table of servicekit.jobs."""
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
