"""Values of a file as values of the registry's types: exactly, or not at all."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.trips.columns import ColumnType

EXPECTED = {
    ColumnType.SMALLINT: "a whole number from -32768 to 32767, or nothing",
    ColumnType.DOUBLE: "a number, or nothing",
    ColumnType.TEXT: "text in UTF-8, or nothing",
    ColumnType.DATETIME: "a time without zone like 2021-01-01 00:30:10, or nothing",
}
"""What a file may hold in a column of each type, in words."""


def readable(found: pa.DataType, type: ColumnType) -> bool:
    """Whether values of an Arrow type can be values of the registry's type at all."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    match type:
        case ColumnType.SMALLINT | ColumnType.DOUBLE:
            fits = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
        case ColumnType.TEXT:
            fits = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
        case ColumnType.DATETIME:
            fits = pa.types.is_timestamp(found) and found.tz is None
        case _:
            fits = False
    return bool(fits or pa.types.is_null(found))


def convert(values: pa.Array, type: ColumnType) -> pa.Array:
    """The same values in the registry's Arrow type: 1.0 is the integer 1, and 1.5 is none.

    Raises:
        pa.ArrowInvalid: A value does not fit: out of range, a fraction, not a finite number, not UTF-8.
    """
    decoded = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
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
    """The Arrow type in which a column of a CSV file is read: integers as doubles, since they may be written `1.0`."""
    return pa.float64() if type is ColumnType.SMALLINT else type.arrow


def first_invalid(values: pa.Array, type: ColumnType) -> int | None:
    """The index of the first value that is none of the type; the array's Arrow type says how it is read."""
    turn = parse if pa.types.is_string(values.type) else convert

    def fits(part: pa.Array) -> bool:
        try:
            turn(part, type)
        except pa.ArrowInvalid:
            return False
        return True

    if fits(values):
        return None
    start, end = 0, len(values)
    while end - start > 1:
        middle = (start + end) // 2
        if fits(values.slice(start, middle - start)):
            start = middle
        else:
            end = middle
    return start
