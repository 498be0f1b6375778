"""Columns by kind, for the tables of release 0.30. They never change."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts by code point."""


def of_product() -> sa.ForeignKeyConstraint:
    """Return a foreign key that deletes a row with its product."""
    product = ["products.catalog_id", "products.product_id"]
    return sa.ForeignKeyConstraint(["catalog_id", "product_id"], product, ondelete="CASCADE")


def keys(*names: str, kind: Any = sa.Text) -> Iterable[sa.Column[Any]]:
    """Return columns of a primary key."""
    return [sa.Column(name, kind, primary_key=True) for name in names]


def texts(*names: str, kind: Any = sa.Text) -> Iterable[sa.Column[Any]]:
    """Return text columns that are NOT NULL."""
    return [sa.Column(name, kind, nullable=False) for name in names]


sorted_texts = partial(texts, kind=TEXT)


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


def given(name: str, kind: Any, default: Any) -> sa.Column[Any]:
    """Return a column that is NOT NULL and has a default."""
    return sa.Column(name, kind, nullable=False, server_default=default)


def index(name: str, table: str, *columns: Any, where: str = "", unique: bool = False) -> None:
    """Create an index. `where`: condition of the rows that it holds."""
    rows = sa.text(where) if where else None
    op.create_index(
        name, table, [*columns], unique=unique, sqlite_where=rows, postgresql_where=rows
    )


def create_audit() -> None:
    """Create the append-only table of the audit log, its chains, and the seals up to
    which entries may be deleted."""
    op.create_table(
        "audit_entries",
        *keys("id"),
        *numbers("time"),
        *texts("caller", "method", "catalog_id", "code", "reason", "request_id"),
        given("left_out", sa.BigInteger, "0"),
        sa.Column("number", sa.BigInteger),
        sa.Column("hash", sa.LargeBinary),
    )
    index("audit_entries_catalog", "audit_entries", "catalog_id", "id")
    # Not unique: a release before would not start on a new constraint. `AuditRecord` has a lock.
    index("audit_entries_chain", "audit_entries", "catalog_id", "number")
    op.create_table(
        "audit_seals",
        *keys("catalog_id"),
        *keys("number", kind=sa.BigInteger),
        *texts("hash", kind=sa.LargeBinary),
        *numbers("time", "dropped"),
    )
    (_guard_sqlite if op.get_bind().dialect.name == "sqlite" else _guard_postgresql)()


_APPEND_ONLY = "the audit log is append-only"
_SEALED = (
    "EXISTS (SELECT 1 FROM audit_seals s WHERE s.catalog_id = OLD.catalog_id AND "
    "(OLD.number <= s.number OR (OLD.number IS NULL AND OLD.time < s.time)))"
)


def _guard_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
    for name, acts in (
        ("audit_no_update", "UPDATE ON audit_entries"),
        ("audit_no_delete", f"DELETE ON audit_entries WHEN NOT {_SEALED}"),
        ("audit_seals_no_update", "UPDATE ON audit_seals"),
        ("audit_seals_no_delete", "DELETE ON audit_seals"),
    ):
        op.execute(f"CREATE TRIGGER {name} BEFORE {acts} {refuse}")


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
    )
    op.execute(
        "CREATE FUNCTION audit_keep_unsealed() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {_SEALED} THEN RETURN OLD; END IF; "
        f"RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
    )
    for name, acts, table, each, function in (
        ("audit_no_update", "UPDATE", "audit_entries", "ROW", "audit_append_only"),
        ("audit_no_delete", "DELETE", "audit_entries", "ROW", "audit_keep_unsealed"),
        ("audit_no_truncate", "TRUNCATE", "audit_entries", "STATEMENT", "audit_append_only"),
        ("audit_seals_no_delete", "UPDATE OR DELETE", "audit_seals", "ROW", "audit_append_only"),
        ("audit_seals_no_truncate", "TRUNCATE", "audit_seals", "STATEMENT", "audit_append_only"),
    ):
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {acts} ON {table} FOR EACH {each} "
            f"EXECUTE FUNCTION {function}()"
        )


def create_jobs() -> None:
    """Create the table of jobs."""
    op.create_table(
        "jobs",
        *texts("id", "kind", "catalog_id", "request_id", "params", "state"),
        *numbers("done", "total"),
        *texts("error_reason", "error_message", "result"),
        *flags("cancel_requested"),
        *texts("owner"),
        *numbers("attempts", kind=sa.Integer),
        *numbers("lease_until", "created_time", "started_time", "finished_time"),
        given("caller", sa.Text, ""),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "catalog_id", "request_id", name="jobs_request"),
    )
    op.create_index("jobs_open", "jobs", ["state", "kind"])
