"""Arrow values of trips: made from Python's, converted from a file's, summed as whole cents.

Given Python values, `pa.scalar`, `pa.array` and the compute functions import pandas, which costs 45 MB and 0.3 s. So
scalars and arrays are made from their bytes here.

Amounts are doubles, and a sum of doubles depends on the order of addition. To compare a month between stores, each
amount is rounded to whole cents, which add up exactly in any order below 2^53 cents. `floor(amount * 100 + 0.5)` is
IEEE arithmetic, the same in Arrow, PostgreSQL and BigQuery, whose own `round` differ.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import date
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.trips.columns import AMOUNT, ColumnType

EPOCH = date(1970, 1, 1)

EXPECTED = {
    ColumnType.SMALLINT: "a whole number from -32768 to 32767, or nothing",
    ColumnType.DOUBLE: "a number, or nothing",
    ColumnType.TEXT: "text in UTF-8, or nothing",
    ColumnType.DATETIME: "a time without zone like 2021-01-01 00:30:10, or nothing",
    ColumnType.DATE: "a date like 2021-01-01, or nothing",
    ColumnType.BIGINT: "a whole number of 64 bits, or nothing",
}
"""What a file may hold in a column of each type, in words."""


def number(value: float) -> pa.DoubleScalar:
    """A double."""
    return _scalar(pa.float64(), struct.pack("=d", value))


def integer(value: int) -> pa.Int64Scalar:
    """A 64-bit integer."""
    return _scalar(pa.int64(), struct.pack("=q", value))


def day(value: date) -> pa.Date32Scalar:
    """A date."""
    return _scalar(pa.date32(), struct.pack("=i", (value - EPOCH).days))


def texts(values: Sequence[str]) -> pa.StringArray:
    """An array of text."""
    encoded = [value.encode() for value in values]
    offsets = struct.pack(f"={len(encoded) + 1}i", *accumulate(map(len, encoded), initial=0))
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def _scalar(type: pa.DataType, content: bytes) -> pa.Scalar:
    return pa.Array.from_buffers(type, 1, [None, pa.py_buffer(content)])[0]


def cents(trips: pa.RecordBatch | pa.Table | pa.Array | pa.ChunkedArray) -> int:
    """The sum of whole cents of `total_amount`, without nulls; 0 of rows that have no such column.

    Args:
        trips: Rows with a column `total_amount` in dollars, or that column.
    """
    if isinstance(trips, pa.RecordBatch | pa.Table) and AMOUNT not in trips.schema.names:
        return 0
    amounts = trips[AMOUNT] if isinstance(trips, pa.RecordBatch | pa.Table) else trips
    whole = pc.floor(pc.add(pc.multiply(amounts, number(100)), number(0.5)))
    return int(pc.sum(whole, min_count=0).as_py())


def convertible(source: pa.DataType, type: ColumnType) -> bool:
    """Whether values of an Arrow type can be values of the registry's type at all."""
    if pa.types.is_dictionary(source):
        source = source.value_type
    match type:
        case ColumnType.SMALLINT | ColumnType.BIGINT | ColumnType.DOUBLE:
            matches = pa.types.is_integer(source) or pa.types.is_floating(source) or pa.types.is_decimal(source)
        case ColumnType.TEXT:
            matches = pa.types.is_string(source) or pa.types.is_large_string(source) or pa.types.is_string_view(source)
        case ColumnType.DATETIME:
            matches = pa.types.is_timestamp(source) and source.tz is None
        case ColumnType.DATE:
            matches = pa.types.is_date(source)
    return bool(matches or pa.types.is_null(source))


def convert(values: pa.Array, type: ColumnType) -> pa.Array:
    """The same values in the registry's Arrow type: 1.0 becomes the integer 1, and 1.5 is an error.

    Raises:
        pa.ArrowInvalid: A value is out of range, a fraction, not a finite number, or not UTF-8.
    """
    decoded = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    if type is ColumnType.BIGINT and pa.types.is_string(decoded.type):
        decoded = pc.replace_substring_regex(pc.utf8_trim_whitespace(decoded), r"\.0+$", "")
    converted = decoded.cast(type.arrow)
    if type is ColumnType.DOUBLE and not pc.all(pc.is_finite(converted), min_count=0).as_py():
        raise pa.ArrowInvalid("not a finite number")
    if type is ColumnType.TEXT:
        converted.validate(full=True)
    return converted


def parse(values: pa.Array, type: ColumnType) -> pa.Array:
    """Text as a CSV file holds it, null where it is empty, in the registry's Arrow type.

    Raises:
        pa.ArrowInvalid: A value is none of that type.
    """
    if type is not ColumnType.TEXT:
        values = pc.utf8_trim_whitespace(values).cast(text_type(type))
    return convert(values, type)


def text_type(type: ColumnType) -> pa.DataType:
    """The Arrow type in which a column of a CSV file is read.

    Integers may be written `1.0`: small ones are read as doubles, others, which a double may round, as text.
    """
    read_as = {ColumnType.SMALLINT: pa.float64(), ColumnType.BIGINT: pa.string()}
    return read_as.get(type, type.arrow)


def first_invalid(values: pa.Array, type: ColumnType) -> int | None:
    """The index of the first value that is none of the type. Strings are parsed, other values are converted."""
    change = parse if pa.types.is_string(values.type) else convert

    def valid(part: pa.Array) -> bool:
        try:
            change(part, type)
        except pa.ArrowInvalid:
            return False
        return True

    if valid(values):
        return None
    start, end = 0, len(values)
    while end - start > 1:
        middle = (start + end) // 2
        if valid(values.slice(start, middle - start)):
            start = middle
        else:
            end = middle
    return start
