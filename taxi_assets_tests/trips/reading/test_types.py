"""Types that no column of yellow and green has in a file: what a service may declare besides."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxi_assets.trips.columns import Service
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.reading.read import read_trips
from taxi_assets.trips.registry import read_service
from taxi_assets.trips.rules import Rule, check_rules, matching_rules
from taxi_assets_tests.trips.livery import declare
from taxi_assets_tests.trips.made import JANUARY

DECLARED = """
title: Rides
first_month: 2020-01
pickup: began
dropoff: ended
columns:
  - {name: began, type: datetime, description: Begin.}
  - {name: ended, type: datetime, description: End.}
  - {name: ride, type: bigint, description: Number of the ride.}
  - {name: ordered, type: date, description: Day of the order.}
"""
TIMES = "2021-01-01 00:00:00,2021-01-01 00:10:00"
LARGE = 2**62 + 1
"""No double holds it."""


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return read_service("ride", declare(tmp_path / "services", DECLARED, "ride"))


def read(service: Service, path: Path) -> list[pa.RecordBatch]:
    with read_trips(path, file="rides", service=service, month=JANUARY) as reading:
        return list(reading.batches)


def csv(folder: Path, *values: str) -> Path:
    lines = ["began,ended,ride,ordered", *(f"{TIMES},{value}" for value in values)]
    (folder / "rides").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return folder / "rides"


def parquet(folder: Path, **columns: pa.Array) -> Path:
    times = {name: pa.array([0] * 2, pa.timestamp("us")) for name in ("began", "ended")}
    filled = {"ride": pa.array([1, None]), "ordered": pa.array([date(2021, 1, 1), None]), **columns}
    pq.write_table(pa.table({**times, **filled}), folder / "rides")
    return folder / "rides"


def test_large_numbers_and_dates_of_a_csv_file_are_kept_exactly(service: Service, tmp_path: Path) -> None:
    (batch,) = read(service, csv(tmp_path, f"{LARGE},2020-12-31", "7.0, 2021-01-01", ","))
    assert batch["ride"].to_pylist() == [LARGE, 7, None]
    assert batch["ordered"].to_pylist() == [date(2020, 12, 31), date(2021, 1, 1), None]


@pytest.mark.parametrize(
    ("line", "column", "expected"),
    [
        ("1.5,2021-01-01", "ride", "a whole number of 64 bits"),
        (f"{2**63},2021-01-01", "ride", "a whole number of 64 bits"),
        ("1,2021-13-01", "ordered", "a date like 2021-01-01"),
    ],
)
def test_a_wrong_value_of_a_csv_file_is_named(
    service: Service, tmp_path: Path, line: str, column: str, expected: str
) -> None:
    with pytest.raises(InvalidFile) as raised:
        read(service, csv(tmp_path, "1,2021-01-01", line))
    assert raised.value.details["Where"] == f"rides, line 3, column {column}"
    assert raised.value.details["Expected"].startswith(expected)


@pytest.mark.parametrize(
    ("rides", "days"),
    [
        (pa.array([1.0, LARGE - 1.0]), pa.array([date(2021, 1, 1), None], pa.date64())),
        (pa.array([1, 2**62], pa.uint64()), pa.array([date(2021, 1, 1), None])),
    ],
)
def test_numbers_and_dates_of_a_parquet_file(service: Service, tmp_path: Path, rides: pa.Array, days: pa.Array) -> None:
    (batch,) = read(service, parquet(tmp_path, ride=rides, ordered=days))
    assert batch["ride"].to_pylist() == [1, 2**62]
    assert batch["ordered"].to_pylist() == [date(2021, 1, 1), None]


@pytest.mark.parametrize(
    ("column", "values"),
    [("ride", pa.array([1.5, None])), ("ride", pa.array(["1", None])), ("ordered", pa.array(["2021-01-01", None]))],
)
def test_a_wrong_column_of_a_parquet_file_is_named(
    service: Service, tmp_path: Path, column: str, values: pa.Array
) -> None:
    wrong: dict[str, Any] = {column: values}
    with pytest.raises(InvalidFile) as raised:
        read(service, parquet(tmp_path, **wrong))
    assert f"column {column}" in raised.value.details["Where"]


def test_a_rule_compares_large_numbers(service: Service, tmp_path: Path) -> None:
    rules = [Rule(column="ride", at_most=0), Rule(column="ride", equals=7)]
    check_rules(rules, service)
    (batch,) = read(service, csv(tmp_path, "0,", "7,", "8,", ","))
    assert matching_rules(batch, rules).to_pylist() == [0, 1, None, None]
