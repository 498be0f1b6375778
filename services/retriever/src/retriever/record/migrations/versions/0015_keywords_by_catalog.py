"""Full-text indexes by catalog: each word is prefixed with its catalog's id.

A search then reads only the postings of its own catalog. On PostgreSQL the column `words` stays for
replicas of the previous release, which still use it; a later release drops it. A million products
take about a minute.
"""

from collections.abc import Callable

from alembic import op

revision = "0015"
down_revision = "0014"

FIELDS = ("title", "names", "details")
EVENTS = {"inserted": "INSERT", "deleted": "DELETE", "updated": "UPDATE"}

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
COLUMN = (
    "ALTER TABLE keywords ADD COLUMN terms tsvector GENERATED ALWAYS AS ("
    "keyword_terms(catalog_id, title, 'A') || keyword_terms(catalog_id, names, 'B')"
    " || keyword_terms(catalog_id, details, 'C')) STORED"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        # Words are normalized and separated by spaces. "ascii" treats all non-ASCII characters as
        # letters; "tokenchars" adds the other characters of ids. Content is never read back, so
        # none is stored.
        _make_index("content='', tokenize=\"ascii tokenchars '-_'\"", _termed)
        return
    for statement in (
        FUNCTION,
        COLUMN,
        "CREATE INDEX keywords_terms ON keywords USING gin (terms)",
    ):
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_index("content='keywords', content_rowid='number', tokenize='ascii'", "{}.{}".format)
        return
    op.drop_column("keywords", "terms")
    op.execute("DROP FUNCTION keyword_terms")


def _termed(row: str, field: str) -> str:
    """Return SQL of a field of a row, each word prefixed with the catalog's id."""
    before = f"{row}.catalog_id || '·'"
    words = f"replace({row}.{field}, ' ', ' ' || {before})"
    return f"CASE {row}.{field} WHEN '' THEN '' ELSE {before} || {words} END"


def _make_index(options: str, value: Callable[[str, str], str]) -> None:
    """Recreate SQLite's index and its triggers. `value`: SQL of the indexed text of a row's
    field."""

    def values(row: str) -> str:
        return ", ".join([f"{row}.number", *(value(row, field) for field in FIELDS)])

    into = "INSERT INTO keywords_index({0}rowid, title, names, details)".format
    new = f"{into('')} VALUES ({values('new')});"
    old = f"{into('keywords_index, ')} VALUES ('delete', {values('old')});"
    done = {"inserted": new, "deleted": old, "updated": f"{old} {new}"}
    for name in done:
        op.execute(f"DROP TRIGGER keywords_{name}")
    op.execute("DROP TABLE keywords_index")
    op.execute(f"CREATE VIRTUAL TABLE keywords_index USING fts5({', '.join(FIELDS)}, {options})")
    op.execute(f"{into('')} SELECT {values('keywords')} FROM keywords")  # noqa: S608
    for name, statements in done.items():
        event = f"{EVENTS[name]} ON keywords"
        op.execute(f"CREATE TRIGGER keywords_{name} AFTER {event} BEGIN {statements} END")
