"""Resources in SQL: what callers create, get, list, update and delete by an id. Each is a row of a
table, and a value of a dataclass that describes its columns. Needs the extra `sql`.

A call that is repeated because its answer was lost has to have the same answer (RFC 9110, 13.1.1):
so a resource whose contents are the wanted ones already is returned, before ids, limits and etags
are checked.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_type_hints

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Connection

from servicekit.errors import Internal, ServiceError
from servicekit.sql.locks import inserting

V = TypeVar("V")


def put(
    connection: Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    keep: bool = False,
    but: tuple[str, ...] = (),
) -> None:
    """Insert rows; where the key exists, keep the stored row or update it.

    `but`: columns that are updated although the others are kept.
    """
    if rows:
        connection.execute(_put(connection.dialect.name, table, keep, but), list(rows))


@cache
def _put(dialect: str, table: sa.Table, keep: bool, but: tuple[str, ...]) -> Any:
    statement = inserting(dialect, table)
    key = [column.name for column in table.primary_key]
    if keep and not but:
        return statement.on_conflict_do_nothing(index_elements=key)
    others = but if keep else [each.name for each in table.columns if each.name not in key]
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: statement.excluded[name] for name in others}
    )


@dataclass(frozen=True, slots=True)
class Form:
    """Form of a value in a column."""

    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]
    """Raises ValueError or TypeError."""


AS_IT_IS = Form(lambda value: value, lambda value: value)


class Rows(Generic[V]):
    """Rows of a table as values of a dataclass.

    An attribute is in the column of its name, `create_micros` in `create_time`. Enums are stored by
    value, other values that are no text in columns of text as JSON. An attribute without a column
    that is a dataclass is in several columns, any other has its default. Columns without an
    attribute, such as the catalog, are given when a row is written.
    """

    def __init__(
        self,
        table: sa.Table,
        kind: type[V],
        columns: Mapping[str, str] | None = None,
        forms: Mapping[str, Form] | None = None,
    ) -> None:
        """`columns`: those of attributes whose names differ. `forms`: of attributes that are stored
        otherwise. Raises TypeError for an attribute that has neither a column nor a default."""
        self.table, self._kind = table, kind
        hints, columns, forms = get_type_hints(kind), columns or {}, forms or {}
        self._cells: list[tuple[str, str, Form]] = []
        self._parts: dict[str, Rows[Any]] = {}
        for each in fields(kind):  # type: ignore[arg-type]
            name, hint = each.name, hints[each.name]
            column = columns.get(name, name)
            if column not in table.c:
                column = name.removesuffix("_micros") + "_time"
            if column in table.c:
                self._cells.append((name, column, forms.get(name) or _form(hint, table.c[column])))
            elif is_dataclass(hint):
                self._parts[name] = Rows(table, hint)  # type: ignore[arg-type]
            elif each.default is MISSING and each.default_factory is MISSING:
                raise TypeError(f"{table.name} has no column for {kind.__name__}.{name}")

    def of(self, row: sa.Row[Any]) -> V:
        """Return the value of a row. Raises ValueError or TypeError if this release can't read
        it."""
        values = {name: form.load(row._mapping[column]) for name, column, form in self._cells}
        parts = {name: each.of(row) for name, each in self._parts.items()}
        return self._kind(**values, **parts)

    def row(self, value: V, **others: Any) -> dict[str, Any]:
        """Return the row of a value. `others`: columns that it does not have."""
        made = {column: form.dump(getattr(value, name)) for name, column, form in self._cells}
        for name, each in self._parts.items():
            made |= each.row(getattr(value, name))
        return made | others

    def put(self, connection: Connection, values: Sequence[V], **others: Any) -> None:
        """Store values; those of an existing key are replaced."""
        put(connection, self.table, [self.row(value, **others) for value in values])

    def read(self, connection: Connection, query: sa.Select[Any]) -> Iterator[V]:
        """Yield the values of a query that has all columns of the table."""
        return map(self.of, connection.execute(query))


def _form(hint: Any, column: sa.Column[Any]) -> Form:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Form(attrgetter("value"), hint)
    if hint is str or not isinstance(column.type, sa.Text | sa.types.TypeDecorator):
        return AS_IT_IS
    adapter = TypeAdapter[Any](hint)
    return Form(
        lambda value: json.dumps(adapter.dump_python(value, mode="json")), adapter.validate_json
    )


@dataclass(frozen=True, slots=True)
class ResourceErrors:
    """Errors of calls about a resource."""

    missing: Callable[[], ServiceError] = Internal
    exists: Callable[[], ServiceError] = Internal
    full: Callable[[int], ServiceError] = lambda _: Internal()
    """Made of the limit."""
    changed: Callable[[], ServiceError] = Internal
    """The etag is not the required one."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[V]):
    """Resources of one kind. The last column of the table's key is the id, those before it are the
    scope, such as the catalog. A transaction has its lock before it calls one of these."""

    rows: Rows[V]
    errors: ResourceErrors
    contents: Callable[[V], object]
    """What callers set; equal contents are the same resource."""
    most: int = 0
    """Limit of a scope; 0: none."""
    etag: Callable[[V], str] = attrgetter("etag")
    removed: sa.ColumnElement[bool] | None = None
    """Condition of rows of which only the id is left, for another resource to have it; `find` and
    `get` return them."""
    dependants: tuple[sa.Table, ...] = ()
    """Tables with the columns of its key, whose rows are deleted with it."""

    def find(self, connection: Connection, *key: str) -> V | None:
        """Return the resource of a key; None if there is none."""
        row = connection.execute(self._of(key)).first()
        return None if row is None else self.rows.of(row)

    def get(self, connection: Connection, *key: str) -> V:
        """Return the resource of a key. Raises the error `missing`."""
        if (found := self.find(connection, *key)) is None:
            raise self.errors.missing()
        return found

    def page(
        self, connection: Connection, *scope: str, after: str = "", limit: int | None = None
    ) -> list[V]:
        """Return the resources of a scope by id, after one; `limit`: None: all."""
        *_, name = self.rows.table.primary_key
        query = self._live(scope).where(name > after).order_by(name).limit(limit)
        return list(self.rows.read(connection, query))

    def create(
        self, connection: Connection, value: V, *key: str, most: int | None = None, **others: Any
    ) -> tuple[V, bool]:
        """Store a resource. Return it, and whether it was stored: not if there is one with equal
        contents, which is returned. `most`: another limit. `others`: columns that it does not have.

        Raises the errors `exists` and `full`.
        """
        for found in self.rows.read(connection, self._live(key)):
            if self.contents(found) != self.contents(value):
                raise self.errors.exists()
            return found, False
        self.check_room(connection, *key[:-1], most=most)
        self.put(connection, value, *key, **others)
        return value, True

    def put(self, connection: Connection, value: V, *key: str, **others: Any) -> None:
        """Store a resource; one of its key is replaced."""
        named = {column.name: each for column, each in zip(self._key, key, strict=True)}
        self.rows.put(connection, [value], **named, **others)

    def to_replace(self, stored: V, wanted: V, required: str = "") -> bool:
        """Return whether a stored resource has to be replaced by the wanted one: not if it has its
        contents already. `required`: etag; empty: any. Raises the error `changed`."""
        if self.contents(stored) == self.contents(wanted):
            return False
        self.check_etag(stored, required)
        return True

    def check_etag(self, stored: V, required: str) -> None:
        """Raise the error `changed` unless a resource has the required etag; empty: any."""
        if required and required != self.etag(stored):
            raise self.errors.changed()

    def check_room(
        self, connection: Connection, *scope: str, most: int | None = None, coming: int = 1
    ) -> None:
        """Raise the error `full` if a scope has no room for more resources, `coming` of them."""
        limit = self.most if most is None else most
        mine = sa.select(sa.func.count()).select_from(self._live(scope).subquery())
        if (most is not None or limit) and connection.execute(mine).scalar_one() + coming > limit:
            raise self.errors.full(limit)

    def delete(self, connection: Connection, *key: str) -> bool:
        """Delete a resource and what depends on it. Return whether it existed."""
        self.drop_dependants(connection, *key)
        return self._delete(connection, self.rows.table, key)

    def drop_dependants(self, connection: Connection, *key: str) -> None:
        """Delete what depends on a resource."""
        for table in self.dependants:
            self._delete(connection, table, key)

    def _delete(self, connection: Connection, table: sa.Table, key: Sequence[str]) -> bool:
        mine = (table.c[column.name] == each for column, each in zip(self._key, key, strict=True))
        return bool(connection.execute(sa.delete(table).where(*mine)).rowcount)

    @property
    def _key(self) -> Sequence[sa.Column[Any]]:
        return tuple(self.rows.table.primary_key)

    def _of(self, key: Sequence[str]) -> sa.Select[Any]:
        """Return the query of the resources whose key begins like this."""
        mine = (column == each for column, each in zip(self._key, key, strict=False))
        return sa.select(self.rows.table).where(*mine)

    def _live(self, key: Sequence[str]) -> sa.Select[Any]:
        """Return the query of those that callers see."""
        return self._of(key) if self.removed is None else self._of(key).where(~self.removed)
