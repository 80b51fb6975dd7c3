"""Deliveries know whose secret they are signed with

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("signers", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("deliveries", "signers")
