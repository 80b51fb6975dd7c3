"""Campaigns are rolled out in waves; a person's requests go before scheduled work

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import Instant, Words

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("rollout", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("campaigns", sa.Column("open_wave", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("campaigns", sa.Column("max_open", sa.Integer(), nullable=True))
    op.add_column("campaigns", sa.Column("per_hour", sa.Integer(), nullable=True))
    op.add_column("campaigns", sa.Column("windowed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("wave", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("by_hand", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_runs_campaign_id_wave", "runs", ["campaign_id", "wave"])
    op.create_table(
        "waves",
        sa.Column("campaign_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("opened_by", sa.String(200), nullable=False),
        sa.Column("decided_at", Instant(), nullable=True),
        sa.Column("decided_by", sa.String(200), nullable=False),
        sa.Column("reason", Words(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("waived", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_waves_campaign_id_campaigns"),
        sa.PrimaryKeyConstraint("campaign_id", "number", name="pk_waves"),
    )


def downgrade() -> None:
    op.drop_table("waves")
    op.drop_index("ix_runs_campaign_id_wave", "runs")
    for column in ("by_hand", "wave"):
        op.drop_column("runs", column)
    for column in ("windowed", "per_hour", "max_open", "open_wave", "rollout"):
        op.drop_column("campaigns", column)
