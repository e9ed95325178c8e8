"""What `taxi bq` takes for one query that reads, by its words and by BigQuery's dry run."""

from __future__ import annotations

import pytest

from taxi_assets.errors import UsageError
from taxi_assets.stores.bigquery.statement import require_one_query, require_reading, unquoted_table


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "  -- why\n/* ; */ # x\nSELECT ';' AS a;",
        "select '''; ''' , \"\"\";\"\"\", r'\\'; delete from t; --', `a;b` from t ; ;",
        "with a as (select 1) select * from a",
        "(select 1) union all select 2",
        "from t |> where x = 1",
    ],
)
def test_one_query_is_one(sql: str) -> None:
    require_one_query(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ; ",
        "-- select 1",
        "select 1; select 2",
        "select '\\'; select 1'; delete from t where true",
        "begin delete from t where true; end",
        "begin transaction",
        "declare x int64; select x",
        "create temp function f() as (1); select f()",
        "export data options (uri = 'gs://b/*') as select 1",
        "call p()",
        "execute immediate 'delete from t where true'",
        "delete from t where true",
        "merge t using u on true when matched then delete",
        "truncate table t",
        "create table t as select 1",
        "assert true",
    ],
)
def test_everything_else_is_refused(sql: str) -> None:
    with pytest.raises(UsageError, match="`taxi bq` runs one query"):
        require_one_query(sql)


@pytest.mark.parametrize("kind", ["SCRIPT", "DELETE", "EXPORT_DATA", None])
def test_a_statement_of_another_type_is_refused(kind: str | None) -> None:
    require_reading("SELECT", "select 1")
    with pytest.raises(UsageError, match=rf"this is {kind or 'another statement'} to BigQuery"):
        require_reading(kind, "with x as (select 1) delete from t where true")


def test_a_table_that_lacks_backticks() -> None:
    assert unquoted_table("select * from taxi-local.mage.green_taxi limit 1") == "taxi-local.mage.green_taxi"
    assert unquoted_table("select 1-2 from mage.green_taxi join `taxi-local.mage.x`") is None
