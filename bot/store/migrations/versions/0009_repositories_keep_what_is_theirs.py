"""The names of repositories by the host's own ids: who is renamed keeps what is kept about it

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "repository_names",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(1000), nullable=False),
        sa.PrimaryKeyConstraint("org", "id", name="pk_repository_names"),
    )


def downgrade() -> None:
    op.drop_table("repository_names")
