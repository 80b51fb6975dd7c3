"""Runs are found by their repository

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_index("ix_runs_org_repository", "runs", ["org", "repository"])


def downgrade() -> None:
    op.drop_index("ix_runs_org_repository", "runs")
