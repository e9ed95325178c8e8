"""The rows of an answer, page by page. Google's client takes ten times as long: it makes Python values of each cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from taxi_assets.errors import TransientError
from taxi_assets.stores.bigquery.values import READERS

if TYPE_CHECKING:
    from google.cloud.bigquery.table import RowIterator

_PAGE = pa.schema(
    {
        "pageToken": pa.string(),
        "rows": pa.list_(pa.struct({"f": pa.list_(pa.struct({"v": pa.string()}))})),
    }
)
"""What is read of a page. All values are texts where none is an array or a struct."""


_PRINTED_AS_THEY_COME = ("STRING", "INTEGER", "INT64", "DATE")


def values(result: RowIterator) -> Iterator[tuple[Any, ...]]:
    """The rows, fetched page by page; those with an array, a struct or a rare type are read by Google's client."""
    if (kinds := _kinds(result)) is None:
        return (tuple(row[number] for number in range(len(result.schema))) for row in result)
    pages = ([_values(*column) for column in zip(page, kinds, strict=True)] for page in _pages(result, len(kinds)))
    return (row for columns in pages for row in zip(*columns, strict=True))


def texts(result: RowIterator) -> Iterator[list[pa.Array]] | None:
    """The columns of each page, each value as the text that Python makes of it; None: they are not of such types."""
    if (kinds := _kinds(result)) is None:
        return None
    return ([_texts(*column) for column in zip(page, kinds, strict=True)] for page in _pages(result, len(kinds)))


def _kinds(result: RowIterator) -> list[str] | None:
    plain = all(field.field_type in READERS and field.mode != "REPEATED" for field in result.schema)
    return [field.field_type for field in result.schema] if plain else None


def _values(column: pa.Array, kind: str) -> list[Any]:
    encoded = column.dictionary_encode()
    found = [READERS[kind](text) for text in encoded.dictionary.to_pylist()]
    return [None if index is None else found[index] for index in encoded.indices.to_pylist()]


def _texts(column: pa.Array, kind: str) -> pa.Array:
    if kind in _PRINTED_AS_THEY_COME:
        return column
    encoded = column.dictionary_encode()
    found = [str(READERS[kind](text)) for text in encoded.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(encoded.indices)


def _pages(result: RowIterator, width: int) -> Iterator[list[pa.Array]]:
    """The columns of each page: BigQuery's texts, null for NULL."""
    more = bool(result.path and width)
    parameters = dict(result.extra_params)
    while more:
        content = result.api_request(method="GET", path=result.path, query_params=parameters, expect_json=False)
        token, cells = _parsed(content)
        yield [cells[number::width] for number in range(width)]
        more, parameters["pageToken"] = bool(token), token


def _parsed(content: bytes) -> tuple[str | None, pa.Array]:
    """The token of the next page, and the values of this one, row by row.

    Raises:
        TransientError: It is no page.
    """
    from pyarrow import json

    reading = json.ReadOptions(use_threads=False, block_size=len(content) + 1)
    parsing = json.ParseOptions(_PAGE, newlines_in_values=True, unexpected_field_behavior="ignore")
    try:
        found = json.read_json(pa.BufferReader(content), reading, parsing)
    except pa.ArrowInvalid as error:
        raise TransientError(
            "BigQuery's answer cannot be read.",
            expected="a page of rows as JSON, each value a text",
            found=" ".join(str(error).split())[:300],
            intact="every table",
            next_step="try again",
        ) from None
    cells = found["rows"].combine_chunks().flatten().field("f").flatten().field("v")
    return found["pageToken"][0].as_py(), cells
