"""Attempts are resumed from what they made; deliveries, effects and writes on hosts are recorded

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import Identity, Instant, Words

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("made", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("setbacks", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("campaigns", sa.Column("publishes", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("runs", sa.Column("words", Words(), nullable=False, server_default=""))
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("host", sa.String(16), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("not_before", Instant(), nullable=True),
        sa.Column("reason", Words(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("handled_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_state_received_at", "deliveries", ["state", "received_at"])
    op.create_table(
        "effects",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("result", Words(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("org", "key", name="pk_effects"),
    )
    op.create_table(
        "host_writes",
        sa.Column("id", Identity, nullable=False),
        sa.Column("governor", sa.String(500), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_host_writes"),
    )
    op.create_index("ix_host_writes_governor_at", "host_writes", ["governor", "at"])
    op.create_table(
        "installations",
        sa.Column("host", sa.String(300), nullable=False),
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("host", "org", name="pk_installations"),
    )


def downgrade() -> None:
    for table in ("installations", "host_writes", "effects", "deliveries"):
        op.drop_table(table)
    for column in ("words", "setbacks", "tries"):
        op.drop_column("runs", column)
    op.drop_column("campaigns", "publishes")
    op.drop_column("attempts", "made")
