"""What set-up costs and a budget left of the policy, beside the publication it led to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; publications before had no limits."""
    op.add_column("publications", sa.Column("ration", sa.Text))
