"""The ledger of runs, and which of their parts are done."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create both tables."""

    def publication() -> sa.ForeignKey:
        return sa.ForeignKey("publications.id", ondelete="CASCADE")

    op.create_table(
        "runs",
        sa.Column("publication_id", sa.Integer, publication(), primary_key=True),
        sa.Column("pins", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("released_at", sa.DateTime),
    )
    op.create_table(
        "run_chunks",
        sa.Column("publication_id", sa.Integer, publication(), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("finished_at", sa.DateTime, nullable=False),
    )
