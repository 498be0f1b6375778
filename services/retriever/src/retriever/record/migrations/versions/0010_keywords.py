"""The words of products, for the store's full-text search.

The migration stores the words of existing products: a million take about a minute.
"""

import sqlalchemy as sa
from alembic import op

from retriever.record.keywords import fill
from retriever.record.migrations.columns import of_product, texts

revision = "0010"
down_revision = "0009"

FIELDS = ("title", "names", "details")

_NEW = (
    "INSERT INTO keywords_index(rowid, title, names, details)"
    " VALUES (new.number, new.title, new.names, new.details)"
)
_OLD = (
    "INSERT INTO keywords_index(keywords_index, rowid, title, names, details)"
    " VALUES ('delete', old.number, old.title, old.names, old.details)"
)
SQLITE = (
    # Words are normalized and separated by spaces; "ascii" treats all non-ASCII characters as
    # letters.
    "CREATE VIRTUAL TABLE keywords_index USING fts5(title, names, details, content='keywords',"
    " content_rowid='number', tokenize='ascii')",
    f"CREATE TRIGGER keywords_inserted AFTER INSERT ON keywords BEGIN {_NEW}; END",
    f"CREATE TRIGGER keywords_deleted AFTER DELETE ON keywords BEGIN {_OLD}; END",
    f"CREATE TRIGGER keywords_updated AFTER UPDATE ON keywords BEGIN {_OLD}; {_NEW}; END",
)
POSTGRESQL = (
    "ALTER TABLE keywords ADD COLUMN words tsvector GENERATED ALWAYS AS ("
    "setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', names), 'B')"
    " || setweight(to_tsvector('simple', details), 'C')) STORED",
    "CREATE INDEX keywords_words ON keywords USING gin (words)",
)


def upgrade() -> None:
    op.create_table(
        "keywords",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        *texts("catalog_id", "product_id", *FIELDS),
        of_product(),
    )
    op.create_index("keywords_product", "keywords", ["catalog_id", "product_id"], unique=True)
    connection = op.get_bind()
    for statement in POSTGRESQL if connection.dialect.name == "postgresql" else SQLITE:
        op.execute(statement)
    fill(connection)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE keywords_index")
    op.drop_table("keywords")
