"""Words of the titles of markets: products that are stored already get theirs.

A million products with titles of markets take about a minute. The column has the words of new
products whether or not this has run, so that the previous release can be rolled back to.
"""

from alembic import op

from retriever.record.keywords import fill

revision, down_revision = "0028", "0027"


def upgrade() -> None:
    fill(op.get_bind())


def downgrade() -> None:
    """Keep the words: the previous release asks for none of them."""
