"""Any CSV or Parquet file as a table: types from all rows, names that fit, and what is none."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxi_assets.components.local_files import table as any_csv
from taxi_assets.components.local_files.table import AnyTable, InvalidTable, column_names, read_table, table_name
from taxi_assets.errors import TaxiError
from taxi_assets.settings import PROJECT_ROOT


def read(path: Path) -> AnyTable:
    return read_table(path, path.with_name("typed.parquet"))


def csv(folder: Path, text: str | bytes) -> Path:
    path = folder / "some.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def kinds(table: AnyTable) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def test_each_type_is_found(tmp_path: Path) -> None:
    header = "whole,number,truth,day,time,zoned,text,nothing,zip"
    first = "1,1,true,2020-04-01,2020-04-01 10:00:00,2020-04-01T10:00:00Z,1,,00501"
    second = '-2,1.5,FALSE,2020-04-02,2020-04-02,2020-04-02T10:00:00+01:00,"a, b",,10001'
    table = read(csv(tmp_path, f"{header}\n{first}\n{second}\n,,,,,,,,\n"))
    assert kinds(table) == {
        "whole": "int64",
        "number": "double",
        "truth": "bool",
        "day": "date32[day]",
        "time": "timestamp[us]",
        "zoned": "timestamp[us, tz=UTC]",
        "text": "string",
        "nothing": "string",
        "zip": "string",
    }
    assert table.rows == 3
    _, row, empty = table.first(10)
    assert row == {
        "whole": -2,
        "number": 1.5,
        "truth": False,
        "day": date(2020, 4, 2),
        "time": datetime(2020, 4, 2),
        "zoned": datetime(2020, 4, 2, 9, tzinfo=UTC),
        "text": "a, b",
        "nothing": None,
        "zip": "10001",
    }
    assert set(empty.values()) == {None}


def test_a_value_late_in_the_file_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(any_csv, "BLOCK_BYTES", 1000)
    lines = [f"{number},{number}" for number in range(2000)]
    table = read(csv(tmp_path, "\n".join(["a,b", *lines, "1.5,late"])))
    assert kinds(table) == {"a": "double", "b": "string"}
    assert table.rows == 2001


def test_a_gzipped_file(tmp_path: Path) -> None:
    path = tmp_path / "some.csv.gz"
    path.write_bytes(gzip.compress(b"a\n1\n"))
    assert read(path).first(1) == [{"a": 1}]


def test_the_example_is_a_table(tmp_path: Path) -> None:
    table = read_table(PROJECT_ROOT / "examples" / "weather_by_day.csv", tmp_path / "typed.parquet")
    assert table.rows == 10
    assert list(kinds(table).items())[:3] == [
        ("day", "date32[day]"),
        ("temperature_c", "double"),
        ("rain_mm", "double"),
    ]


def test_the_types_of_parquet_are_made_to_fit(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    columns = {
        "Small": pa.array([1], pa.int8()),
        "Word": pa.array(["x"]).dictionary_encode(),
        "Moment": pa.array([1_500_000_000_000_000_001], pa.timestamp("ns")),
        "Nothing": pa.nulls(1),
    }
    pq.write_table(pa.table(columns), path)
    table = read(path)
    assert kinds(table) == {"small": "int64", "word": "string", "moment": "timestamp[us]", "nothing": "string"}
    assert table.rows == 1


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Rides 2020-04.csv", "rides_2020_04"),
        ("RIDES.CSV", "rides"),
        ("a.b.csv.gz", "a_b"),
        ("Café – été.parquet", "cafe_ete"),
        ("2020.csv", "2020"),
        ("x'); DROP TABLE y;--.csv", "x_drop_table_y"),
    ],
)
def test_tables_are_named_after_their_files(name: str, made: str) -> None:
    assert table_name(name) == made


@pytest.mark.parametrize("name", ["___.csv", "日本.csv"])
def test_a_name_of_which_nothing_is_left(name: str) -> None:
    with pytest.raises(TaxiError, match="No table can be named") as raised:
        table_name(name)
    assert raised.value.details["Next"] == "rename the file"


def test_columns_get_names_that_fit_each_once() -> None:
    assert column_names(["Fare ($)", "fare", "FARE", "1st", ""]) == ["fare", "fare_2", "fare_3", "_1st", "column_5"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", "an empty file"),
        (b"a,b\n", "columns (a, b) and no rows"),
        (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"a\n\xff\xfe\n", "UTF8"),
        (b"a,a\n1,2\n", "several columns with the name 'a'"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, text: bytes, found: str) -> None:
    path = csv(tmp_path, text)
    with pytest.raises(InvalidTable, match=r"some\.csv is no table") as raised:
        read(path)
    assert found in raised.value.details["Found"]
    assert raised.value.details["Where"] == str(path)


def test_broken_and_odd_parquet(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"list": [[1], [2]]}), path)
    with pytest.raises(InvalidTable) as raised:
        read(path)
    assert "the column 'list' of type list<" in raised.value.details["Found"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidTable):
        read(path)
