"""Small tables of BigQuery: a month replaced whole or not at all, from Arrow, from a query, from a data frame."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.errors import TaxiError
from taxi_assets.stores.bigquery.io_manager import ArrowTableIOManager, DataFrameIOManager
from taxi_assets.stores.bigquery.metadata import table_metadata
from taxi_assets.stores.bigquery.replace import Query, replace_rows
from taxi_assets.stores.bigquery.resource import BigQuerySession, bigquery_session
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.columns import SOURCE_MONTH, Column, ColumnType, arrow_schema
from taxi_assets_tests.proxy import Proxy

COLUMNS = (
    Column("day", ColumnType.DATE, "A day."),
    Column("trips", ColumnType.BIGINT, "Trips."),
    Column("revenue", ColumnType.DOUBLE, "Revenue."),
    SOURCE_MONTH,
)
APRIL, MAY = date(2020, 4, 1), date(2020, 5, 1)


def table(cloud: GoogleCloud) -> Table:
    ref = TableRef(database=cloud.project, namespace=str(cloud.dataset), name="days")
    return Table(ref, COLUMNS, "Made for a test.")


@contextmanager
def session(cloud: GoogleCloud) -> Iterator[BigQuerySession]:
    with bigquery_session(cloud, "Testing", "a test's table") as found:
        yield found


def rows(month: date, trips: list[int]) -> pa.Table:
    made = [{"day": month, "trips": count, "revenue": count / 4, "source_month": month} for count in trips]
    return pa.Table.from_pylist(made, arrow_schema(COLUMNS))


def stored(cloud: GoogleCloud) -> list[tuple[Any, ...]]:
    sql = f"SELECT source_month, trips FROM {cloud.dataset}.days ORDER BY 1, 2"
    return [tuple(row.values()) for row in cloud.bigquery().query(sql).result()]


def tables(cloud: GoogleCloud) -> list[str]:
    return sorted(found.table_id for found in cloud.bigquery().list_tables(str(cloud.dataset)))


def test_a_month_takes_the_place_of_its_rows_alone(cloud: GoogleCloud) -> None:
    with session(cloud) as found:
        for month, trips in ((APRIL, [1, 2]), (MAY, [3]), (APRIL, [4])):
            assert replace_rows(found, table(cloud), rows(month, trips), month).rows == len(trips)
    assert stored(cloud) == [(APRIL, 4), (MAY, 3)]
    assert tables(cloud) == ["days"]


def test_the_table_is_described_and_has_partitions(cloud: GoogleCloud) -> None:
    with session(cloud) as found:
        replace_rows(found, table(cloud), rows(APRIL, [1]), APRIL)
    made = cloud.bigquery().get_table(f"{cloud.dataset}.days")
    assert made.description == "Made for a test."
    assert [field.name for field in made.schema] == ["day", "trips", "revenue", "source_month"]
    assert made.schema[1].description == "Trips."
    assert made.time_partitioning.field == "source_month"


def test_rows_of_a_query_never_leave_bigquery(cloud: GoogleCloud) -> None:
    with session(cloud) as found:
        sql = "SELECT DATE '2020-04-02', 7, 1.5, DATE '2020-04-01'"
        assert replace_rows(found, table(cloud), Query(sql), APRIL).rows == 1
    assert stored(cloud) == [(APRIL, 7)]


def test_a_replacement_that_fails_changes_nothing(cloud: GoogleCloud) -> None:
    with session(cloud) as found:
        replace_rows(found, table(cloud), rows(APRIL, [1, 2]), APRIL)
    broken = Query("SELECT DATE '2020-04-02', 7, 1.5, IF(TRUE, ERROR('broken'), DATE '2020-04-01')")
    with pytest.raises(TaxiError, match="Testing failed"), session(cloud) as found:
        replace_rows(found, table(cloud), broken, APRIL)
    assert stored(cloud) == [(APRIL, 1), (APRIL, 2)]


def test_rows_that_do_not_arrive_whole_change_nothing(cloud: GoogleCloud) -> None:
    # A row of another month is in the staging table, and not in the month.
    with session(cloud) as found:
        replace_rows(found, table(cloud), rows(APRIL, [1]), APRIL)
    with pytest.raises(TaxiError) as raised, session(cloud) as found:
        replace_rows(found, table(cloud), pa.concat_tables([rows(APRIL, [2]), rows(MAY, [3])]), APRIL)
    assert "2 rows were to be written" in str(raised.value)
    assert stored(cloud) == [(APRIL, 1)]
    assert tables(cloud) == ["days"]


def test_a_table_with_other_columns_is_left_alone(cloud: GoogleCloud) -> None:
    cloud.bigquery().create_dataset(str(cloud.dataset))
    cloud.bigquery().query(f"CREATE TABLE {cloud.dataset}.days AS SELECT 1 AS mine").result()
    with pytest.raises(TaxiError, match="has other columns") as raised, session(cloud) as found:
        replace_rows(found, table(cloud), rows(APRIL, [1]), APRIL)
    assert raised.value.details["Found"] == "mine"


def test_two_months_at_the_same_time(cloud: GoogleCloud) -> None:
    def write(month: date) -> None:
        with session(cloud) as found:
            replace_rows(found, table(cloud), rows(month, [5]), month)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (APRIL, MAY)))
    assert stored(cloud) == [(APRIL, 5), (MAY, 5)]


def in_dagster(cloud: GoogleCloud, manager: Any, value: Any, month: str = "2020-04") -> dg.ExecuteInProcessResult:
    """Materializes an asset whose rows the IO manager writes."""

    @dg.asset(
        name="an_asset",
        io_manager_key="io",
        partitions_def=months_since("2019-01"),
        metadata=table_metadata(table(cloud)),
        description="Made for a test.",
    )
    def asset() -> Any:
        return value

    return dg.materialize([asset], partition_key=month, resources={"io": manager}, raise_on_error=False)


def frame(month: date, trips: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.Timestamp(month), "trips": trips, "revenue": 0.5, "source_month": month})


@pytest.mark.parametrize("kind", ["data frames", "Arrow"])
def test_an_io_manager_replaces_its_month(cloud: GoogleCloud, kind: str) -> None:
    manager: Any = DataFrameIOManager(cloud=cloud) if kind == "data frames" else ArrowTableIOManager(cloud=cloud)
    made = frame if kind == "data frames" else rows
    for month, trips in ((APRIL, [1, 2]), (MAY, [3]), (APRIL, [4])):
        done = in_dagster(cloud, manager, made(month, trips), f"{month:%Y-%m}")
        assert done.success
        (shown,) = done.asset_materializations_for_node("an_asset")
        assert shown.metadata["dagster/partition_row_count"].value == len(trips)
        assert shown.metadata["dagster/table_name"].value == f"taxi-local.{cloud.dataset}.days"
    assert stored(cloud) == [(APRIL, 4), (MAY, 3)]


def test_columns_keep_their_names_and_types(cloud: GoogleCloud) -> None:
    in_dagster(cloud, DataFrameIOManager(cloud=cloud), frame(APRIL, [1]))
    found = cloud.bigquery().get_table(f"{cloud.dataset}.days").schema
    kinds = {
        field.name: {"INTEGER": "INT64", "FLOAT": "FLOAT64"}.get(field.field_type, field.field_type) for field in found
    }
    assert kinds == {"day": "DATE", "trips": "INT64", "revenue": "FLOAT64", "source_month": "DATE"}


def test_a_data_frame_that_does_not_fit_changes_nothing(cloud: GoogleCloud) -> None:
    manager = DataFrameIOManager(cloud=cloud)
    in_dagster(cloud, manager, frame(APRIL, [1]))
    assert not in_dagster(cloud, manager, frame(APRIL, [1]).assign(trips="many")).success
    assert stored(cloud) == [(APRIL, 1)]


def test_a_data_frame_is_read_back(cloud: GoogleCloud) -> None:
    manager = DataFrameIOManager(cloud=cloud)
    made = frame(APRIL, [1, 2])
    in_dagster(cloud, manager, frame(MAY, [9]), "2020-05")
    in_dagster(cloud, manager, made)
    asset = dg.AssetSpec("an_asset", partitions_def=months_since("2019-01"), metadata=table_metadata(table(cloud)))
    definitions = dg.Definitions(assets=[asset.with_io_manager_key("io")], resources={"io": manager})
    loaded: Any = definitions.load_asset_value("an_asset", partition_key="2020-04", python_type=pd.DataFrame)
    assert sorted(loaded["trips"]) == [1, 2]
    assert list(loaded.columns) == ["day", "trips", "revenue", "source_month"]


def test_rows_of_arrow_are_read_back(cloud: GoogleCloud) -> None:
    manager = ArrowTableIOManager(cloud=cloud)
    for month, trips in ((MAY, [9]), (APRIL, [1, 2])):
        in_dagster(cloud, manager, rows(month, trips), f"{month:%Y-%m}")
    asset = dg.AssetSpec("an_asset", partitions_def=months_since("2019-01"), metadata=table_metadata(table(cloud)))
    definitions = dg.Definitions(assets=[asset.with_io_manager_key("io")], resources={"io": manager})
    loaded: Any = definitions.load_asset_value("an_asset", partition_key="2020-04", python_type=pa.Table)
    assert loaded.sort_by("trips").equals(rows(APRIL, [1, 2]))


def test_an_emulator_of_somebody_else_is_reached(proxied: tuple[GoogleCloud, Proxy, Proxy]) -> None:
    cloud, _, _ = proxied
    assert in_dagster(cloud, DataFrameIOManager(cloud=cloud), frame(APRIL, [1])).success
    assert stored(cloud) == [(APRIL, 1)]
