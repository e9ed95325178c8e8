"""The files between the assets."""

from __future__ import annotations

import gzip
import hashlib
import os
from datetime import date
from pathlib import Path
from uuid import uuid4

import dagster as dg

from taxi_assets.sources.record import RawFile
from taxi_assets.sources.source import TripSource
from taxi_assets.stores.intermediate import RawFileIOManager

RAW = dg.AssetKey(["yellow", "raw_taxi"])


def test_a_file_that_another_run_fetched_anew_is_described_as_what_it_is(tmp_path: Path) -> None:
    published = tmp_path / "source" / "yellow" / "yellow_tripdata_2021-01.csv.gz"
    published.parent.mkdir(parents=True)
    source = TripSource((tmp_path / "source").as_uri(), tmp_path / "raw")
    record = RawFileIOManager(home=str(tmp_path / "home"))
    published.write_bytes(gzip.compress(b"VendorID\n1\n", mtime=0))
    output = dg.build_output_context(asset_key=RAW, partition_key="2021-01", run_id="first")
    first = source.fetch("yellow", date(2021, 1, 1))
    record.handle_output(output, first)
    published.write_bytes(gzip.compress(b"VendorID\n1\n2\n", mtime=0))
    os.utime(published, (1, 1))
    source.fetch("yellow", date(2021, 1, 1))
    found = record.load_input(dg.build_input_context(asset_key=RAW, partition_key="2021-01"))
    assert found.sha256 != first.sha256
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert found.etag == source.fetch("yellow", date(2021, 1, 1)).etag
    assert (found.service, found.layout) == ("yellow", "csv")


def test_a_run_reads_the_file_that_it_fetched_not_another_sources(tmp_path: Path) -> None:
    record = RawFileIOManager(home=str(tmp_path / "home"))
    mine, another, unknown = (str(uuid4()) for _ in range(3))
    fetched = {}
    for run_id, rows in ((mine, b"VendorID\n1\n"), (another, b"VendorID\n1\n2\n")):
        published = tmp_path / run_id / "yellow" / "yellow_tripdata_2021-01.csv.gz"
        published.parent.mkdir(parents=True)
        published.write_bytes(gzip.compress(rows, mtime=0))
        source = TripSource((tmp_path / run_id).as_uri(), tmp_path / "raw" / run_id)
        fetched[run_id] = source.fetch("yellow", date(2021, 1, 1))
        output = dg.build_output_context(asset_key=RAW, partition_key="2021-01", run_id=run_id)
        record.handle_output(output, fetched[run_id])

    @dg.asset(key=RAW, partitions_def=dg.StaticPartitionsDefinition(["2021-01"]), io_manager_key="raw_files")
    def raw() -> None: ...

    read = []

    @dg.asset(ins={"raw": dg.AssetIn(RAW)}, partitions_def=dg.StaticPartitionsDefinition(["2021-01"]))
    def reads(raw: RawFile) -> None:
        read.append(raw.sha256)

    job = dg.Definitions([raw, reads], resources={"raw_files": record}).resolve_implicit_global_asset_job_def()
    for run_id in (mine, unknown):
        job.execute_in_process(partition_key="2021-01", asset_selection=[dg.AssetKey("reads")], run_id=run_id)
    assert read == [fetched[mine].sha256, fetched[another].sha256]


def test_a_month_keeps_the_records_of_its_newest_runs_alone(tmp_path: Path) -> None:
    """However often a month is loaded."""
    published = tmp_path / "source" / "yellow" / "yellow_tripdata_2021-01.csv.gz"
    published.parent.mkdir(parents=True)
    published.write_bytes(gzip.compress(b"VendorID\n1\n", mtime=0))
    file = TripSource((tmp_path / "source").as_uri(), tmp_path / "raw").fetch("yellow", date(2021, 1, 1))
    record, runs = RawFileIOManager(home=str(tmp_path / "home")), tmp_path / "home" / "raw" / "yellow" / "runs"
    for number in range(25):
        for month in ("2021-01", "2021-02") if number == 0 else ("2021-01",):
            output = dg.build_output_context(asset_key=RAW, partition_key=month, run_id=f"run{number}")
            record.handle_output(output, file)
        os.utime(runs / f"2021-01-run{number}.json", (number, number))
    kept = {path.stem for path in runs.iterdir()}
    assert "2021-02-run0" in kept
    assert len(kept) == 21
    assert {"2021-01-run24", "2021-01-run23"} <= kept
