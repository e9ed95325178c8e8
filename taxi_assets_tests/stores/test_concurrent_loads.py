"""Loads of the same month into the lake at the same time."""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import NotFound
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.errors import TransientError
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake import load as lake_load
from taxi_assets.stores.lake.copies import lagging_copies, write_copies
from taxi_assets.stores.lake.io_manager import LakeIOManager
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets_tests.stores.clouds import logged, names, store
from taxi_assets_tests.stores.months import JANUARY, cleaned


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


def _store_often(cloud: GoogleCloud, months: Sequence[CleanedMonth], times: int) -> None:
    # A load that is beaten too often ends in an error that passes: a step tries again.
    attempts = Retrying(retry=retry_if_exception_type(TransientError), stop=stop_after_attempt(4), reraise=True)
    for number in range(times):
        attempts(store, cloud, months[number % len(months)])


def test_two_writers_of_a_month_of_the_lake_leave_one_whole_month_and_no_orphan(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    months = [cleaned(tmp_path, kept=kept, rejected=kept - 1) for kept in (3, 5, 7)]
    store(cloud, months[0])
    processes = multiprocessing.get_context("fork")
    writers = [processes.Process(target=_store_often, args=(cloud, order, 4)) for order in (months, months[::-1])]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(_rows_by_manifest(cloud, months[0]))
    assert [writer.exitcode for writer in writers] == [0, 0]
    load = logged(cloud, months[0])
    assert seen <= {3, 5, 7}
    assert len(load.earlier) == 8
    assert lagging_copies(cloud, load) == []
    # A beaten load may have sent until its end: the next one looks for it once more.
    load = store(cloud, months[1]).load
    assert {name for name in names(cloud, "") if "_intents" not in name} == {"_loads/yellow/2021-01.json", *load.names}
    store(cloud, months[1])
    assert names(cloud, "_intents/") == []


def _rows_by_manifest(cloud: GoogleCloud, month: CleanedMonth) -> int:
    """Rows of the objects that the manifest names; read anew where they were replaced meanwhile."""
    while True:
        load = logged(cloud, month)
        try:
            content = cloud.storage().bucket(cloud.bucket).blob(load.objects[0].name).download_as_bytes()
        except NotFound:
            continue
        rows = int(pq.ParquetFile(io.BytesIO(content)).metadata.num_rows)
        assert rows == load.entry.rows_kept
        return rows


def test_an_older_load_that_ends_late_leaves_the_newer_copy_alone(cloud: GoogleCloud, tmp_path: Path) -> None:
    store(cloud, cleaned(tmp_path, kept=3))
    newer = cleaned(tmp_path, kept=7)

    def another_load_first(*given: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lake_load, "write_copies", write_copies)
            store(cloud, newer)
        write_copies(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake_load, "write_copies", another_load_first)
        store(cloud, cleaned(tmp_path, kept=5))
    load = logged(cloud, newer)
    assert load.entry.rows_kept == 7
    assert lagging_copies(cloud, load) == []
    assert {name for name in names(cloud, "") if "_intents" not in name} == {"_loads/yellow/2021-01.json", *load.names}


def test_the_ledger_says_which_load_into_the_lake_is_the_newest(
    database: PostgresResource, cloud: GoogleCloud, tmp_path: Path
) -> None:
    manager = LakeIOManager(cloud=cloud, postgres=database)
    for kept in (3, 5):
        _materialize(manager, cleaned(tmp_path, kept=kept), {"shape": "month"})
    entry = database.newest_load("lake", "yellow", JANUARY, f"gs://{cloud.bucket}/yellow/yellow_2021-01.parquet")
    load = logged(cloud, cleaned(tmp_path / "same"))
    assert (entry.rows_kept, entry.configuration["token"]) == (5, load.generation)
