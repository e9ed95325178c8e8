"""Patches of the emulator for queries: dry runs that run nothing, one parse a query, and rows at the speed of Arrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from bqemulator.api.routes import jobs
from bqemulator.domain.errors import InvalidQueryError, ResourceRef, resource_not_found
from bqemulator.jobs import executor
from bqemulator.jobs.executor import classify_statement_type
from bqemulator.scripting.ast import SqlStmt
from bqemulator.storage import arrow_bridge
from fastapi import Query, Response

PAGE_ROWS = 10_000
"""Rows of a page, unless a request asks for another number."""
FEW_ROWS = 50
"""So many rows take less time value by value."""

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


def parsed_once(parse_one: Callable[..., Any]) -> Callable[..., Any]:
    """`sqlglot.parse_one` with a memory. The emulator parses each query a dozen times, which takes half of its time."""

    @lru_cache(maxsize=8)
    def known(sql: str) -> Any:
        return parse_one(sql, read="bigquery")

    def parse(sql: Any, *given: Any, **options: Any) -> Any:
        if given or options != {"read": "bigquery"}:
            return parse_one(sql, *given, **options)
        # The callers change what they get.
        return known(sql).copy()

    return parse


def query_results(
    project_id: str,
    job_id: str,
    max_results: Annotated[int, Query(alias="maxResults")] = PAGE_ROWS,
    start: Annotated[int, Query(alias="startIndex")] = 0,
    page_token: Annotated[str | None, Query(alias="pageToken")] = None,
) -> Response:
    """A page of an answer, as `jobs.get_query_results` gives it. Its text is made by Arrow, not value by value."""
    table = executor.JOB_RESULTS.get(job_id)
    if table is None:
        raise resource_not_found(ResourceRef("job", project_id, resource_id=job_id))
    offset = int(page_token) if page_token else start
    answer = {
        "kind": "bigquery#getQueryResultsResponse",
        "jobReference": {"projectId": project_id, "jobId": job_id},
        "jobComplete": True,
        "totalBytesProcessed": "0",
        "schema": {"fields": executor.JOB_SCHEMAS.get(job_id, [])},
        "totalRows": str(table.num_rows),
    }
    if offset + max_results < table.num_rows:
        answer["pageToken"] = str(offset + max_results)
    body = json.dumps(answer)[:-1].encode() + b', "rows": ' + rows_json(table, offset, max_results) + b"}"
    return Response(body, media_type="application/json")


def rows(table: pa.Table, offset: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of a page, as `arrow_bridge.arrow_table_to_bq_rows` makes them."""
    found: list[dict[str, Any]] = json.loads(rows_json(table, offset, limit))
    return found


def rows_json(table: pa.Table, offset: int = 0, limit: int | None = None) -> bytes:
    """The rows of a page in BigQuery's JSON: each value is a text, except in arrays and structs."""
    if not (table.num_rows and table.num_columns):
        return b"[]"
    page = table.slice(offset, limit)
    if page.num_rows <= FEW_ROWS:
        return json.dumps(arrow_bridge.arrow_table_to_bq_rows(page)).encode()
    parts = [page.slice(start, PAGE_ROWS) for start in range(0, page.num_rows, PAGE_ROWS)]
    return b"[" + b",".join(map(_part_json, parts)) + b"]"


def _part_json(part: pa.Table) -> bytes:
    cells = [_cells(part.column(number).combine_chunks(), field) for number, field in enumerate(part.schema)]
    before = ['{"f":[{"v":', *['},{"v":'] * (len(cells) - 1)]
    lines = _joined(*chain.from_iterable(zip(before, cells, strict=True)), "}]}")
    return b",".join(lines.cast(pa.large_binary()).to_pylist())


def _joined(*parts: pa.Array | str) -> pa.Array:
    texts = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in (*parts, "")]
    return pc.binary_join_element_wise(*texts)


def _cells(column: pa.Array, field: pa.Field) -> pa.Array:
    """The column's values as JSON."""
    texts = _texts(column)
    if texts is None:
        values = (arrow_bridge._format_bq_value(value, column.type, field=field) for value in column.to_pylist())
        return pa.array([json.dumps(value) for value in values], pa.large_string())
    return pc.fill_null(_joined('"', texts.cast(pa.large_string()), '"'), "null")


def _texts(column: pa.Array) -> pa.Array | None:
    """The column's values as texts that JSON takes between quotes; None: for the emulator to make, one by one."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind):
        return column.cast(pa.string())
    if pa.types.is_float64(kind):
        return _each_once(column, repr)
    if pa.types.is_string(kind):
        escaped = pc.any(pc.match_substring_regex(column, r'["\\\x00-\x1f]')).as_py()
        return _each_once(column, lambda text: json.dumps(text)[1:-1]) if escaped else column
    return _datetimes(column) if kind == pa.timestamp("us") else None


def _datetimes(column: pa.Array) -> pa.Array:
    try:
        seconds = column.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:  # Parts of a second.
        return _each_once(column, datetime.isoformat)
    return pc.replace_substring(seconds.cast(pa.string()), " ", "T")


def _each_once(column: pa.Array, text: Callable[[Any], str]) -> pa.Array:
    encoded = column.dictionary_encode()
    texts = pa.array([text(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return texts.take(encoded.indices)
