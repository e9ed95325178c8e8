"""PostgreSQL as Dagster sees it: the resource, the IO manager and what they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from taxi_assets.local.service import free_port
from taxi_assets.settings import Settings
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.postgres import resource as room
from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets.stores.postgres.io_manager import PostgresIOManager
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets_tests.stores.months import JANUARY, RUN, cleaned, trips_table

PARTITIONS = dg.MonthlyPartitionsDefinition(start_date="2019-01", fmt="%Y-%m")


@pytest.fixture
def resource(postgres: PostgresAddress, home: Path, monkeypatch: pytest.MonkeyPatch) -> PostgresResource:
    """The resource of the embedded server, as the settings of the test's home make it."""
    settings = Settings(taxi_home=home)
    monkeypatch.setattr(room, "settings", lambda: settings)
    return PostgresResource.from_settings(settings)


def materialize(resource: PostgresResource, month: CleanedMonth, schema: str) -> dg.ExecuteInProcessResult:
    @dg.asset(
        key=["yellow", "table"],
        partitions_def=PARTITIONS,
        io_manager_key="tables",
        retry_policy=dg.RetryPolicy(max_retries=1),
        metadata={"schema": schema, "table": "yellow_cab_data"},
    )
    def table() -> CleanedMonth:
        return month

    manager = PostgresIOManager(postgres=resource)
    return dg.materialize([table], partition_key="2021-01", resources={"tables": manager}, raise_on_error=False)


def test_a_materialization_loads_the_month_and_says_what_it_did(
    resource: PostgresResource, schema: str, tmp_path: Path
) -> None:
    result = materialize(resource, cleaned(tmp_path), schema)
    assert result.success
    shown = result.asset_materializations_for_node("yellow__table")[0].metadata
    assert shown["dagster/partition_row_count"].value == 3
    assert shown["rejected_rows"].value == 2
    assert shown["table"].value == f"{schema}.yellow_cab_data, partition yellow_cab_data_2021_01"
    assert resource.count_month(trips_table(schema), JANUARY) == (3, 3540)
    (entry,) = (load for load in resource.latest_loads(store="postgres") if load.id == shown["load_log_id"].value)
    assert entry.place == f"{schema}.yellow_cab_data"
    assert (entry.run_id, entry.started_by) == (result.run_id, "a person in the UI")


def test_the_newest_load_of_a_month_is_the_input_of_what_follows(
    resource: PostgresResource, schema: str, tmp_path: Path
) -> None:
    metadata = {"schema": schema, "table": "yellow_cab_data"}
    spec = dg.AssetSpec(["yellow", "table"], partitions_def=PARTITIONS, metadata=metadata).with_io_manager_key("tables")
    manager = PostgresIOManager(postgres=resource)
    definitions = dg.Definitions(assets=[spec], resources={"tables": manager})
    with pytest.raises(dg.Failure, match="is not loaded into"):
        definitions.load_asset_value(spec.key, partition_key="2021-01")
    assert materialize(resource, cleaned(tmp_path, kept=3), schema).success
    result = materialize(resource, cleaned(tmp_path, kept=4), schema)
    entry: Any = definitions.load_asset_value(spec.key, partition_key="2021-01")
    assert (entry.run_id, entry.rows_kept, entry.source_month) == (result.run_id, 4, JANUARY)


def test_a_clear_error_becomes_a_failure_that_is_not_retried(
    resource: PostgresResource, schema: str, tmp_path: Path
) -> None:
    one, other = cleaned(tmp_path, kept=3), cleaned(tmp_path, kept=4)
    mixed = CleanedMonth(one.service, JANUARY, one.kept, other.rejected)
    result = materialize(resource, mixed, schema)
    assert not result.success
    (event,) = (event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE)
    failure = event.step_failure_data.user_failure_data
    assert failure is not None
    assert "do not belong together" in str(failure.description)
    assert not [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]


def test_a_passing_error_is_retried(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    down = PostgresResource(host="127.0.0.1", port=free_port())
    result = materialize(down, cleaned(tmp_path), schema)
    assert not result.success
    assert [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]


def test_the_resource_shows_no_password() -> None:
    settings = Settings(postgres_host="db.example", postgres_password="hidden-word")
    resource = PostgresResource.from_settings(settings)
    assert "hidden-word" not in repr(resource) + json.dumps(resource.model_dump(), default=str)
    assert "password" not in PostgresResource.model_fields


def test_a_reader_only_reads(resource: PostgresResource, schema: str, tmp_path: Path) -> None:
    resource.load(cleaned(tmp_path), trips_table(schema), RUN)
    with resource.connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("taxi_reader",)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TEMPORARY TABLE mine (a int)")


def test_other_stores_write_to_the_log(resource: PostgresResource, schema: str, tmp_path: Path) -> None:
    month = cleaned(tmp_path)
    resource.load(month, trips_table(schema), RUN)
    place = f"gs://lake/{schema}"
    first = resource.write_load(month.entry("lake", place))
    second = resource.write_load(month.entry("lake", place))
    found = [load.id for load in resource.latest_loads(store="lake", pipeline="yellow", months=[JANUARY])]
    assert second in found
    assert first not in found
