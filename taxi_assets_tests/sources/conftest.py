"""What the tests of the source share: a faulty server, a small month, and a source that does not wait for long."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxi_assets.sources.retry import RetryPolicy
from taxi_assets.sources.source import TripSource
from taxi_assets_tests.faulty_server import FaultyServer

MONTH = date(2021, 1, 1)
CSV_PATH = "/yellow/yellow_tripdata_2021-01.csv.gz"
PARQUET_PATH = "/trip-data/yellow_tripdata_2021-01.parquet"
QUICK = RetryPolicy(first_wait=0.002, longest_wait=0.01, longest_retry_after=0.3, read_timeout=5, connect_timeout=5)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture
def source(server: FaultyServer, tmp_path: Path) -> TripSource:
    return TripSource(server.url, tmp_path / "raw", retry_policy=QUICK)


def gzipped(rows: int, word: str = "trip") -> bytes:
    """A gzip file of about 40 random-looking bytes a row, so that it does not shrink to nothing."""
    lines = "".join(f"{word},{(number * 2654435761) % 2**32},{(number * 40503) % 2**16}\n" for number in range(rows))
    return gzip.compress(lines.encode(), mtime=0)


@pytest.fixture(scope="session")
def csv_body() -> bytes:
    return gzipped(60_000)


@pytest.fixture(scope="session")
def parquet_body() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"VendorID": list(range(20_000))}), file)
    return file.getvalue()
