"""Schedules and what they start; policies from git, and the commit that a campaign's is from

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import Instant, Words

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for table in ("plans", "campaigns"):
        op.add_column(table, sa.Column("source", sa.String(1100), nullable=False, server_default=""))
    op.create_table(
        "schedules",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("policy", sa.String(63), nullable=False),
        sa.Column("cron", sa.String(200), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("decided", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("org", "policy", name="pk_schedules"),
    )
    op.create_table(
        "starts",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("policy", sa.String(63), nullable=False),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("slot", Instant(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", Words(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("not_before", Instant(), nullable=False),
        sa.Column("late_at", Instant(), nullable=False),
        sa.Column("campaign_id", sa.String(32), sa.ForeignKey("campaigns.id", name="fk_starts_campaign_id_campaigns")),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("org", "policy", "cause", "slot", name="pk_starts"),
    )
    op.create_index("ix_starts_state_not_before", "starts", ["state", "not_before"])
    op.create_table(
        "policy_sources",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("repository", sa.String(1000), nullable=False),
        sa.Column("folder", sa.String(1024), nullable=False),
        sa.Column("ref", sa.String(255), nullable=False),
        sa.Column("commit", sa.String(64), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("seen", sa.String(64), nullable=False),
        sa.Column("problem", Words(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("look_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("org", name="pk_policy_sources"),
    )


def downgrade() -> None:
    for table in ("policy_sources", "starts", "schedules"):
        op.drop_table(table)
    for table in ("plans", "campaigns"):
        op.drop_column(table, "source")
