"""The files of a month for the lake, made on disk: one a month, or one a day of pickup in Hive's folders.

Their names carry the source month: a stray pickup lands in its own day's folder without touching another month's file.
Each is named by its content besides, so that a new load never overwrites the files of an old one, and a file that has
not changed is not sent again. A month's single file and its rejected rows have a fixed name, too, for people: a copy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from taxi_assets.errors import TaxiError
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.trips.columns import AMOUNT, Column, Service
from taxi_assets.trips.months import month_name

Shape = Literal["month", "date"]

DAY_GROUP_ROWS = 16_384
"""Rows of a day's row group: as many are held in memory for each day at most, whatever the month's size."""
OPEN_FILES = 256
"""Days written side by side; a month with more of them gets a second file for some."""


@dataclass(frozen=True)
class LakeFile:
    """A file on its way to the lake.

    Attributes:
        name: The object's name.
        path: The file on disk.
        rows: Its rows.
        fixed_name: The name of its copy for people; None: it has none.
    """

    name: str
    path: Path
    rows: int
    fixed_name: str | None = None


def date_column(service: Service) -> Column:
    """The column with the day of pickup, by which the service's files can be partitioned.

    Raises:
        TaxiError: The service has none.
    """
    if service.day:
        return service.day
    raise TaxiError(
        f"The lake's files of {service.name} cannot be partitioned by day.",
        expected="a column with the day of pickup in the registry",
        found=f"none among the columns of {service.name}",
        next_step="declare one with `day_of` in taxi_assets/services, or choose the shape `month`",
    )


def month_name_in_lake(pipeline: str, month: str) -> str:
    """The fixed name of a month in the shape `month`."""
    return f"{pipeline}/{pipeline}_{month}.parquet"


def rejected_name(pipeline: str, month: str) -> str:
    """The fixed name of the rejected rows."""
    return f"rejected/{pipeline}/{month}.parquet"


def content_folder(pipeline: str) -> str:
    """The folder of the objects that are named by their content, where it is not the folder of a day."""
    return f"_objects/{pipeline}/"


def rejected_file(month: CleanedMonth) -> LakeFile:
    """The file with the rejected rows."""
    pipeline, name, table = month.pipeline, month_name(month.month), month.rejected
    content = f"{content_folder(pipeline)}rejected_{name}-{_digest(table.path)}.parquet"
    return LakeFile(content, table.path, table.rows, rejected_name(pipeline, name))


def month_files(month: CleanedMonth, shape: Shape, folder: Path) -> list[LakeFile]:
    """The files with the kept rows.

    Args:
        month: The cleaned month.
        shape: `month`, the cleaned file as it is; `date`, a file for each day of pickup.
        folder: An empty folder for the files.

    Raises:
        TaxiError: The cleaned file has other columns than the registry, or what was written is not what was cleaned.
    """
    service, pipeline, name = month.service, month.pipeline, month_name(month.month)
    if not month.kept.schema.equals(service.schema):
        raise TaxiError(
            f"The cleaned rows of {month} have other columns than the registry.",
            expected=", ".join(f"{field.name} {field.type}" for field in service.schema),
            found=", ".join(f"{field.name} {field.type}" for field in month.kept.schema),
            where=str(month.kept.path),
            intact="every store",
            next_step="clean the month again",
        )
    if shape == "month":
        content = f"{content_folder(pipeline)}{pipeline}_{name}-{_digest(month.kept.path)}.parquet"
        fixed = month_name_in_lake(pipeline, name)
        files = [LakeFile(content, month.kept.path, month.kept.rows, fixed)]
    else:
        files = _day_files(month, folder)
    _verify(month, files)
    return files


def _day_files(month: CleanedMonth, folder: Path) -> list[LakeFile]:
    import pyarrow as pa
    import pyarrow.dataset as ds

    day = date_column(month.service)
    form = ds.ParquetFileFormat()
    ds.write_dataset(
        month.kept.reader(),
        folder,
        format=form,
        file_options=form.make_write_options(compression="zstd", compression_level=1),
        partitioning=ds.partitioning(pa.schema([(day.name, day.type.arrow)]), flavor="hive"),
        basename_template="{i}.parquet",
        use_threads=False,
        min_rows_per_group=DAY_GROUP_ROWS,
        max_rows_per_group=DAY_GROUP_ROWS,
        max_open_files=OPEN_FILES,
        max_partitions=100_000,
    )
    return [_day_file(month, path, path.parent.name) for path in sorted(folder.glob("*/*.parquet"))]


def _day_file(month: CleanedMonth, path: Path, day: str) -> LakeFile:
    import pyarrow.parquet as pq

    name = f"{month.pipeline}/{day}/{month.pipeline}_{month_name(month.month)}-{_digest(path)}.parquet"
    return LakeFile(name, path, int(pq.read_metadata(path).num_rows))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def count(path: Path) -> tuple[int, int]:
    """Rows and whole cents of `total_amount` in a Parquet file, read anew; 0 cents where it has no amounts."""
    from taxi_assets.trips.table import TripTable
    from taxi_assets.trips.values import cents

    table = TripTable(path)
    names = [name for name in table.schema.names if name == AMOUNT]
    return table.rows, sum(cents(batch) for batch in table.batches(columns=names))


def _verify(month: CleanedMonth, files: list[LakeFile]) -> None:
    entry = month.entry("lake", "")
    counted = [count(file.path) for file in files]
    rows, whole_cents = sum(rows for rows, _ in counted), sum(whole for _, whole in counted)
    if (rows, whole_cents) != (entry.rows_kept, entry.cents):
        raise TaxiError(
            f"The lake's files of {month} do not hold what was cleaned.",
            expected=f"{entry.rows_kept} rows, {entry.cents} cents",
            found=f"{rows} rows, {whole_cents} cents in {len(files)} files",
            intact="every store",
            next_step="clean the month again",
        )
