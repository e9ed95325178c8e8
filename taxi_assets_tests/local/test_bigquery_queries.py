"""The emulator's patches for queries: dry runs that run nothing, rows as the emulator itself makes them."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from bqemulator.api.routes import jobs
from bqemulator.domain.errors import InvalidQueryError, NotFoundError
from bqemulator.jobs import executor
from bqemulator.storage import arrow_bridge

from taxi_assets.local import bigquery_queries
from taxi_assets.local.bigquery_queries import (
    FEW_ROWS,
    PAGE_ROWS,
    parsed_once,
    query_results,
    rows,
    statement_type,
)


@pytest.fixture(params=[0, FEW_ROWS])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes all pages column by column; and then few rows value by value."""
    monkeypatch.setattr(bigquery_queries, "FEW_ROWS", request.param)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", "SELECT"),
        ("with a as (select 1) select * from a union all select 2;", "SELECT"),
        ("(select 1)", "SELECT"),
        ("from t |> where x = 1", "SELECT"),
        # One statement for BigQuery; the emulator's interpreter would run two.
        ("select r'\\'; delete from t; --'", "SCRIPT"),
        ("select 1; delete from t where true", "SCRIPT"),
        ("begin delete from t where true; end", "SCRIPT"),
        ("with x as (select 1) delete from t where true", "DELETE"),
        ("delete from t where true", "DELETE"),
        ("call p()", ""),
        ("execute immediate 'delete from t where true'", ""),
        ("export data options (uri = 'gs://b/*') as select 1", ""),
    ],
)
def test_the_type_of_a_statement(sql: str, expected: str) -> None:
    assert statement_type(sql) == expected


def test_a_query_is_parsed_once_though_its_trees_are_changed() -> None:
    parsed = []

    def parse_one(sql: str, **options: Any) -> Any:
        parsed.append(sql)
        return sqlglot.parse_one(sql, **options)

    parse = parsed_once(parse_one)
    parse("select a from t", read="bigquery").find(sqlglot.exp.Column).replace(sqlglot.exp.Null())
    assert parse("select a from t", read="bigquery").sql() == "SELECT a FROM t"
    assert parse('select "a"', read="bigquery").sql() == "SELECT 'a'"
    assert parse('select "a"', read="duckdb").sql() == 'SELECT "a"'
    assert parsed == ["select a from t", 'select "a"', 'select "a"']


def test_a_statement_that_cannot_be_parsed() -> None:
    with pytest.raises(InvalidQueryError, match=r"Syntax error: .* at \[1:14\]"):
        statement_type("select * frm x")


@pytest.mark.usefixtures("few")
def test_rows_are_those_of_the_emulator() -> None:
    table = pa.table(
        {
            "i": pa.array([1, None, -(2**63)]),
            "f": pa.array([0.1, -0.0, float("nan")]),
            "s": pa.array(["", None, 'a,"b\\\n\x00é😀']),
            "plain": pa.array(["a", None, "null"]),
            "marked": pa.array(["a", None, '{"a": 1}']),
            "b": pa.array([True, False, None]),
            "d": pa.array([date(1, 1, 1), None, date(9999, 12, 31)]),
            "whole": pa.array([datetime(1, 1, 1), None, datetime(2021, 1, 1, 10)], pa.timestamp("us")),
            "parts": pa.array([datetime(1969, 12, 31, 23, 59, 59, 5), None, datetime(2021, 1, 1)], pa.timestamp("us")),
            "ts": pa.array([datetime(2021, 1, 1), None, datetime(1969, 1, 1)], pa.timestamp("us", "UTC")),
            "n": pa.array([Decimal("1.50"), None, Decimal("2.00")]),
            "t": pa.array([time(1, 2, 3), None, time(0)]),
            "bytes": pa.array([b"x", None, b""]),
            "list": pa.array([[1.5], None, []]),
            "struct": pa.array([{"a": 1}, None, {"a": None}]),
        }
    )
    # The emulator names DuckDB's types on its fields.
    marked = table.schema.field("marked").with_metadata({"bqemu.duckdb_type": "JSON"})
    table = table.cast(table.schema.set(table.schema.get_field_index("marked"), marked))
    for offset, limit in ((0, None), (1, 1), (2, 10), (3, 1)):
        assert rows(table, offset, limit) == arrow_bridge.arrow_table_to_bq_rows(table, offset, limit)


def test_a_page_that_is_longer_than_usual() -> None:
    table = pa.table({"i": range(2 * PAGE_ROWS + 1)})
    assert rows(table, 1) == arrow_bridge.arrow_table_to_bq_rows(table, 1)
    assert rows(table.slice(0, 0)) == rows(pa.table({})) == []


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("place", [{}, {"start": 2}, {"page_token": "4"}, {"start": 9}])
def test_a_page_is_that_of_the_emulator(place: dict[str, Any]) -> None:
    executor.JOB_RESULTS["job"] = pa.table({"i": range(5)})
    page = json.loads(bytes(query_results("project", "job", max_results=2, **place).body))
    names = {"start": "startIndex", "page_token": "pageToken"}
    given = {names[name]: value for name, value in place.items()}
    get_query_results: Any = jobs.get_query_results
    assert page == get_query_results(
        "project", "job", None, maxResults=2, **{"startIndex": 0, "pageToken": None, **given}
    )
    with pytest.raises(NotFoundError):
        query_results("project", "no job")
