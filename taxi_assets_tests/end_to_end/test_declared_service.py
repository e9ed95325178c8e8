"""A service that the project does not have: two YAML files make it and its pipeline; no line of Python changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from taxi_assets.stores.postgres.connection import OWNER, connect_as
from taxi_assets_tests.end_to_end.cloud_stores import in_bigquery, in_lake
from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.project_copy import copy_project, of_copy
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import Taxi
from taxi_assets_tests.trips import livery

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]

AS_CSV, AS_PARQUET = "2021-01", "2021-02"
MONTHS = f"{AS_CSV}:{AS_PARQUET}"
ROWS = {AS_CSV: livery.trips(date(2021, 1, 1), 1000), AS_PARQUET: livery.trips(date(2021, 2, 1), 900)}
KEPT = {month: len(livery.kept(rows)) for month, rows in ROWS.items()}
REJECTED = {month: len(rows) - KEPT[month] for month, rows in ROWS.items()}


@pytest.fixture(scope="module")
@starts_server
def taxi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    defs = copy_project(tmp_path_factory.mktemp("checkout"))
    livery.declare(defs.parent / "services")
    (defs / "livery").mkdir()
    (defs / "livery" / "defs.yaml").write_text(livery.PIPELINE)
    with FaultyServer() as server:
        server.publish(f"/livery/livery_tripdata_{AS_CSV}.csv.gz", livery.csv_bytes(ROWS[AS_CSV]))
        server.publish(f"/trip-data/livery_tripdata_{AS_PARQUET}.parquet", livery.parquet_bytes(ROWS[AS_PARQUET]))
        taxi = Taxi(tmp_path_factory.mktemp("declared") / "home", tmp_path_factory.mktemp("elsewhere"))
        taxi = of_copy(taxi.having(TAXI_SOURCE_URL=server.url), defs)
        yield taxi
        taxi.well("down")


def test_its_months_are_loaded_into_three_stores(taxi: Taxi) -> None:
    said = taxi.well("run", "livery", "--months", MONTHS).err
    assert "livery: 2 loaded, 0 loaded already, 0 failed" in said
    assert taxi.stored("tlc.livery") == in_bigquery(taxi, "tlc.livery") == in_lake(taxi, "livery") == KEPT
    assert taxi.stored("tlc.livery_rejected") == in_bigquery(taxi, "tlc.livery_rejected") == REJECTED


def test_its_columns_have_the_declared_types_and_meanings(taxi: Taxi) -> None:
    query = """
        SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute
        WHERE attrelid = 'tlc.livery'::regclass AND attnum > 0 ORDER BY attnum
    """
    assert taxi.asks(query)[:7] == [
        ("dispatching_base_num", "text", "Base that dispatched the trip."),
        ("pickup_datetime", "timestamp without time zone", "When the trip began, New York time."),
        ("dropoff_datetime", "timestamp without time zone", "When the trip ended."),
        ("pu_location_id", "smallint", "Zone of the pickup."),
        ("do_location_id", "smallint", "Zone of the dropoff."),
        ("sr_flag", "smallint", "Shared ride. Values: 1 = shared."),
        ("affiliated_base_number", "text", "Base of the vehicle."),
    ]


def test_its_values_are_those_of_the_files(taxi: Taxi) -> None:
    names = "dispatching_base_num, pickup_datetime, dropoff_datetime, pu_location_id, do_location_id, sr_flag"
    query = f"SELECT {names}, affiliated_base_number FROM tlc.livery ORDER BY pickup_datetime"
    without_flag = [(*row[:5], None, row[6]) for row in ROWS[AS_PARQUET]]
    assert taxi.asks(query) == livery.kept(ROWS[AS_CSV]) + livery.kept(without_flag)


def test_they_agree_in_every_store_and_are_skipped_the_next_time(taxi: Taxi) -> None:
    verified = taxi.well("verify", "livery").err
    assert "6 of 6 loads agree with their load log, in rows: these trips have no amounts." in verified
    assert "livery: 0 loaded, 2 loaded already, 0 failed" in taxi.well("run", "livery", "--months", MONTHS).err
    assert taxi.loads() == 6


def test_a_lost_row_is_found(taxi: Taxi) -> None:
    with connect_as(OWNER, taxi.database()) as connection:
        connection.execute("DELETE FROM tlc.livery WHERE pickup_datetime = '2021-01-01'")
    said = taxi("verify", "livery", "--months", AS_CSV)
    assert said.code == 1
    assert "taxi run livery --months 2021-01 --force --only postgres" in " ".join(said.out.split())


def test_the_sample_source_has_it(taxi: Taxi) -> None:
    sample = taxi.having(TAXI_SOURCE_URL="", TAXI_SAMPLE_ROWS="500")
    assert "livery: 1 loaded" in sample.well("run", "livery", "--months", "2021-03", "--limit", "400").err
    (counted,) = taxi.asks("SELECT count(*), count(sr_flag) FROM trial.livery")
    assert 350 < counted[0] < 400
    assert counted[1]


def test_a_month_before_its_first_is_refused(taxi: Taxi) -> None:
    for pipeline, month, first in (("livery", "2019-12", "2020-01"), ("yellow", "2010-01", "2019-01")):
        said = taxi("run", pipeline, "--months", month)
        assert said.code != 0
        assert f"does not know {pipeline} {month}" in said.err
        assert f"{first} or a later month" in said.err
