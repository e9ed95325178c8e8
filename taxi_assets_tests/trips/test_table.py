"""A month's rows on disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxi_assets.errors import TransientError
from taxi_assets.trips.table import ROW_GROUP_ROWS, TripTable, table_writer
from taxi_assets.trips.values import cents

SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64(), metadata={"description": "Counts."}),
        pa.field("at", pa.timestamp("us"), metadata={"description": "When."}),
    ]
)


def numbers(first: int, count: int) -> pa.RecordBatch:
    values = pa.array(range(first, first + count), pa.int64())
    return pa.RecordBatch.from_arrays([values, values.cast(pa.timestamp("us"))], schema=SCHEMA)


def written(path: Path, *sizes: int) -> TripTable:
    with table_writer(path, SCHEMA) as writer:
        for size in sizes:
            writer.write(numbers(writer.rows, size))
        return writer.finish({"source": "made", "rows": {"a": 1}})


def test_rows_schema_and_note_come_back(tmp_path: Path) -> None:
    table = written(tmp_path / "t.parquet", 10, 0, 200_000, 7)
    assert table.rows == 200_017
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table.metadata == {"source": "made", "rows": {"a": 1}}
    assert [row for batch in table.batches() for row in batch["number"].to_pylist()] == list(range(200_017))
    assert TripTable(table.path) == table


def test_batches_are_of_the_size_and_the_columns_asked_for(tmp_path: Path) -> None:
    table = written(tmp_path / "t.parquet", 25)
    assert [batch.num_rows for batch in table.batches(10)] == [10, 10, 5]
    (batch,) = table.batches(columns=["number"])
    assert batch.schema.names == ["number"]


def test_a_reader_has_the_schema_and_all_rows(tmp_path: Path) -> None:
    reader = written(tmp_path / "t.parquet", 25).reader(10)
    assert reader.schema.equals(SCHEMA, check_metadata=True)
    assert reader.read_all().num_rows == 25


def test_batches_are_gathered_into_row_groups(tmp_path: Path) -> None:
    table = written(tmp_path / "t.parquet", *[10_000] * 15)
    footer = pq.read_metadata(table.path)
    sizes = [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]
    assert all(ROW_GROUP_ROWS <= size < ROW_GROUP_ROWS + 10_000 for size in sizes[:-1])
    assert len(sizes) == 3
    assert {footer.row_group(0).column(index).compression for index in range(2)} == {"ZSTD"}


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    table = written(tmp_path / "t.parquet")
    assert table.rows == 0
    assert table.reader().read_all().schema.equals(SCHEMA)


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with table_writer(tmp_path / "t.parquet", SCHEMA) as writer:
            writer.write(numbers(0, ROW_GROUP_ROWS))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_takes_no_more_is_a_passing_error(tmp_path: Path) -> None:
    with files_of_at_most(4_096), pytest.raises(TransientError) as caught:
        written(tmp_path / "t.parquet", 200_000)
    assert caught.value.details["Where"] == str(tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


def test_cents_are_whole_and_do_not_depend_on_the_order() -> None:
    assert cents(pa.array([11.8, 0.1, 0.2, None, -2.5])) == 1180 + 10 + 20 - 250
    assert cents(pa.array([], pa.float64())) == 0
    assert cents(pa.array([None], pa.float64())) == 0
    random = np.random.default_rng(1)
    amounts = np.round(random.normal(15, 10, 100_000), 2)
    exact = int(np.rint(amounts * 100).sum())
    assert cents(pa.array(amounts)) == cents(pa.array(random.permutation(amounts))) == exact
    assert cents(pa.table({"total_amount": amounts})) == exact
