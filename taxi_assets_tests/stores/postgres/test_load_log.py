"""The load log: created once, by whichever load is the first."""

from __future__ import annotations

from taxi_assets.stores.postgres.connection import PostgresAddress, connect
from taxi_assets.stores.postgres.load_log import ensure_log, latest_loads
from taxi_assets_tests.stores.postgres.overlapping import run_overlapping


def test_two_first_loads_create_it_once(empty_database: PostgresAddress) -> None:
    run_overlapping(empty_database, lambda one: ensure_log(one, False), lambda other: ensure_log(other, False))
    with connect(empty_database) as connection:
        assert latest_loads(connection) == []
