"""The ledger's identity, which tells its loads from those of other homes; and which code migrated it last."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = """
CREATE TABLE IF NOT EXISTS taxi_assets.ledger (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    identity uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    migrated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    migrated_by text
);
COMMENT ON TABLE taxi_assets.ledger IS
    'The identity of this ledger, and the version of the code that migrated it last. One row.';
INSERT INTO taxi_assets.ledger DEFAULT VALUES ON CONFLICT DO NOTHING;
"""


def upgrade() -> None:
    """Creates what is missing."""
    op.execute(STATEMENTS)
