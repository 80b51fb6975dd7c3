"""What checks came to on the untouched base

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import Instant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "baselines",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("repository", sa.String(1000), nullable=False),
        sa.Column("commit", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository", "commit", "digest", name="pk_baselines"),
    )
    op.create_index("ix_baselines_at", "baselines", ["at"])


def downgrade() -> None:
    op.drop_table("baselines")
