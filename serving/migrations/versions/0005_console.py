"""What the console shows and keeps: the board, and who approved which send list."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "board",
        sa.Column("owner", sa.String, primary_key=True),
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("pinned_at", sa.DateTime, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "approvals",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("publication_id", sa.Integer, nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("approvals_in_order", "approvals", ["owner", "number"])
