"""CSV files that are right, in all their ways of writing."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from pathlib import Path

import pytest

from taxi_assets.trips.reading.read import read_trips
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.trips.made import HEADER, JANUARY, LINE, csv_file, line

QUOTED = ",".join(f'"{value}"' for value in LINE.split(","))


def read(path: Path) -> list[dict[str, object]]:
    with read_trips(path, file=path.name, service=YELLOW, month=JANUARY) as reading:
        batches = list(reading.batches)
    assert all(batch.schema.equals(YELLOW.schema, check_metadata=True) for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def test_a_line_becomes_a_row_of_the_registry(tmp_path: Path) -> None:
    (row,) = read(csv_file(tmp_path, LINE))
    assert row == {
        "vendor_id": 1,
        "tpep_pickup_datetime": datetime(2021, 1, 1, 0, 30, 10),
        "tpep_dropoff_datetime": datetime(2021, 1, 1, 0, 36, 12),
        "passenger_count": 1,
        "trip_distance": 2.1,
        "ratecode_id": 1,
        "store_and_fwd_flag": "N",
        "pu_location_id": 142,
        "do_location_id": 43,
        "payment_type": 2,
        "fare_amount": 8.0,
        "extra": 3.0,
        "mta_tax": 0.5,
        "tip_amount": 0.0,
        "tolls_amount": 0.0,
        "improvement_surcharge": 0.3,
        "total_amount": 11.8,
        "congestion_surcharge": 2.5,
        "airport_fee": None,
        "cbd_congestion_fee": None,
        "source_month": date(2021, 1, 1),
    }


def test_nothing_between_commas_is_null(tmp_path: Path) -> None:
    (row,) = read(csv_file(tmp_path, line(VendorID="", store_and_fwd_flag="", congestion_surcharge="", extra="")))
    assert [row[name] for name in ("vendor_id", "store_and_fwd_flag", "congestion_surcharge", "extra")] == [None] * 4


def test_integers_may_be_written_as_decimals(tmp_path: Path) -> None:
    rows = read(csv_file(tmp_path, line(VendorID="2.0", passenger_count="3.0"), line(passenger_count="4")))
    assert [(row["vendor_id"], row["passenger_count"]) for row in rows] == [(2, 3), (1, 4)]


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{LINE}\n{LINE}\n".encode(),
        f"{HEADER}\r\n{LINE}\r\n{LINE}\r\n".encode(),
        b"\xef\xbb\xbf" + f"{HEADER}\n{LINE}\n{LINE}\n".encode(),
        f"{HEADER}\n{LINE}\n\n{LINE}\n\n".encode(),
        f"{HEADER}\n{QUOTED}\n{LINE}\n".encode(),
        gzip.compress(f"{HEADER}\n{LINE}\n".encode()) + gzip.compress(f"{LINE}\n".encode()),
    ],
    ids=["plain", "crlf", "bom", "blank lines", "quoted", "gzip of two members"],
)
def test_ways_of_writing_the_same_rows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "usual").mkdir()
    path = tmp_path / "any name"
    path.write_bytes(content)
    assert read(path) == read(csv_file(tmp_path / "usual", LINE, LINE))


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    header, values = (",".join(reversed(text.split(","))) for text in (HEADER, LINE))
    (tmp_path / "usual").mkdir()
    assert read(csv_file(tmp_path, values, header=header)) == read(csv_file(tmp_path / "usual", LINE))


def test_unknown_columns_are_left_out_and_named(tmp_path: Path) -> None:
    path = csv_file(tmp_path, LINE + ",mystery,3.5", header=HEADER + ",new_thing,Airport_fee")
    with read_trips(path, file=path.name, service=YELLOW, month=JANUARY) as reading:
        assert reading.match.unknown == ("new_thing",)
        assert reading.match.absent == ("cbd_congestion_fee",)
        (batch,) = reading.batches
    assert batch["airport_fee"].to_pylist() == [3.5]
    assert batch.num_columns == len(YELLOW.columns)


def test_rows_keep_their_order_over_many_blocks(tmp_path: Path) -> None:
    path = csv_file(tmp_path, *(line(fare_amount=str(number)) for number in range(40_000)))
    with read_trips(path, file=path.name, service=YELLOW, month=JANUARY) as reading:
        batches = list(reading.batches)
    assert len(batches) > 2
    assert [fare for batch in batches for fare in batch["fare_amount"].to_pylist()] == list(range(40_000))
