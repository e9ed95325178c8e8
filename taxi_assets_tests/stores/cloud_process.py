"""Loads a month into the lake and BigQuery in a process of its own, which stays at a moment: to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from taxi_assets.stores.bigquery import replace as bigquery_replace
from taxi_assets.stores.bigquery.load import load_month
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake import load as lake
from taxi_assets.stores.lake.manifest import read_manifest
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.columns import SERVICES
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

LAKE_MOMENTS = ("uploading", "remove")
BIGQUERY_MOMENTS = ("_load", "_verify_staging", "run_transaction")


def stay(*_: Any, **__: Any) -> None:
    print("here", flush=True)
    time.sleep(600)


def main() -> None:
    home, bucket, dataset, service, name, shape, folder, moment = sys.argv[1:]
    cloud = GoogleCloud(home=home, bucket=bucket, dataset=dataset)
    kept, rejected = (TripTable(Path(folder) / file) for file in ("kept.parquet", "rejected.parquet"))
    month = CleanedMonth(SERVICES[service], parse_month(name), kept, rejected)
    work = Path(folder) / "work"
    work.mkdir(exist_ok=True)
    if moment in LAKE_MOMENTS:
        if moment == "remove":
            lake.remove = stay  # type: ignore[attr-defined]
        lake.store_month(cloud, month, shape, work, progress=stay if moment == "uploading" else None)  # type: ignore[arg-type]
        return
    setattr(bigquery_replace, moment, stay)
    load = read_manifest(cloud, service, month.month)
    assert load
    load_month(cloud, load, TableRef(namespace=dataset, name="trips"))


if __name__ == "__main__":
    main()
