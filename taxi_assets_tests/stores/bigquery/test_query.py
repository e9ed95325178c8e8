"""A person's query to BigQuery: only one that reads runs, and its values are those of Google's client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from taxi_assets.errors import TaxiError, TransientError, UsageError
from taxi_assets.local.bigquery_queries import PAGE_ROWS
from taxi_assets.stores.bigquery import query as module
from taxi_assets.stores.bigquery.answer import values
from taxi_assets.stores.bigquery.query import query
from taxi_assets.stores.google.cloud import GoogleCloud

SIMPLE = (
    "SELECT 9223372036854775807 AS i, 1.5 AS f, CAST('NaN' AS FLOAT64) AS nan, NUMERIC '1.50' AS n, "
    "CAST(NULL AS INT64) AS nothing, '' AS empty, TRUE AS b, FALSE AS c, DATE '2021-01-01' AS d, "
    "DATETIME '2021-01-01 10:00:00.5' AS dt, TIMESTAMP '2021-01-01 10:00:00+01' AS ts, "
    "NUMERIC '0.0000001' AS small, 1e300 AS big, 3.0 AS whole, CAST('-inf' AS FLOAT64) AS inf, "
    "DATETIME '2021-01-01 10:00:00' AS seconds, TIMESTAMP '1969-12-31 23:59:59.000001+00' AS before, "
    "'a,\"b\"\\n\\r\\\\é😀' AS text, CAST(NULL AS STRING) AS no_text, CAST(NULL AS DATE) AS no_date"
)
RAW_STRING = "SELECT r'\\'; DELETE FROM kept.t WHERE TRUE; --' AS text"
PAGES = f"SELECT n, CAST(n AS STRING) AS s FROM UNNEST(GENERATE_ARRAY(1, {2 * PAGE_ROWS + 1})) AS n ORDER BY n"
NESTED = "SELECT [1, 2] AS numbers, STRUCT(1 AS x, 'y' AS z) AS s, TIME '10:11:12' AS t, b'x' AS bytes"


@pytest.mark.parametrize("sql", [SIMPLE, NESTED, f"{SIMPLE} LIMIT 0", PAGES])
def test_values_are_those_of_googles_client(cloud: GoogleCloud, sql: str) -> None:
    with query(GoogleCloud(home=cloud.home), sql, reading=True) as answer:
        found = list(answer.rows)
    client = cloud.bigquery()
    expected = [tuple(row.values()) for row in client.query(sql).result()]
    assert str(found) == str(expected)
    assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in expected]
    with query(GoogleCloud(home=cloud.home), sql, reading=True) as answer:
        assert (answer.texts is None) == (sql == NESTED)
        texts = [row for page in answer.texts or [] for row in zip(*map(list, page), strict=True)]
    if sql != NESTED:
        assert [[text.as_py() for text in row] for row in texts] == [
            [None if value is None else str(value) for value in row] for row in expected
        ]


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b'{"rows": [{"f": [{"v": "1"', b'{"rows": [{"f": [{"v": {"f": []}}]}]}']
)
def test_an_answer_that_is_no_page(content: bytes) -> None:
    field = SimpleNamespace(field_type="INTEGER", mode="NULLABLE")
    result: Any = SimpleNamespace(schema=[field], path="/", extra_params={}, api_request=lambda **_: content)
    with pytest.raises(TransientError, match="cannot be read"):
        list(values(result))


def test_an_error_in_the_middle_comes_after_the_pages_before_it(cloud: GoogleCloud) -> None:
    found = []
    with pytest.raises(TaxiError), query(GoogleCloud(home=cloud.home), PAGES, reading=True) as answer:  # noqa: PT012
        for page in answer.texts or []:
            found.append(len(page[0]))
            client = cloud.bigquery()
            for job in client.list_jobs(max_results=50):
                client.delete_job_metadata(job)
    assert found == [PAGE_ROWS]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM kept.t WHERE TRUE",
        "SELECT 1; DELETE FROM kept.t WHERE TRUE",
        "BEGIN DELETE FROM kept.t WHERE TRUE; END",
        "EXECUTE IMMEDIATE 'DELETE FROM kept.t WHERE TRUE'",
        "WITH x AS (SELECT 1) DELETE FROM kept.t WHERE TRUE",
        "CREATE TEMP FUNCTION f() AS (1); SELECT f()",
        "EXPORT DATA OPTIONS (uri = 'gs://lake/x*.csv', format = 'CSV') AS SELECT 1",
        "DROP TABLE kept.t",
    ],
)
@pytest.mark.parametrize("words_are_checked", [True, False])
def test_what_does_more_than_read_is_refused(
    cloud: GoogleCloud, monkeypatch: pytest.MonkeyPatch, sql: str, words_are_checked: bool
) -> None:
    if not words_are_checked:
        monkeypatch.setattr(module, "require_one_query", lambda sql: None)
    dataset = f"{cloud.dataset}_kept"
    client = cloud.bigquery()
    client.query(
        f"CREATE SCHEMA IF NOT EXISTS {dataset}; CREATE OR REPLACE TABLE {dataset}.t AS SELECT 7 AS n"
    ).result()
    with (
        pytest.raises(UsageError, match="`taxi bq` runs one query"),
        query(cloud, sql.replace("kept", dataset), reading=True),
    ):
        pass
    assert [row.n for row in client.query(f"SELECT n FROM {dataset}.t").result()] == [7]


def test_a_string_that_the_emulator_takes_for_statements_is_refused(cloud: GoogleCloud) -> None:
    with pytest.raises(UsageError, match="SCRIPT"), query(GoogleCloud(home=cloud.home), RAW_STRING, reading=True):
        pass


def test_a_table_without_backticks(cloud: GoogleCloud) -> None:
    with (
        pytest.raises(TaxiError) as raised,
        query(cloud, "SELECT * FROM taxi-local.mage.green_taxi", reading=True),
    ):
        pass
    assert "in backticks, since its project has a dash: `taxi-local.mage.green_taxi`" in str(raised.value)
