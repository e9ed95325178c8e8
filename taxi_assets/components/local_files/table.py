"""Reads any CSV or Parquet file as a table for BigQuery: fits the names and types of its columns, keeps its rows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from taxi_assets.components.local_files.folder import SUFFIXES
from taxi_assets.errors import TaxiError

FROM = b"column_of_the_file"
"""The key of a field's metadata that has the column's name in the file."""
_ROWS = 65_536
_LONGEST_NAME = 200


class InvalidTable(TaxiError):
    """A file that holds no table: it is put aside, and that is no failure."""


@dataclass(frozen=True)
class AnyTable:
    """A file as a table: the Parquet file that was made of it, its columns as they are now, and its rows."""

    path: Path
    schema: pa.Schema
    rows: int

    def first(self, rows: int) -> list[dict[str, object]]:
        """Its first rows."""
        with pq.ParquetFile(self.path) as parquet:
            batch = next(parquet.iter_batches(rows), None)
            return batch.to_pylist() if batch is not None else []


def table_name(name: str) -> str:
    """The name of the table for a file: `Rides 2020-04.csv` → `rides_2020_04`.

    Letters become small ones without accents; any run of other characters than letters and digits becomes `_`.

    Raises:
        TaxiError: Nothing is left.
    """
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    if plain := _plain(name.removesuffix(name[len(name) - len(suffix) :]) if suffix else name):
        return plain
    raise TaxiError(
        f"No table can be named after the file {name!r}.",
        expected="at least one Latin letter or digit in its name",
        intact="every table",
        next_step="rename the file",
    )


def _plain(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", ascii_text).strip("_")[:_LONGEST_NAME]


def column_names(names: list[str]) -> list[str]:
    """The names of the table's columns: made as `table_name` does, never beginning with a digit, each once."""
    unique_names: list[str] = []
    for i, name in enumerate(names, start=1):
        plain = _plain(name) or f"column_{i}"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        unique, number = plain, 2
        while unique in unique_names:
            unique, number = f"{plain}_{number}", number + 1
        unique_names.append(unique)
    return unique_names


def read_table(path: Path, target: Path) -> AnyTable:
    """Writes a file anew as Parquet, with names and types that BigQuery has; at bounded memory.

    Args:
        path: The CSV or Parquet file.
        target: The file to write.

    Raises:
        InvalidTable: It is empty or broken, is no such file, or has a column of a type that BigQuery has not.
    """
    if path.stat().st_size == 0:
        raise _not_a_table(path, "an empty file")
    try:
        schema, batches = _open_parquet(path) if path.suffix.lower() == ".parquet" else _open_csv(path)
        names = column_names(schema.names)
        fields = [
            pa.field(name, _fitting(path, field), metadata={FROM: field.name.encode()})
            for name, field in zip(names, schema, strict=True)
        ]
        fitting, rows = pa.schema(fields), 0
        with pq.ParquetWriter(target, fitting, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(_cast(batch, fitting))
                rows += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        raise _not_a_table(path, " ".join(str(error).split())[:400]) from error
    if rows == 0:
        raise _not_a_table(path, f"columns ({', '.join(schema.names[:10])}) and no rows")
    return AnyTable(target, fitting, rows)


def _open_csv(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if _looks_like_a_page(path):
        raise _not_a_table(path, "a web page")
    schema = csv_schema(path)
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise _not_a_table(path, f"several columns with the name {', '.join(map(repr, twice))}")
    return schema, csv_batches(path, schema)


def _looks_like_a_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(200).lstrip().lower().startswith((b"<!doctype", b"<html"))


def _open_parquet(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    def batches() -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(path) as parquet:
            yield from parquet.iter_batches(_ROWS)

    return pq.read_schema(path).remove_metadata(), batches()


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    # Not safe for times alone: nanoseconds become the microseconds that BigQuery has.
    columns = [
        column.cast(kind, safe=not pa.types.is_temporal(kind))
        for column, kind in zip(batch.columns, schema.types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _fitting(path: Path, field: pa.Field) -> pa.DataType:
    """The Arrow type that BigQuery has a counterpart for, in the place of a column's own."""
    kind, types = field.type, pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    for fits, fitting in (
        (types.is_integer, pa.int64()),
        (types.is_floating, pa.float64()),
        (types.is_boolean, pa.bool_()),
        (lambda kind: types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind), pa.string()),
        (lambda kind: types.is_binary(kind) or types.is_large_binary(kind), pa.binary()),
        (types.is_date, pa.date32()),
        (types.is_time, pa.time64("us")),
        (types.is_timestamp, pa.timestamp("us", tz="UTC" if getattr(kind, "tz", None) else None)),
        (types.is_decimal, pa.float64()),
    ):
        if fits(kind):
            return fitting
    raise _not_a_table(path, f"the column {field.name!r} of type {field.type}, which a table in BigQuery cannot have")


def _not_a_table(path: Path, found: str) -> InvalidTable:
    return InvalidTable(
        f"The file {path.name} is no table.",
        expected="a CSV file (commas, UTF-8, a header, rows) or a Parquet file, with at least one row",
        found=found,
        where=str(path),
        intact="the table of an earlier version of the file, if there was one",
        next_step="put a corrected file in its place: it is loaded then",
    )


BLOCK_BYTES = 4 * 2**20
_NUMBERS = (pa.int64(), pa.float64())
_TYPES = (*_NUMBERS, pa.bool_(), pa.date32(), pa.timestamp("us"), pa.timestamp("us", tz="UTC"), pa.string())
_LEADING_ZERO = r"^[+-]?0[0-9]"
_TRUTH_VALUE = r"^(?i:true|false)$"


def csv_schema(path: Path) -> pa.Schema:
    """The columns of a file and the types that all their values fit; a column without values is text.

    Raises:
        pyarrow.ArrowInvalid: It is no CSV: the message names the row where it can.
    """
    names = _names(path)
    possible = [list(_TYPES) for _ in names]
    occurs = [False for _ in names]
    for batch in _texts(path, names):
        for i, column in enumerate(batch.columns):
            values = column.drop_null()
            if len(values):
                occurs[i] = True
                possible[i] = [kind for kind in possible[i] if _fit(values, kind)]
    kinds = [types[0] if seen else pa.string() for types, seen in zip(possible, occurs, strict=True)]
    return pa.schema(list(zip(names, kinds, strict=True)))


def csv_batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a file, in the types of the schema that `csv_schema` found."""
    for batch in _texts(path, schema.names):
        columns = [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _names(path: Path) -> list[str]:
    with _opened(path, csv.ConvertOptions()) as reader:
        return list(reader.schema.names)


def _texts(path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
    )
    with _opened(path, convert) as reader:
        yield from reader


def _opened(path: Path, convert: csv.ConvertOptions) -> csv.CSVStreamingReader:
    # One thread: with more, errors do not name the row.
    read = csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    parse = csv.ParseOptions(newlines_in_values=True)
    return csv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert)


def _fit(values: pa.StringArray, kind: pa.DataType) -> bool:
    """Whether each text is a value of the type. Numbers with leading zeros are no numbers: they would lose them."""
    if kind in _NUMBERS and pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py():
        return False
    if pa.types.is_boolean(kind) and not pc.all(pc.match_substring_regex(values, _TRUTH_VALUE)).as_py():
        return False
    try:
        values.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
