"""Objects of the store that SQLAlchemy does not describe: the full-text search of `keywords`, and
the trigger that notes changes.

The words of products are those of the store's full-text search, each prefixed with its catalog's
id, so that a search reads only the postings of its own catalog.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, MetaData

INSERT = """
    INSERT INTO changes (catalog_id, product_id, seq)
    VALUES (NEW.catalog_id, NEW.product_id, NEW.seq)
    ON CONFLICT (catalog_id, product_id) DO UPDATE SET seq = excluded.seq
"""
"""A trigger, so that writes by replicas of every release are recorded."""
FIELDS = ("title", "names", "details")
FUNCTION = """
    CREATE FUNCTION keyword_terms(catalog text, words text, weight text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT coalesce(string_agg(
            '''' || catalog || '·' || word || ''':' || place || weight, ' '
        ), '')::tsvector
        FROM unnest(string_to_array(words, ' ')) WITH ORDINALITY AS held(word, place)
        WHERE word <> ''
    $$
"""
POSTGRESQL = (
    FUNCTION,
    "ALTER TABLE keywords ADD COLUMN terms tsvector GENERATED ALWAYS AS ("
    "keyword_terms(catalog_id, title, 'A') || keyword_terms(catalog_id, names, 'B')"
    " || keyword_terms(catalog_id, details, 'C')) STORED",
    "CREATE INDEX keywords_terms ON keywords USING gin (terms)",
    f"CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN {INSERT}; RETURN NULL; END $$",
    "CREATE TRIGGER outbox_changes AFTER INSERT ON outbox "
    "FOR EACH ROW EXECUTE FUNCTION note_change()",
)


def create(_: MetaData, connection: Connection, **_options: object) -> None:
    """Create them beside the tables."""
    made = _on_sqlite() if connection.dialect.name == "sqlite" else POSTGRESQL
    for statement in made:
        connection.exec_driver_sql(statement)


def _on_sqlite() -> Iterator[str]:
    """Yield the statements of SQLite's index and its triggers. "ascii" treats all non-ASCII
    characters as letters; "tokenchars" adds the other characters of ids. Content is never read
    back, so none is stored."""
    options = "content='', tokenize=\"ascii tokenchars '-_'\""
    yield f"CREATE VIRTUAL TABLE keywords_index USING fts5({', '.join(FIELDS)}, {options})"
    into = "INSERT INTO keywords_index({0}rowid, title, names, details)".format
    new = f"{into('')} VALUES ({_values('new')});"
    old = f"{into('keywords_index, ')} VALUES ('delete', {_values('old')});"
    for name, event, statements in (
        ("inserted", "INSERT", new),
        ("deleted", "DELETE", old),
        ("updated", "UPDATE", f"{old} {new}"),
    ):
        on = f"AFTER {event} ON keywords"
        yield f"CREATE TRIGGER keywords_{name} {on} BEGIN {statements} END"
    yield f"CREATE TRIGGER outbox_changes AFTER INSERT ON outbox BEGIN {INSERT}; END"


def _values(row: str) -> str:
    """Return SQL of a row's number and of its fields, each word prefixed with the catalog's id."""
    before = f"{row}.catalog_id || '·'"
    fields = (
        f"CASE {row}.{field} WHEN '' THEN '' ELSE {before} || "
        f"replace({row}.{field}, ' ', ' ' || {before}) END"
        for field in FIELDS
    )
    return ", ".join([f"{row}.number", *fields])
