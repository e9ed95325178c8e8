"""Memory does not grow with the month, and the room imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.trips.made import HEADER, arrow_trips, line

PEAK = """
import sys
from pathlib import Path
import pyarrow as pa
from taxi_assets_tests.trips.made import clean
cleaning = clean(Path(sys.argv[1]), Path(sys.argv[2]))
print(cleaning.kept.rows, pa.default_memory_pool().max_memory() >> 20, "pandas" in sys.modules)
"""
UNIT_ROWS = 100_000


def rows_and_peak(path: Path, folder: Path) -> tuple[int, int]:
    """Cleans a file in a process of its own: the rows kept, and the most that Arrow held at a time, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), str(folder)], capture_output=True, text=True, check=True
    )
    rows, peak, with_pandas = done.stdout.split()
    assert with_pandas == "False"
    return int(rows), int(peak)


def csv_of(path: Path, units: int) -> Path:
    unit = "".join(line(fare_amount=str(number)) + "\n" for number in range(UNIT_ROWS - 1))
    unit += line(tpep_pickup_datetime="2020-12-31 23:50:00") + "\n"
    with path.open("w") as file:
        file.write(HEADER + "\n")
        file.writelines([unit] * units)
    return path


def parquet_of(path: Path, units: int) -> Path:
    """One row group, as long as the month: as the TLC's files can have it."""
    fares = pa.array([float(number) for number in range(UNIT_ROWS * units)])
    pq.write_table(arrow_trips(YELLOW, UNIT_ROWS * units, fare_amount=fares), path, row_group_size=UNIT_ROWS * units)
    return path


@pytest.mark.parametrize("made", [csv_of, parquet_of])
def test_five_times_the_rows_take_the_same_memory(tmp_path: Path, made: Callable[[Path, int], Path]) -> None:
    rows, small = rows_and_peak(made(tmp_path / "small", 1), tmp_path)
    assert rows == UNIT_ROWS
    rows, large = rows_and_peak(made(tmp_path / "large", 5), tmp_path)
    assert rows == 5 * UNIT_ROWS
    # The rows that the large file has more take 50 MB as Arrow.
    assert large - small < 15


def test_the_room_knows_nobody() -> None:
    code = """
import sys
BELOW = ("taxi_assets.trips", "taxi_assets.errors", "taxi_assets.yaml_")
import taxi_assets.trips.clean
ours = {name for name in sys.modules if name.startswith("taxi_assets.")}
print(sorted(name for name in ours if not name.startswith(BELOW)))
print(sorted({"dagster", "pandas", "psycopg", "google.cloud", "sqlalchemy"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
