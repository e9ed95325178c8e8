"""Parquet files of every era, and files that are wrong."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.reading.read import read_trips
from taxi_assets_tests.registry import GREEN, YELLOW
from taxi_assets_tests.trips.made import JANUARY, arrow_trips, clean, nothing_is_left, parquet_file

NAME = "yellow_tripdata_2021-01.parquet"


def read(path: Path, month: date = JANUARY) -> pa.Table:
    with read_trips(path, file=path.name, service=YELLOW, month=month) as reading:
        return pa.Table.from_batches(list(reading.batches))


@pytest.mark.parametrize(
    ("column", "values", "read_as"),
    [
        ("passenger_count", pa.array([1.0, None, 3.0]), [1, None, 3]),
        ("passenger_count", pa.array([1, None, 3], pa.int64()), [1, None, 3]),
        ("passenger_count", pa.array([1, None, 3], pa.int8()), [1, None, 3]),
        ("passenger_count", pa.array([1.0, None, 3.0]).dictionary_encode(), [1, None, 3]),
        ("passenger_count", pa.array([Decimal("1.0"), None, Decimal("3.0")]), [1, None, 3]),
        ("passenger_count", pa.nulls(3), [None] * 3),
        ("fare_amount", pa.array([1, None, -3], pa.int32()), [1.0, None, -3.0]),
        ("fare_amount", pa.array([Decimal("1.50"), None, Decimal("2.25")]), [1.5, None, 2.25]),
        ("store_and_fwd_flag", pa.array(["Y", None, "N"], pa.large_string()), ["Y", None, "N"]),
        ("store_and_fwd_flag", pa.array(["Y", None, "N"], pa.string_view()), ["Y", None, "N"]),
        ("store_and_fwd_flag", pa.array(["Y", None, "N"]).dictionary_encode(), ["Y", None, "N"]),
        ("store_and_fwd_flag", pa.nulls(3), [None] * 3),
        *(
            ("tpep_pickup_datetime", pa.array(["2021-01-01", None, "2009-01-01"]).cast(pa.timestamp(unit)), None)
            for unit in ("s", "ms", "us", "ns")
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_types_of_every_era(tmp_path: Path, column: str, values: pa.Array, read_as: list[object] | None) -> None:
    table = read(parquet_file(tmp_path, arrow_trips(YELLOW, 3, **{column: values})))
    assert table.schema.equals(YELLOW.schema, check_metadata=True)
    expected = values.cast(pa.timestamp("us")).to_pylist() if read_as is None else read_as
    assert table[column].to_pylist() == expected


@pytest.mark.parametrize("name", ["airport_fee", "Airport_fee"])
def test_the_airport_fee_in_both_spellings(tmp_path: Path, name: str) -> None:
    table = read(parquet_file(tmp_path, arrow_trips(YELLOW, 2, **{name: pa.array([1.25, None])})))
    assert table["airport_fee"].to_pylist() == [1.25, None]


def test_the_congestion_fee_must_be_there_from_2025_on(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, arrow_trips(YELLOW, 1))
    assert read(path, date(2024, 12, 1))["cbd_congestion_fee"].to_pylist() == [None]
    with pytest.raises(InvalidFile, match="lacks the column cbd_congestion_fee"):
        read(path, date(2025, 1, 1))
    path = parquet_file(tmp_path, arrow_trips(YELLOW, 1, cbd_congestion_fee=pa.array([0.75])))
    assert read(path, date(2025, 1, 1))["cbd_congestion_fee"].to_pylist() == [0.75]


def test_greens_day_comes_from_the_pickup(tmp_path: Path) -> None:
    pickups = pa.array(["2021-01-31 23:59:59", "2008-12-31 00:00:00", "1969-12-31 23:59:59", None])
    table = arrow_trips(GREEN, 4, lpep_pickup_datetime=pickups.cast(pa.timestamp("us")))
    path = parquet_file(tmp_path, table)
    with read_trips(path, file=path.name, service=GREEN, month=JANUARY) as reading:
        (batch,) = reading.batches
    assert batch["lpep_pickup_date"].to_pylist() == [
        date(2021, 1, 31),
        date(2008, 12, 31),
        date(1969, 12, 31),
        None,
    ]
    assert set(batch["source_month"].to_pylist()) == {JANUARY}


def failure(path: Path, folder: Path) -> InvalidFile:
    with pytest.raises(InvalidFile) as caught:
        clean(path, folder)
    assert nothing_is_left(folder)
    assert caught.value.details["Where"].startswith(NAME)
    return caught.value


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("passenger_count", pa.array([1.0, 1.5]), "1.5"),
        ("passenger_count", pa.array([1.0, float("nan")]), "nan"),
        ("PULocationID", pa.array([1, 40_000]), "40000"),
        ("total_amount", pa.array([1.0, float("inf")]), "inf"),
        ("total_amount", pa.array([1, 2**53 + 1]), str(2**53 + 1)),
        ("store_and_fwd_flag", pa.array([b"1", b"\xff"]).view(pa.string()), r"b'\xff'"),
    ],
)
def test_a_value_that_does_not_fit(tmp_path: Path, column: str, values: pa.Array, found: str) -> None:
    rows = 20_000
    long = pa.concat_arrays([values.take(pa.array([0] * (rows - 1))), values.slice(1), values])
    error = failure(parquet_file(tmp_path, arrow_trips(YELLOW, rows + 2, **{column: long})), tmp_path)
    assert error.summary == f"A value does not fit the column {column}."
    assert error.details["Where"] == f"{NAME}, row {rows}, column {column}"
    assert error.details["Found"] == found


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("fare_amount", pa.array(["8.0"])),
        ("tpep_pickup_datetime", pa.array([0], pa.timestamp("us", "America/New_York"))),
        ("tpep_pickup_datetime", pa.array(["2021-01-01 00:00:00"])),
        ("store_and_fwd_flag", pa.array([1])),
    ],
)
def test_a_column_of_another_type(tmp_path: Path, column: str, values: pa.Array) -> None:
    error = failure(parquet_file(tmp_path, arrow_trips(YELLOW, 1, **{column: values})), tmp_path)
    assert str(values.type) in error.details["Found"]
    assert error.details["Where"] == f"{NAME}, column {column}"


def test_a_missing_column(tmp_path: Path) -> None:
    error = failure(parquet_file(tmp_path, arrow_trips(YELLOW, 1, total_amount=None)), tmp_path)
    assert error.summary == "The file lacks the column total_amount."


def test_no_rows(tmp_path: Path) -> None:
    assert "no rows" in failure(parquet_file(tmp_path, arrow_trips(YELLOW, 0)), tmp_path).summary


def random_trips(rows: int) -> pa.Table:
    fares = pc.round(pa.array(np.random.default_rng(1).normal(12, 5, rows)), 2)
    return arrow_trips(YELLOW, rows, fare_amount=fares)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.99])
def test_a_file_that_is_cut_off(tmp_path: Path, share: float) -> None:
    path = parquet_file(tmp_path, random_trips(20_000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert failure(path, tmp_path).summary == "The Parquet file is cut off or damaged."


def test_a_page_that_is_damaged(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, random_trips(20_000), write_page_checksum=True)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 0x55
    path.write_bytes(damaged)
    assert failure(path, tmp_path).summary == "The Parquet file is cut off or damaged."
