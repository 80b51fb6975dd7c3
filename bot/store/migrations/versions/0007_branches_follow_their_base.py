"""Branches follow their base, people's commits on them are joined, and what is unchanged is not looked at again

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import Instant, Words

revision = "0007"
down_revision = "0006"

COLUMNS = (
    ("taken_over", sa.String(64), ""),
    ("refreshed_at", Instant(), None),
    ("refreshed_head", sa.String(64), ""),
    ("done", Words(), ""),
)


def upgrade() -> None:
    op.add_column("runs", sa.Column("rebase", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("attempts", sa.Column("head", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_attempts_head", "attempts", ["head"])
    for name, kind, default in COLUMNS:
        op.add_column("publications", sa.Column(name, kind, nullable=default is None, server_default=default))
    op.create_table(
        "looked",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("policy", sa.String(63), nullable=False),
        sa.Column("repository", sa.String(1000), nullable=False),
        sa.Column("base", sa.String(255), nullable=False),
        sa.Column("path", sa.String(1000), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("inputs", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(24), nullable=False),
        sa.Column("reason", Words(), nullable=False),
        sa.Column("run_id", sa.String(48), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("org", "policy", "repository", "base", "path", name="pk_looked"),
    )


def downgrade() -> None:
    op.drop_table("looked")
    for name, _, _ in reversed(COLUMNS):
        op.drop_column("publications", name)
    op.drop_index("ix_attempts_head", "attempts")
    op.drop_column("attempts", "head")
    op.drop_column("runs", "rebase")
