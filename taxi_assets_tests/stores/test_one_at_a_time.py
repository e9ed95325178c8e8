"""Two runs of the same month: into lake and warehouse, too, one load waits for the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import dagster as dg
import pytest

from taxi_assets.errors import TransientError
from taxi_assets.stores.bigquery.io_manager import MonthForWarehouse, WarehouseIOManager
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.io_manager import LakeIOManager, MonthForLake
from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets.stores.postgres.lock import month_locked
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets_tests.stores.clouds import logged, store
from taxi_assets_tests.stores.months import cleaned


@pytest.fixture
def database(postgres: PostgresAddress) -> PostgresResource:
    """The embedded server of this session, as a resource."""
    return PostgresResource(
        host=postgres.host, port=postgres.port, dbname=postgres.dbname, user=postgres.user, connect_timeout=10
    )


def _waits_for(postgres: PostgresAddress, name: str, load: Callable[[], None]) -> Future[None]:
    with ThreadPoolExecutor(1) as pool:
        with month_locked(postgres, name):
            begun = pool.submit(load)
            assert wait([begun], 3).not_done
        return begun


def test_a_load_into_the_lake_waits_for_another_one_of_the_month(
    postgres: PostgresAddress, database: PostgresResource, cloud: GoogleCloud, tmp_path: Path
) -> None:
    store(cloud, cleaned(tmp_path, "unused", kept=3))
    new = cleaned(tmp_path, "unused", kept=5)
    context = dg.build_output_context(asset_key=dg.AssetKey(["yellow", "gcs_parquet"]), partition_key="2021-01")
    into_lake = LakeIOManager(cloud=cloud, postgres=database)
    load = _waits_for(
        postgres,
        f"gs://{cloud.bucket} yellow 2021-01",
        lambda: into_lake.handle_output(context, MonthForLake(new, "month")),
    )
    load.result()
    assert logged(cloud, new).entry.rows_kept == 5


def test_a_load_into_the_warehouse_waits_for_another_one_of_the_month(
    postgres: PostgresAddress, database: PostgresResource, cloud: GoogleCloud, tmp_path: Path
) -> None:
    load = store(cloud, cleaned(tmp_path, "unused", kept=4)).load
    context = dg.build_output_context(asset_key=dg.AssetKey(["yellow", "bigquery_table"]), partition_key="2021-01")
    place = f"{cloud.project}.{cloud.dataset}.trips"
    month = MonthForWarehouse(load, "unused", "trips", place, "run-1", "a test")
    into_table = WarehouseIOManager(cloud=cloud, postgres=database)
    done = _waits_for(postgres, f"{place} 2021-01", lambda: into_table.handle_output(context, month))
    done.result()
    assert context.get_logged_metadata()["dagster/partition_row_count"] == dg.MetadataValue.int(4)


def test_whoever_waits_too_long_learns_who_holds_the_month(postgres: PostgresAddress) -> None:
    with (
        month_locked(postgres, "place 2021-01"),
        pytest.raises(TransientError, match="Another load of place 2021-01 is under way") as raised,
        month_locked(postgres, "place 2021-01", wait_seconds=0.3),
    ):
        pass
    assert "(taxi load place 2021-01) of taxi, since 2" in str(raised.value)
    with month_locked(postgres, "place 2021-01", wait_seconds=0):
        pass
