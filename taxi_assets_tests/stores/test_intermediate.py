"""The files between the assets."""

from __future__ import annotations

import gzip
import hashlib
import os
from datetime import date
from pathlib import Path

import dagster as dg

from taxi_assets.sources.source import TripSource
from taxi_assets.stores.intermediate import RawFileIOManager

RAW = dg.AssetKey(["yellow", "raw_taxi"])


def test_a_file_that_another_run_fetched_anew_is_described_as_what_it_is(tmp_path: Path) -> None:
    published = tmp_path / "source" / "yellow" / "yellow_tripdata_2021-01.csv.gz"
    published.parent.mkdir(parents=True)
    source = TripSource((tmp_path / "source").as_uri(), tmp_path / "raw")
    record = RawFileIOManager(home=str(tmp_path / "home"))
    published.write_bytes(gzip.compress(b"VendorID\n1\n", mtime=0))
    output = dg.build_output_context(asset_key=RAW, partition_key="2021-01")
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
