"""Loads a month in a process of its own, which says where it is and stays there: to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.postgres import load as postgres_load
from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.stores.months import trips_table

MOMENTS = ("copying", "_verify", "_refresh")


def stay(*_: Any, **__: Any) -> None:
    print("here", flush=True)
    time.sleep(600)


def main() -> None:
    host, folder, schema, moment = sys.argv[1:]
    address = PostgresAddress(host, 5432, "taxi", "taxi")
    kept, rejected = (TripTable(Path(folder) / name) for name in ("kept.parquet", "rejected.parquet"))
    month = CleanedMonth(YELLOW, parse_month("2021-01"), kept, rejected)
    if moment != "copying":
        setattr(postgres_load, moment, stay)
    postgres_load.load_month(address, month, trips_table(schema), progress=stay if moment == "copying" else None)


if __name__ == "__main__":
    main()
