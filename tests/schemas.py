"""Schemas of stores, for comparison: columns in any order, keys, indexes, triggers, functions."""

from collections.abc import Iterator

from sqlalchemy import Connection

_OF_POSTGRESQL = (
    "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default,"
    " generation_expression FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace",
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
)


def described(connection: Connection) -> set[str]:
    """Return a line for each part of a store's schema."""
    if connection.dialect.name == "sqlite":
        return {*_of_sqlite(connection)}
    return {
        str(tuple(row)) for query in _OF_POSTGRESQL for row in connection.exec_driver_sql(query)
    }


def _of_sqlite(connection: Connection) -> Iterator[str]:
    def asked(pragma: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(f"PRAGMA {pragma}")]

    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    for kind, name, table, sql in connection.exec_driver_sql(query).all():
        if kind != "table" or sql.startswith("CREATE VIRTUAL"):
            yield f"{kind} {table} {' '.join(sql.split())}"
            continue
        yield f"{name} AUTOINCREMENT {'AUTOINCREMENT' in sql}"
        for _, *column in asked(f"table_xinfo('{name}')"):
            yield f"{name} column {column}"
        for _, *reference in asked(f"foreign_key_list('{name}')"):
            yield f"{name} reference {reference}"
        for _, index, is_unique, origin, _ in asked(f"index_list('{name}')"):
            columns = [column for *_, column in asked(f"index_info('{index}')")]
            yield f"{name} index {origin} {is_unique} {columns}"
