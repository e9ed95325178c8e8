"""Patches of the emulator for queries: dry runs that run nothing, and rows at the speed of Arrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from bqemulator.api.routes import jobs
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.jobs import executor
from bqemulator.jobs.executor import classify_statement_type
from bqemulator.scripting.ast import SqlStmt
from bqemulator.storage import arrow_bridge

_preview = jobs._dry_run_response


async def dry_run(*, bq_sql: str, **options: Any) -> dict[str, Any]:
    """Answers a dry run as BigQuery does: with the type of the statement, and without running it.

    The emulator runs what it cannot classify, and classifies a script by its first statement: its dry run of
    `SELECT 1; DELETE FROM t WHERE TRUE` deletes.
    """
    kind = statement_type(bq_sql)
    if kind in jobs._DESTRUCTIVE_STATEMENT_TYPES:
        return await _preview(bq_sql=bq_sql, **options)
    return {"schema": {"fields": []}, **({"statementType": kind} if kind else {})}


def statement_type(bq_sql: str) -> str:
    """The type of a statement: SELECT for one query, SCRIPT for several statements; empty: another one.

    Raises:
        InvalidQueryError: It cannot be parsed.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [statement for statement in sqlglot.parse(bq_sql, read="bigquery") if statement is not None]
    except SqlglotError as error:
        found = (getattr(error, "errors", None) or [{}])[0]
        place = f" at [{found['line']}:{found['col']}]" if found.get("line") else ""
        raise InvalidQueryError(f"Syntax error: {found.get('description', 'cannot be parsed')}{place}") from None
    if len(statements) != 1:
        return "SCRIPT"
    (statement,) = statements
    if not isinstance(statement, exp.Query):
        return str(classify_statement_type(bq_sql))
    script = executor._parse_script_or_raise(bq_sql).statements
    if len(script) != 1 or not isinstance(script[0], SqlStmt):
        return "SCRIPT"
    writing = statement.find(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Into, exp.Command)
    return "" if writing else "SELECT"


def rows(table: pa.Table, offset: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of a page in BigQuery's JSON, as `arrow_bridge.arrow_table_to_bq_rows` makes them, value by value."""
    if not (table.num_rows and table.num_columns):
        return []
    page = table.slice(offset, limit)
    columns = [_cells(page.column(number), page.schema.field(number)) for number in range(page.num_columns)]
    return [{"f": [{"v": value} for value in row]} for row in zip(*columns, strict=True)]


def _cells(column: pa.ChunkedArray, field: pa.Field) -> list[Any]:
    if not field.metadata:
        for is_type, texts in _TEXTS:
            if is_type(column.type):
                found: list[Any] = texts(column)
                return found
    return [arrow_bridge._format_bq_value(value, column.type, field=field) for value in column.to_pylist()]


def _floats(column: pa.ChunkedArray) -> list[str | None]:
    encoded = column.combine_chunks().dictionary_encode()
    texts = pa.array([repr(value) for value in encoded.dictionary.to_pylist()], pa.string())
    found: list[str | None] = texts.take(encoded.indices).to_pylist()
    return found


def _datetimes(column: pa.ChunkedArray) -> list[str | None]:
    try:
        seconds = pc.cast(pc.cast(column, pa.timestamp("s")), pa.string())
    except pa.ArrowInvalid:  # Parts of a second.
        return [None if value is None else value.isoformat() for value in column.to_pylist()]
    found: list[str | None] = pc.replace_substring(seconds, " ", "T").to_pylist()
    return found


_TEXTS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.ChunkedArray], list[Any]]], ...] = (
    (pa.types.is_integer, lambda column: pc.cast(column, pa.string()).to_pylist()),
    (pa.types.is_float64, _floats),
    (pa.types.is_boolean, lambda column: pc.cast(column, pa.string()).to_pylist()),
    (pa.types.is_string, lambda column: column.to_pylist()),
    (pa.types.is_date32, lambda column: pc.cast(column, pa.string()).to_pylist()),
    (lambda kind: pa.types.is_timestamp(kind) and kind.tz is None and kind.unit == "us", _datetimes),
)
