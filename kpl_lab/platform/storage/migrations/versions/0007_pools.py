"""Resource pools: where tasks, services and servers run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

_TABLES = ('tasks', 'services', 'servers')


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column('pool', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, 'pool')
