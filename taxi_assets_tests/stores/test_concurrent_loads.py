"""Two runs of the same month: into the lake and BigQuery, too, one load waits for the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.errors import TransientError
from taxi_assets.stores.bigquery.io_manager import BigQueryIOManager
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.io_manager import LakeIOManager
from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets.stores.postgres.load import month_locked
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets_tests.stores.clouds import logged, store
from taxi_assets_tests.stores.months import cleaned


@pytest.fixture
def database(postgres: PostgresAddress) -> PostgresResource:
    """The embedded server of this session, as a resource."""
    return PostgresResource(
        host=postgres.host, port=postgres.port, dbname=postgres.dbname, user=postgres.user, connect_timeout=10
    )


def _materialize(manager: dg.ConfigurableIOManager, value: Any, metadata: dict[str, str]) -> dg.ExecuteInProcessResult:
    @dg.asset(key=["yellow", "loaded"], partitions_def=months_since("2019-01"), io_manager_key="io", metadata=metadata)
    def loaded() -> Any:
        return value

    return dg.materialize([loaded], partition_key="2021-01", resources={"io": manager})


def _waits_for(
    postgres: PostgresAddress, name: str, load: Callable[[], dg.ExecuteInProcessResult]
) -> Future[dg.ExecuteInProcessResult]:
    with ThreadPoolExecutor(1) as pool:
        with month_locked(postgres, name):
            begun = pool.submit(load)
            assert wait([begun], 3).not_done
        return begun


def test_a_load_into_the_lake_waits_for_another_one_of_the_month(
    postgres: PostgresAddress, database: PostgresResource, cloud: GoogleCloud, tmp_path: Path
) -> None:
    store(cloud, cleaned(tmp_path, kept=3))
    new = cleaned(tmp_path, kept=5)
    manager = LakeIOManager(cloud=cloud, postgres=database)
    name = f"gs://{cloud.bucket} yellow 2021-01"
    load = _waits_for(postgres, name, lambda: _materialize(manager, new, {"shape": "month"}))
    entry = logged(cloud, new).entry
    assert (entry.rows_kept, entry.run_id) == (5, load.result().run_id)


def test_a_load_into_bigquery_waits_for_another_one_of_the_month(
    postgres: PostgresAddress, database: PostgresResource, cloud: GoogleCloud, tmp_path: Path
) -> None:
    load = store(cloud, cleaned(tmp_path, kept=4)).load
    place = f"{cloud.project}.{cloud.dataset}.trips"
    manager = BigQueryIOManager(cloud=cloud, postgres=database)
    metadata = {"schema": "unused", "table": "trips"}
    done = _waits_for(postgres, f"{place} 2021-01", lambda: _materialize(manager, load, metadata)).result()
    (shown,) = done.asset_materializations_for_node("yellow__loaded")
    assert shown.metadata["dagster/partition_row_count"].value == 4
    spec = dg.AssetSpec(["yellow", "loaded"], partitions_def=months_since("2019-01"), metadata=metadata)
    definitions = dg.Definitions(assets=[spec.with_io_manager_key("io")], resources={"io": manager})
    entry: Any = definitions.load_asset_value(spec.key, partition_key="2021-01")
    assert (entry.run_id, entry.place, entry.rows_kept) == (done.run_id, place, 4)


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
