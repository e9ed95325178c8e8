"""Tables made from the registry, and what each role may do with them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.postgres import schema as schema_module
from taxi_assets.stores.postgres.connection import (
    LOADER,
    OWNER,
    READER,
    PostgresAddress,
    connect,
    connect_as,
    roles_in_use,
)
from taxi_assets.stores.postgres.load import load_month
from taxi_assets.stores.postgres.schema import prepare_table, tables
from taxi_assets.stores.table import TableRef
from taxi_assets_tests.registry import GREEN, YELLOW
from taxi_assets_tests.stores.months import FEBRUARY, cleaned, trips_table
from taxi_assets_tests.stores.postgres.overlapping import run_overlapping

TABLE = "yellow_cab_data"


def execute(address: PostgresAddress, role: str, statement: str, *names: str) -> psycopg.Cursor[tuple[object, ...]]:
    with connect_as(role, address) as connection:
        return connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def test_columns_types_and_comments_are_the_registrys(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    load_month(postgres, cleaned(tmp_path), trips_table(schema))
    query = """
        SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum
    """
    with connect(postgres) as connection:
        for name, columns in ((TABLE, YELLOW.columns), (f"{TABLE}_rejected", YELLOW.rejected_columns)):
            wanted = [(column.name, column.type.postgres, column.comment) for column in columns]
            assert connection.execute(query, [f'"{schema}".{name}']).fetchall() == wanted
        found = connection.execute(
            "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = %s",
            [schema, f"{TABLE}_2021_01"],
        ).fetchall()
    assert len(found) == 1
    assert "brin (tpep_pickup_datetime)" in str(found[0])


def test_a_column_that_the_registry_gained_is_added(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    load_month(postgres, cleaned(tmp_path), trips_table(schema))
    execute(postgres, OWNER, "ALTER TABLE {}.{} DROP COLUMN airport_fee", schema, TABLE)
    load_month(postgres, cleaned(tmp_path, month=FEBRUARY), trips_table(schema))
    load_month(postgres, cleaned(tmp_path, kept=4), trips_table(schema))
    with connect_as(READER, postgres) as connection:
        query = sql.SQL("SELECT count(*), count(airport_fee) FROM {}").format(sql.Identifier(schema, TABLE))
        assert connection.execute(query).fetchone() == (7, 0)


@pytest.mark.parametrize(
    ("columns", "found"),
    [("(a int)", "not partitioned"), ("(vendor_id text, source_month date) PARTITION BY LIST (source_month)", "text")],
)
def test_a_table_of_somebody_else_is_refused_and_kept(
    postgres: PostgresAddress, schema: str, tmp_path: Path, columns: str, found: str
) -> None:
    execute(postgres, OWNER, "CREATE SCHEMA {}", schema)
    execute(postgres, OWNER, f"CREATE TABLE {{}}.{{}} {columns}", schema, TABLE)
    with pytest.raises(TaxiError, match="was not made by this platform") as raised:
        load_month(postgres, cleaned(tmp_path), trips_table(schema))
    assert found in str(raised.value)
    assert f"{schema}.{TABLE}" in str(raised.value)


def types(address: PostgresAddress, schema: str, column: str) -> set[str]:
    """The types of a column in the table and its partitions."""
    query = """
        SELECT format_type(atttypid, atttypmod) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = to_regnamespace(%s) AND relname NOT LIKE '%%rejected%%' AND attname = %s AND relkind <> 'i'
    """
    with connect_as(READER, address) as connection:
        return {name for (name,) in connection.execute(query, [f'"{schema}"', column])}


def test_a_type_that_the_registry_widened_is_changed(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    load_month(postgres, cleaned(tmp_path), trips_table(schema))
    for change in ("fare_amount TYPE real", "store_and_fwd_flag TYPE varchar(3)", "payment_type TYPE smallint"):
        execute(postgres, OWNER, f"ALTER TABLE {{}}.{{}} ALTER COLUMN {change}", schema, TABLE)
    load_month(postgres, cleaned(tmp_path, month=FEBRUARY), trips_table(schema))
    assert types(postgres, schema, "fare_amount") == {"double precision"}
    assert types(postgres, schema, "store_and_fwd_flag") == {"text"}
    fares = execute(postgres, READER, "SELECT fare_amount, store_and_fwd_flag FROM {}.{}", schema, TABLE).fetchall()
    assert fares == [(8.0, "N")] * 6


def test_a_type_that_loses_values_is_refused_whole(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    load_month(postgres, cleaned(tmp_path), trips_table(schema))
    execute(postgres, OWNER, "ALTER TABLE {}.{} ALTER COLUMN fare_amount TYPE real", schema, TABLE)
    execute(postgres, OWNER, "ALTER TABLE {}.{} ALTER COLUMN vendor_id TYPE bigint", schema, TABLE)
    with pytest.raises(TaxiError, match="The column vendor_id") as raised:
        load_month(postgres, cleaned(tmp_path, kept=4), trips_table(schema))
    text = str(raised.value)
    assert "the type smallint" in text
    assert "of type bigint" in text
    assert f'ALTER TABLE "{schema}"."{TABLE}" ALTER COLUMN "vendor_id" TYPE smallint' in text
    assert types(postgres, schema, "fare_amount") == {"real"}
    assert execute(postgres, READER, "SELECT FROM {}.{}", schema, TABLE).rowcount == 3


def test_a_new_column_waits_for_a_long_reader_and_holds_up_no_other(
    postgres: PostgresAddress, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_month(postgres, cleaned(tmp_path), trips_table(schema))
    execute(postgres, OWNER, "ALTER TABLE {}.{} DROP COLUMN airport_fee", schema, TABLE)
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, TABLE))
    hasty = connect(postgres, options="-c lock_timeout=1500ms")
    with ThreadPoolExecutor(1) as pool, connect(postgres, "a long query") as slow, hasty:
        with slow.transaction():
            slow.execute(query)
            monkeypatch.setattr(schema_module, "DDL_SECONDS", 1.0)
            with pytest.raises(TransientError, match="it is in use") as raised:
                load_month(postgres, cleaned(tmp_path, kept=4), trips_table(schema))
            assert f"process {slow.info.backend_pid} (a long query)" in str(raised.value)
            monkeypatch.setattr(schema_module, "DDL_SECONDS", 60.0)
            load = pool.submit(load_month, postgres, cleaned(tmp_path, kept=5), trips_table(schema))
            until = time.monotonic() + 3
            while time.monotonic() < until:
                assert hasty.execute(query).fetchone() == (3,)
            assert not load.done()
        assert load.result(60).rows == 5


def test_a_partition_that_somebody_detached_is_refused(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    month = cleaned(tmp_path)
    load_month(postgres, month, trips_table(schema))
    execute(postgres, OWNER, "ALTER TABLE {0}.{1} DETACH PARTITION {0}.{2}", schema, TABLE, f"{TABLE}_2021_01")
    with pytest.raises(TaxiError, match="was not made by this platform") as raised:
        load_month(postgres, month, trips_table(schema))
    assert f"a partition of {schema}.{TABLE}" in str(raised.value)


def test_a_name_too_long_for_its_partitions_is_refused() -> None:
    with pytest.raises(TaxiError, match="too long"):
        tables(YELLOW, TableRef(namespace="schema", name="t" * 47))


LOG = "taxi_assets.load_log"


@pytest.mark.parametrize("role", [OWNER, LOADER, "taxi"])
@pytest.mark.parametrize("statement", [f"UPDATE {LOG} SET cents = 0", f"DELETE FROM {LOG}", f"TRUNCATE {LOG}"])
def test_nobody_changes_the_log(
    postgres: PostgresAddress, schema: str, tmp_path: Path, role: str, statement: str
) -> None:
    load_month(postgres, cleaned(tmp_path), trips_table(schema))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(postgres, role, statement)
    assert execute(postgres, READER, f"SELECT FROM {LOG} LIMIT 1").rowcount == 1


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (READER, "DELETE FROM {}.{}"),
        (READER, "INSERT INTO {}.{} (source_month) VALUES ('2021-01-01')"),
        (READER, "CREATE TABLE {}.mine (a int)"),
        (LOADER, "DROP TABLE {}.{}"),
        (LOADER, "UPDATE {}.{} SET vendor_id = 1"),
        (LOADER, "CREATE TABLE {}.mine (a int)"),
    ],
)
def test_a_role_does_no_more_than_its_work(
    postgres: PostgresAddress, schema: str, tmp_path: Path, role: str, statement: str
) -> None:
    load_month(postgres, cleaned(tmp_path), trips_table(schema))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(postgres, role, statement, schema, TABLE)
    assert execute(postgres, READER, "SELECT FROM {}.{}", schema, TABLE).rowcount == 3


def test_the_first_loads_of_two_services_create_one_schema(empty_database: PostgresAddress) -> None:
    one, other = (tables(service, TableRef(namespace="shared", name=service.name))[0] for service in (GREEN, YELLOW))
    with connect(empty_database) as connection:
        roles = roles_in_use(connection, empty_database)
        run_overlapping(
            empty_database,
            lambda first: prepare_table(first, one, roles),
            lambda second: prepare_table(second, other, roles),
        )
        found = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'p' ORDER BY 1").fetchall()
    assert found == [("green",), ("yellow",)]
