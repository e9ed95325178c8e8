"""The load log. Adopts one that code without migrations made, also by half."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE TABLE IF NOT EXISTS taxi_assets.load_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    store text NOT NULL,
    service text NOT NULL,
    source_month date NOT NULL,
    place text NOT NULL,
    rows_read bigint NOT NULL,
    rows_kept bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    cents bigint NOT NULL,
    cents_rejected bigint NOT NULL,
    rejected jsonb NOT NULL,
    url text,
    sha256 text,
    etag text,
    last_modified text,
    source_bytes bigint,
    run_id text,
    started_by text,
    code_version text,
    configuration jsonb NOT NULL,
    seconds double precision,
    CHECK (rows_read = rows_kept + rows_rejected)
);
CREATE INDEX IF NOT EXISTS load_log_store_service_source_month_place_id_idx
    ON taxi_assets.load_log (store, service, source_month, place, id);
COMMENT ON TABLE taxi_assets.load_log IS
    'One row a load of a month of trips into a store: from which file, how much, by whom. Rows are only added.';
CREATE OR REPLACE FUNCTION taxi_assets.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of loads is only added to' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER IF EXISTS only_added ON taxi_assets.load_log;
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON taxi_assets.load_log
    FOR EACH STATEMENT EXECUTE FUNCTION taxi_assets.refuse_change();
"""


def upgrade() -> None:
    """Creates what is missing."""
    op.execute(STATEMENTS)
