"""Any CSV file as a stream of typed Arrow batches: a first pass finds the type of each column, from all of its rows.

pyarrow infers from the first block alone, and fails at a later row that does not fit. Here a column has the first of
these types that all its values fit: whole number, number, truth value, day, time, time with a zone, text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

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
    kinds = [found[0] if seen else pa.string() for found, seen in zip(possible, occurs, strict=True)]
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
