"""The pipeline of a load. Entries of older code have none: it has the name of their service."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = """
ALTER TABLE taxi_assets.load_log ADD COLUMN IF NOT EXISTS pipeline text;
COMMENT ON COLUMN taxi_assets.load_log.pipeline IS
    'The pipeline that loaded the month; null: the one of the service''s name.';
CREATE INDEX IF NOT EXISTS load_log_store_place_source_month_id_idx
    ON taxi_assets.load_log (store, place, source_month, id);
"""


def upgrade() -> None:
    """Adds what is missing."""
    op.execute(STATEMENTS)
