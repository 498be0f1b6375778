"""Revisions of a store's schema: the current one, the pending ones, and whether this release can
use the store. Needs the extra `sql`.

A release adds tables and columns, and removes nothing that the release before reads or writes
(expand, migrate, contract: CONTRIBUTING.md), so that both may run on the store during a
rollout, and a roll-back needs no other schema.
"""

import importlib.util
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import CheckConstraint, Connection, MetaData, inspect

Made = Callable[[str], None]
"""Called with each revision right after it was applied, before the commit."""


@dataclass(frozen=True, slots=True)
class SchemaRevision:
    """A store's revision, compared with this release's migrations."""

    found: str
    """Current revision; "" without tables."""
    newest: str
    """Newest revision of this release."""
    missing: Mapping[str, str]
    """Pending revisions in order, each with its purpose."""
    newer: bool
    """True if a later release migrated the store."""


class SchemaTooOld(Exception):
    """The store is of a release before 0.30, whose migrations this release does not have."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"the store is at {found}, of a release before 0.30: start a release of 0.30 to 0.39"
            " once, which upgrades it"
        )


def schema(connection: Connection, package: str) -> SchemaRevision:
    """Return the revision of the store behind `connection`, by the migrations in `package`. Raises
    SchemaTooOld."""
    scripts = ScriptDirectory.from_config(_config(package))
    found = MigrationContext.configure(connection).get_current_revision() or ""
    newest = scripts.get_current_head() or ""
    try:
        steps = [*scripts.iterate_revisions("head", found)] if found else []
    except ResolutionError:  # a revision of another release
        if found < (scripts.get_base() or ""):
            raise SchemaTooOld(found) from None
        return SchemaRevision(found, newest, {}, newer=True)
    missing = {step.revision: (step.doc or "").partition("\n")[0] for step in reversed(steps)}
    if not found:
        missing[newest] = "All tables"
    return SchemaRevision(found, newest, missing, newer=False)


def upgrade(
    connection: Connection, package: str, made: Made = lambda _: None, to: str = "head"
) -> None:
    """Apply pending revisions, up to `to`. A new store gets all tables of this release at once."""
    config = _config(package)
    config.attributes.update(connection=connection, made=made, whole=to == "head")
    command.upgrade(config, to)


def create(connection: Connection, package: str, revision: str) -> None:
    """Create the empty tables of a revision, of this release or an earlier one: those of this
    release, without what later revisions added."""
    upgrade(connection, package)
    if revision != schema(connection, package).found:
        config = _config(package)
        config.attributes.update(connection=connection)
        command.downgrade(config, revision)


def is_known(package: str, revision: str) -> bool:
    """Return whether this release can create the tables of a revision."""
    try:
        return ScriptDirectory.from_config(_config(package)).get_revision(revision) is not None
    except CommandError:
        return False


def run_migrations(metadata: MetaData) -> None:
    """Run migrations: the whole body of a service's `migrations/env.py`."""
    attributes = context.config.attributes
    connection: Connection = attributes["connection"]
    made: Made = attributes.get("made", lambda _: None)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
        on_version_apply=lambda *, step, **_: made(step.up_revision_id),
    )
    with context.begin_transaction():
        migration = context.get_context()
        if attributes.get("whole") and not migration.get_current_heads():
            metadata.create_all(connection, checkfirst=False)
            migration.stamp(ScriptDirectory.from_config(context.config), "head")
            made(str(context.get_head_revision()))
        else:
            context.run_migrations()


def drift(connection: Connection, metadata: MetaData, beside: Collection[str] = ()) -> list[Any]:
    """Return the differences of a schema from `metadata`, as Alembic's operations.

    `beside`: prefixes of names that are ignored: tables, table.column, indexes. Indexes of
    expressions are ignored: SQLAlchemy does not read them back from SQLite.
    """

    def counts(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        whole = f"{parents.get('table_name')}.{name}" if kind == "column" else name or ""
        return not whole.startswith(tuple(beside))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?i).*expression-based index")
        opts = {"compare_type": True, "include_name": counts}
        migration = MigrationContext.configure(connection, opts=opts)
        found: list[Any] = compare_metadata(migration, metadata)
        return found


def obstacles(connection: Connection, metadata: MetaData) -> list[str]:
    """Return the reasons why code for the tables of `metadata` can't use this store; empty if it
    can.

    Additional tables and columns are no obstacle, unless they reject rows of code that does not
    know them.
    """
    found: list[str] = []
    for change in drift(connection, metadata):
        for each in change if isinstance(change, list) else [change]:
            found += _obstacle(each, metadata)
    return [*found, *_checks(connection, metadata)]


def _checks(connection: Connection, metadata: MetaData) -> Iterator[str]:
    """Yield unknown check constraints, which Alembic does not compare."""
    here = inspect(connection)
    for table in metadata.tables.values():
        known = {str(rule.name) for rule in table.constraints if isinstance(rule, CheckConstraint)}
        rules = here.get_check_constraints(table.name) if here.has_table(table.name) else []
        for rule in rules:
            if str(rule["name"]) not in known:
                yield _refusing(table.name, rule["name"])


def _refusing(table: str, rule: object) -> str:
    return f"a new constraint of {table} rejects rows: {rule or 'without a name'}"


def _obstacle(change: Any, metadata: MetaData) -> Iterator[str]:  # noqa: C901 - one case a change
    """Yield why a difference from `metadata` is an obstacle, if it is one."""
    match change:
        case ("add_table", table):
            yield f"the table {table.name} is gone"
        case ("add_column", _, table, column):
            yield f"the column {table}.{column.name} is gone"
        case ("add_constraint", constraint):
            yield f"rows of {constraint.table.name} are no longer unique: {constraint.name} is gone"
        case ("add_index", index) if index.unique:
            yield f"rows of {index.table.name} are no longer unique: {index.name} is gone"
        case ("remove_column", _, table, column):
            given = column.server_default or column.computed or column.identity
            if not (column.nullable or given):
                yield f"the column {table}.{column.name} is new and required"
        case ("remove_constraint" | "remove_fk", rule) if rule.table.name in metadata.tables:
            yield _refusing(rule.table.name, rule.name)
        case ("remove_index", index) if index.unique and index.table.name in metadata.tables:
            yield _refusing(index.table.name, index.name)
        case ("modify_nullable", _, table, column, _, False, True):
            yield f"the column {table}.{column} is required"
        case ("modify_type", _, table, column, _, there, wanted):
            yield f"the column {table}.{column} is {there!r}, not {wanted!r}"


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", _folder(package).replace("%", "%%"))
    return config


def _folder(package: str) -> str:
    """Return the folder of `package`. Raises ModuleNotFoundError when it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package!r} with migrations")
    return next(iter(spec.submodule_search_locations))
