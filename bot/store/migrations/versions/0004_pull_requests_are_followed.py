"""Pull requests are followed: what the host tells of them, and since when; repositories may be left alone

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from bot.store.schema import Identity, Instant, Words

revision = "0004"
down_revision = "0003"

COLUMNS = (
    ("ci", sa.String(16), ""),
    ("review", sa.String(24), ""),
    ("conflicts", sa.Boolean(), None),
    ("draft", sa.Boolean(), sa.false()),
    ("seen_head", sa.String(64), ""),
    ("edited", sa.Integer(), "0"),
    ("frozen", Words(), ""),
    ("adopted", sa.Boolean(), sa.false()),
    ("closed_by", sa.String(200), ""),
    ("closed_reason", Words(), ""),
    ("settled_at", Instant(), None),
    ("looked_at", Instant(), None),
)


def upgrade() -> None:
    for name, kind, default in COLUMNS:
        op.add_column("publications", sa.Column(name, kind, nullable=default is None, server_default=default))
    op.create_index("ix_publications_state_looked_at", "publications", ["state", "looked_at"])
    op.create_index("ix_publications_org_repository_number", "publications", ["org", "repository", "number"])
    op.create_index("ix_runs_publication_id", "runs", ["publication_id"])
    op.create_table(
        "publication_events",
        sa.Column("id", Identity, nullable=False),
        sa.Column("publication_id", Identity, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("words", Words(), nullable=False),
        sa.ForeignKeyConstraint(["publication_id"], ["publications.id"], name="fk_publication_events_publication_id"),
        sa.PrimaryKeyConstraint("id", name="pk_publication_events"),
    )
    op.create_index("ix_publication_events_publication_id_id", "publication_events", ["publication_id", "id"])
    op.create_table(
        "opt_outs",
        sa.Column("org", sa.String(100), nullable=False),
        sa.Column("repository", sa.String(1000), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("place", Words(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("org", "repository", name="pk_opt_outs"),
    )


def downgrade() -> None:
    op.drop_table("opt_outs")
    op.drop_table("publication_events")
    op.drop_index("ix_runs_publication_id", "runs")
    op.drop_index("ix_publications_org_repository_number", "publications")
    op.drop_index("ix_publications_state_looked_at", "publications")
    for name, _, _ in reversed(COLUMNS):
        op.drop_column("publications", name)
