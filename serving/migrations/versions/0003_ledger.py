"""The ledger, what was last known of members' risks, alerts, and the switch that withholds all offers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create them; publications say when their tables were read."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "ledger",
        sa.Column("number", number, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("member_id", sa.String(128), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("cost", sa.Float, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.UniqueConstraint("owner", "kind", "id", name="ledger_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("ledger_by_member", "ledger", ["owner", "member_id", "received_at"])
    op.create_index("ledger_by_time", "ledger", ["owner", "received_at"])
    op.create_table(
        "risks",
        sa.Column("owner", sa.String, primary_key=True),
        sa.Column("member_id", sa.String(128), primary_key=True),
        sa.Column("churn_probability", sa.Float, nullable=False),
        sa.Column("computed_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("number", number, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("member_id", sa.String(128), nullable=False),
        sa.Column("churn_probability", sa.Float, nullable=False),
        sa.Column("before", sa.Float),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("raised_at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("alerts_in_order", "alerts", ["owner", "number"])
    op.create_table(
        "pauses",
        sa.Column("owner", sa.String, primary_key=True),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
    op.add_column("publications", sa.Column("read_at", sa.DateTime))
