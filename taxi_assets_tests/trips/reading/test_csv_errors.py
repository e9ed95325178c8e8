"""CSV files that are wrong: a clear error, and nothing is left."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from taxi_assets.trips.errors import InvalidFile
from taxi_assets_tests.trips.made import HEADER, LINE, clean, csv_file, line, nothing_is_left

NAME = "yellow_tripdata_2021-01.csv.gz"


def failure(path: Path, folder: Path) -> InvalidFile:
    with pytest.raises(InvalidFile) as caught:
        clean(path, folder)
    assert nothing_is_left(folder)
    assert not caught.value.transient
    assert caught.value.details["Where"].startswith(path.name)
    assert {"Expected", "Found", "Where", "Intact", "Next"} <= caught.value.details.keys()
    return caught.value


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("passenger_count", "two", "a whole number"),
        ("passenger_count", "1.5", "a whole number"),
        ("PULocationID", "40000", "a whole number"),
        ("fare_amount", "a lot", "a number"),
        ("total_amount", "nan", "a number"),
        ("extra", "inf", "a number"),
        ("tpep_pickup_datetime", "2021-01-32 00:00:00", "a time"),
        ("tpep_dropoff_datetime", "yesterday", "a time"),
        ("tpep_dropoff_datetime", "2021-01-01T00:00:00Z", "a time"),
    ],
)
@pytest.mark.parametrize("before", [0, 30_000])
def test_a_value_that_does_not_fit(tmp_path: Path, column: str, value: str, expected: str, before: int) -> None:
    lines = [*[LINE] * before, line(**{column: value}), LINE, line(fare_amount="another")]
    error = failure(csv_file(tmp_path, *lines), tmp_path)
    assert error.summary == f"A value does not fit the column {column}."
    assert error.details["Where"] == f"{NAME}, line {before + 2}, column {column}"
    assert error.details["Found"] == repr(value)
    assert error.details["Expected"].startswith(expected)


def test_the_line_is_the_files_own_where_lines_are_blank(tmp_path: Path) -> None:
    error = failure(csv_file(tmp_path, "", LINE, "", line(extra="x")), tmp_path)
    assert error.details["Where"] == f"{NAME}, line 5, column extra"


@pytest.mark.parametrize("values", [17, 19])
@pytest.mark.parametrize("before", [0, 30_000])
def test_a_wrong_number_of_values(tmp_path: Path, values: int, before: int) -> None:
    odd = ",".join((LINE.split(",") * 2)[:values])
    error = failure(csv_file(tmp_path, *[LINE] * before, odd, LINE), tmp_path)
    assert error.summary == f"A line has {values} values in the place of 18."
    assert error.details["Where"] == f"{NAME}, line {before + 2}"
    assert odd in error.details["Found"]


@pytest.mark.parametrize("cut", [1, 2, 3, 30, len(LINE)])
def test_a_last_line_that_breaks_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "trips.csv"
    path.write_bytes(f"{HEADER}\n{LINE}\n{LINE}\n".encode()[:-cut])
    error = failure(path, tmp_path)
    assert error.summary == "The last line of the file breaks off."
    assert error.details["Where"] == "trips.csv, line 3"


def test_a_quotation_mark_that_is_never_closed(tmp_path: Path) -> None:
    error = failure(csv_file(tmp_path, LINE, LINE.replace("N", '"N'), LINE, LINE), tmp_path)
    assert error.details["Where"] == f"{NAME}, line 3"
    assert "quotation mark" in error.summary


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_bytes(f"{HEADER}\n{LINE}\n{LINE}\n".encode() + LINE.replace("N", "\xff").encode("latin-1") + b"\n")
    error = failure(path, tmp_path)
    assert error.details["Where"] == "trips.csv, line 4, column store_and_fwd_flag"


def test_a_missing_column(tmp_path: Path) -> None:
    header = HEADER.replace("trip_distance", "distance").replace("VendorID", "vendor")
    error = failure(csv_file(tmp_path, LINE, header=header), tmp_path)
    assert error.summary == "The file lacks the columns VendorID, trip_distance."
    assert "vendor, tpep_pickup_datetime" in error.details["Found"]
    assert "yellow file of 2021-01" in error.details["Expected"]


@pytest.mark.parametrize("twice", ["extra", "Airport_fee,airport_fee"])
def test_a_column_that_is_there_twice(tmp_path: Path, twice: str) -> None:
    header = f"{HEADER},{twice}"
    error = failure(csv_file(tmp_path, LINE + ",1" * (1 + twice.count(",")), header=header), tmp_path)
    assert error.summary.startswith("The file has a column twice: ")


@pytest.mark.parametrize("packed", [True, False])
def test_an_empty_file(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "trips.csv"
    path.write_bytes(gzip.compress(b"") if packed else b"")
    assert failure(path, tmp_path).summary == "The file is empty."


@pytest.mark.parametrize("content", [f"{HEADER}\n", HEADER, f"{HEADER}\n\n\n"])
def test_a_header_without_rows(tmp_path: Path, content: str) -> None:
    path = tmp_path / "trips.csv"
    path.write_text(content)
    assert failure(path, tmp_path).summary == "The file has a header and no rows."


@pytest.mark.parametrize("before", [b"", b"\r\n\n  ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_web_page(tmp_path: Path, packed: bool, before: bytes) -> None:
    page = before + b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n"
    path = tmp_path / "trips.csv.gz"
    path.write_bytes(gzip.compress(page) if packed else page)
    error = failure(path, tmp_path)
    assert "web page" in error.summary
    assert "<!DOCTYPE html>" in error.details["Found"]


def test_another_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv.gz"
    path.write_bytes(b"PK\x03\x04\x14\x00\x00\x00\x08\x00zipped")
    assert failure(path, tmp_path).summary == "The file is neither CSV nor Parquet."


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.9999])
def test_a_gzip_file_that_is_cut_off(tmp_path: Path, share: float) -> None:
    path = csv_file(tmp_path, *(line(fare_amount=str(number)) for number in range(30_000)))
    whole = path.read_bytes()
    path.write_bytes(whole[: max(12, int(len(whole) * share))])
    assert failure(path, tmp_path).summary == "The gzip file is cut off."


@pytest.mark.parametrize("place", [0.5, 1.0])
def test_a_gzip_file_that_is_damaged(tmp_path: Path, place: float) -> None:
    path = csv_file(tmp_path, *(line(fare_amount=str(number)) for number in range(30_000)))
    damaged = bytearray(path.read_bytes())
    at = min(int(len(damaged) * place), len(damaged) - 8)
    damaged[at : at + 4] = bytes(byte ^ 0x55 for byte in damaged[at : at + 4])
    path.write_bytes(damaged)
    assert failure(path, tmp_path).summary == "The gzip file is damaged."


def test_a_gzip_file_with_something_behind_it(tmp_path: Path) -> None:
    path = csv_file(tmp_path, LINE)
    path.write_bytes(path.read_bytes() + b"something")
    assert failure(path, tmp_path).summary == "The gzip file is damaged."
