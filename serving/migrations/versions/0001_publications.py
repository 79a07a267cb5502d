"""Publications and their decisions; adopts stores that have them already."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create both tables, or add the owner to publications of a store laid out before they had one."""
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("publications"):
        _create()
    elif "owner" not in {column["name"] for column in inspector.get_columns("publications")}:
        op.add_column("publications", sa.Column("owner", sa.String, nullable=False, server_default=""))


def _create() -> None:
    op.create_table(
        "publications",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner", sa.String, nullable=False, server_default=""),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("policy_version", sa.String(64)),
        sa.Column("members", sa.Integer, nullable=False),
        sa.Column("published_at", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "decisions",
        sa.Column("publication_id", sa.Integer, sa.ForeignKey("publications.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("member_id", sa.String, primary_key=True),
        sa.Column("tier", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("policy_segment", sa.String(64)),
        sa.Column("assigned_incentive", sa.String(64)),
        sa.Column("churn_probability", sa.Float, nullable=False),
        sa.Column("value_at_stake", sa.Float, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
    )
