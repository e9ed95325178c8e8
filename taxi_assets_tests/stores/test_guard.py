"""What must not stand in a store is refused by the load itself: synthetic over or beside real, a trial over a month."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.io_manager import BigQueryIOManager
from taxi_assets.stores.bigquery.verify import count_month
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.io_manager import LakeIOManager
from taxi_assets.stores.lake.manifest import read_manifests
from taxi_assets.stores.month import CleanedMonth, Provenance
from taxi_assets.stores.postgres.connection import OWNER, PostgresAddress, connect_as
from taxi_assets.stores.postgres.load import load_month
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.stores.table import TableRef
from taxi_assets_tests.stores.clouds import store
from taxi_assets_tests.stores.months import FEBRUARY, JANUARY, RUN, cleaned, trips_table

MARCH = date(2021, 3, 1)
ALLOWED = Provenance("run-2", "a test", {"ops": {"yellow__raw_taxi": {"config": {"replace_real": True}}}})


@pytest.fixture
def database(postgres: PostgresAddress) -> PostgresResource:
    """The embedded server of this session, as a resource."""
    return PostgresResource(
        host=postgres.host, port=postgres.port, dbname=postgres.dbname, user=postgres.user, connect_timeout=10
    )


@pytest.mark.parametrize("month", [JANUARY, FEBRUARY], ids=["over", "beside"])
def test_postgres_refuses_synthetic_trips_where_real_ones_stand(
    postgres: PostgresAddress, database: PostgresResource, schema: str, tmp_path: Path, month: date
) -> None:
    table = trips_table(schema)
    load_month(postgres, cleaned(tmp_path, kept=3), table, RUN)
    synthetic = cleaned(tmp_path, kept=7, month=month, synthetic=True)
    with pytest.raises(TaxiError, match="these trips are synthetic") as raised:
        load_month(postgres, synthetic, table, RUN)
    assert "real months: 2021-01" in str(raised.value)
    assert {"Expected", "Found", "Where", "Intact", "Next"} == set(raised.value.details)
    assert [database.count_month(table, name)[0] for name in (JANUARY, FEBRUARY)] == [3, 0]
    load_month(postgres, synthetic, table, ALLOWED)
    assert database.count_month(table, month)[0] == 7
    logged = database.newest_load("postgres", "yellow", month, str(table))
    assert logged.configuration["ops"] == {"yellow__raw_taxi": {"replace_real": True}}


def test_real_months_replace_synthetic_ones_and_those_beside_are_named(
    postgres: PostgresAddress, database: PostgresResource, schema: str, tmp_path: Path
) -> None:
    table = trips_table(schema)
    for month in (JANUARY, FEBRUARY):
        load_month(postgres, cleaned(tmp_path, month=month, synthetic=True), table, RUN)
    assert database.synthetic_beside(JANUARY, table) == []
    load_month(postgres, cleaned(tmp_path, kept=9), table, RUN)
    assert database.count_month(table, JANUARY)[0] == 9
    assert database.synthetic_beside(JANUARY, table) == ["2021-02"]
    with pytest.raises(TaxiError, match="synthetic"):
        load_month(postgres, cleaned(tmp_path, month=MARCH, synthetic=True), table, RUN)


def test_what_is_dropped_stands_in_nobodys_way(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    table = trips_table(schema)
    load_month(postgres, cleaned(tmp_path), table, RUN)
    with connect_as(OWNER, postgres) as connection:
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())
    load_month(postgres, cleaned(tmp_path, synthetic=True), table, RUN)


def test_postgres_refuses_a_trial_in_the_place_of_a_full_month(
    postgres: PostgresAddress, database: PostgresResource, schema: str, tmp_path: Path
) -> None:
    table, trial = trips_table(schema), cleaned(tmp_path, kept=1, limit=1)
    load_month(postgres, cleaned(tmp_path), table, RUN)
    with pytest.raises(TaxiError, match="stands whole in"):
        load_month(postgres, trial, table, RUN)
    assert database.count_month(table, JANUARY)[0] == 3
    elsewhere = trips_table(f"{schema} try")
    for _ in range(2):
        load_month(postgres, trial, elsewhere, RUN)
    load_month(postgres, cleaned(tmp_path / "full"), elsewhere, RUN)
    assert database.count_month(elsewhere, JANUARY)[0] == 3


def materialize(manager: dg.ConfigurableIOManager, value: Any, metadata: dict[str, str], month: date) -> str:
    """Loads as a step does; returns the error's text."""

    @dg.asset(key=["yellow", "loaded"], partitions_def=months_since("2019-01"), io_manager_key="io", metadata=metadata)
    def loaded() -> Any:
        return value

    result = dg.materialize([loaded], partition_key=f"{month:%Y-%m}", resources={"io": manager}, raise_on_error=False)
    failed: Any = result.filter_events(lambda event: event.is_step_failure)
    return failed[0].step_failure_data.user_failure_data.description if failed else ""


@pytest.mark.parametrize("month", [JANUARY, FEBRUARY], ids=["over", "beside"])
def test_lake_and_bigquery_refuse_synthetic_trips_where_real_ones_stand(
    database: PostgresResource, cloud: GoogleCloud, tmp_path: Path, month: date
) -> None:
    lake = LakeIOManager(cloud=cloud, postgres=database)
    bigquery = BigQueryIOManager(cloud=cloud, postgres=database)
    names = {"schema": "unused", "table": "trips"}
    table = TableRef(namespace="unused", name="trips")

    def load(rows: CleanedMonth) -> str:
        return materialize(lake, rows, {"shape": "month"}, rows.month)

    assert load(cleaned(tmp_path, kept=3)) == ""
    (real,) = read_manifests(cloud, "yellow")
    assert materialize(bigquery, real, names, JANUARY) == ""
    synthetic = cleaned(tmp_path, kept=7, month=month, synthetic=True)
    assert "these trips are synthetic" in load(synthetic)
    assert [manifest.entry.rows_kept for manifest in read_manifests(cloud, "yellow")] == [3]
    forced = store(cloud, synthetic).load
    assert "these trips are synthetic" in materialize(bigquery, forced, names, month)
    assert [count_month(cloud, table, name)[0] for name in (JANUARY, FEBRUARY)] == [3, 0]
