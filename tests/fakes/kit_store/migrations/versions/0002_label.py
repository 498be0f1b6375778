import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("shelf", recreate="always"):
        pass
    op.add_column("bottle", sa.Column("label", sa.Text, nullable=False, server_default=""))
    with op.batch_alter_table("bottle") as batch:
        batch.alter_column("label", server_default=None)
