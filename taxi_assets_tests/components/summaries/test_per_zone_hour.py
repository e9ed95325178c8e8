"""Trips by zone and hour: counted on made rows, and on a real month as pandas counts them."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pandas as pd

from taxi_assets.components.summaries.per_zone_hour import count_zone_hours
from taxi_assets_tests.real_months import RealMonths
from taxi_assets_tests.registry import GREEN, YELLOW
from taxi_assets_tests.trips.made import clean, csv_file, line


def test_hours_begin_on_the_hour_and_strays_keep_their_day(tmp_path: Path) -> None:
    made = [
        line(),
        line(tpep_pickup_datetime="2021-01-01 00:59:59"),
        line(tpep_pickup_datetime="2021-01-01 01:00:00"),
        line(tpep_pickup_datetime="2009-12-31 23:10:00", PULocationID="7"),
        line(PULocationID=""),
    ]
    kept = clean(csv_file(tmp_path, *made), tmp_path).kept
    assert count_zone_hours(kept, YELLOW).to_pylist() == [
        {"pu_location_id": 7, "pickup_hour": datetime(2009, 12, 31, 23), "trips": 1},
        {"pu_location_id": 142, "pickup_hour": datetime(2021, 1, 1, 0), "trips": 2},
        {"pu_location_id": 142, "pickup_hour": datetime(2021, 1, 1, 1), "trips": 1},
        {"pu_location_id": None, "pickup_hour": datetime(2021, 1, 1, 0), "trips": 1},
    ]


def test_a_real_month_is_counted_as_pandas_counts_it(real_months: RealMonths, tmp_path: Path) -> None:
    path = real_months.path("green", "2020-04")
    counted = count_zone_hours(clean(path, tmp_path, GREEN, date(2020, 4, 1)).kept, GREEN)
    rows = pd.read_csv(path, parse_dates=["lpep_pickup_datetime"], dtype={"store_and_fwd_flag": str})
    rows = rows[(rows.passenger_count > 0) & (rows.trip_distance > 0)]
    expected = rows.groupby(["PULocationID", rows.lpep_pickup_datetime.dt.floor("h")]).size()
    found = {(row["pu_location_id"], pd.Timestamp(row["pickup_hour"])): row["trips"] for row in counted.to_pylist()}
    assert found == expected.to_dict()
    assert sum(found.values()) == real_months.counts("green", "2020-04").kept
