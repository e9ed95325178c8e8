"""The commands that ask: `sql`, `verify`, `doctor`, `status`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from psycopg import sql

from taxi_assets.cli.results import UNREAD
from taxi_assets.local import postgres_files
from taxi_assets.local.service import free_port
from taxi_assets.stores.postgres.connection import OWNER, connect, connect_as
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import Taxi

pytestmark = pytest.mark.e2e

SCHEMA = "asked"
MONTH = "2019-02"


@pytest.fixture(scope="module")
def loaded(taxi: Taxi) -> Taxi:
    found = taxi.having(POSTGRES_SCHEMA=SCHEMA)
    found.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    return found


def delete_a_row(taxi: Taxi) -> None:
    table = sql.Identifier(SCHEMA, "yellow_cab_data")
    query = "DELETE FROM {0} WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM {0} LIMIT 1)"
    with connect_as(OWNER, taxi.database()) as connection:
        connection.execute(sql.SQL(query).format(table))


def test_csv_for_machines(loaded: Taxi) -> None:
    out = loaded.well("sql", "--csv", "SELECT 'a,\"b' AS text, NULL AS nothing, 1.5 AS number").out
    assert list(csv.reader(io.StringIO(out))) == [["text", "nothing", "number"], ['a,"b', "", "1.5"]]


@pytest.mark.parametrize(
    "query",
    [
        f"DELETE FROM {SCHEMA}.yellow_cab_data",
        f"COMMIT; RESET ROLE; DELETE FROM {SCHEMA}.yellow_cab_data",
        "DELETE FROM taxi_assets.load_log",
        "CREATE TABLE public.mine (n int)",
    ],
)
def test_a_reader_cannot_write(loaded: Taxi, query: str) -> None:
    said = loaded("sql", query)
    assert said.code == 2
    assert "Error: `taxi sql` runs one query" in said.err
    assert loaded.asks(f"SELECT count(*) FROM {SCHEMA}.yellow_cab_data") == [(EXCERPTS.counts("yellow", MONTH).kept,)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT set_config('role', '{role}', false), count(*) FROM {table}",
        "SELECT set_config('role', 'none', true), lo_create(0)",
        "SELECT set_config('role', 'taxi_owner', true), set_config('transaction_read_only', 'off', true)",
        "SELECT set_config('role', 'taxi_owner', true), query_to_xml('DELETE FROM {table}', true, true, '')",
        "SELECT set_config('role', 'taxi_owner', true), query_to_xml('SET TRANSACTION READ WRITE', true, true, '')",
        "WITH left_role AS MATERIALIZED (SELECT set_config('role', 'taxi_owner', true)), gone AS (DELETE FROM {table} "
        "RETURNING 1) SELECT count(*) FROM left_role, gone",
        "EXPLAIN ANALYZE DELETE FROM {table}",
        "SELECT set_config('session_authorization', 'postgres', false)",
    ],
)
def test_a_reader_that_leaves_its_role_cannot_write(loaded: Taxi, query: str) -> None:
    table = f"{SCHEMA}.yellow_cab_data"
    said = loaded("sql", query.format(table=table, role="taxi_owner"))
    assert (said.code == 0) == ("{role}" in query), said
    assert loaded.asks(f"SELECT count(*) FROM {table}") == [(EXCERPTS.counts("yellow", MONTH).kept,)]


def test_what_the_reader_may_not_do_is_no_matter_of_missing_roles(loaded: Taxi) -> None:
    said = loaded("sql", "SELECT pg_read_file('/etc/passwd')")
    assert said.code == 1
    assert "roles.sql" not in said.err
    assert "Next:     read what taxi_reader may: the tables that the platform loads." in said.err


def test_values_that_python_lacks(loaded: Taxi) -> None:
    values = ("infinity", "-infinity", "0044-03-15 BC", "12345-01-01 00:00:00", "24:00:00", "1 mon", "2021-01-01")
    types = ("date", "timestamptz", "date", "timestamp", "time", "interval", "date")
    columns = [
        f"'{value}'::{name} AS v{number}" for number, (value, name) in enumerate(zip(values, types, strict=True))
    ]
    answer = json.loads(loaded.well("sql", "--json", f"SELECT {', '.join(columns)}").out)
    assert tuple(answer[0].values()) == values
    assert loaded.well("sql", "SELECT 'infinity'::date").out == "infinity\n"


def test_a_query_that_is_none(loaded: Taxi) -> None:
    said = loaded("sql", "selec 1")
    assert said.code == 1
    assert 'syntax error at or near "selec"' in said.err


def test_a_reader_who_leaves_early_is_no_error(loaded: Taxi) -> None:
    with loaded.start("sql", "--csv", "SELECT generate_series(1, 200000)") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "generate_series\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == UNREAD


@pytest.mark.parametrize("query", ["", ";", "select 1; select 2", "set work_mem = '1MB'"])
def test_what_is_not_one_query_is_refused(loaded: Taxi, query: str) -> None:
    said = loaded("sql", query)
    assert (said.code, said.out) == (2, "")
    assert "Error: `taxi sql` runs one query" in said.err


def test_json_for_machines(loaded: Taxi) -> None:
    run = json.loads(loaded.well("run", "yellow", "--months", MONTH, "--only", "postgres", "--json").out)
    expected = EXCERPTS.counts("yellow", MONTH)
    assert run["months"] == [{"month": MONTH, "status": "loaded", "reason": "loaded already"}]
    (load,) = run["loads"]
    assert (load["read"], load["kept"], load["store"]) == (expected.rows, expected.kept, "postgres")
    assert {row["reason"]: row["rows"] for row in run["rejected"] if row["rows"]} == expected.rejected
    verified = json.loads(loaded.well("verify", "yellow", "--months", MONTH, "--json").out)
    assert verified["ok"]
    assert [(month["verdict"], month["rows"]) for month in verified["months"]] == [("agrees", expected.kept)]
    logged = json.loads(loaded.well("log", "yellow", "--months", MONTH, "--json").out)
    assert (logged[0]["month"], logged[0]["kept"]) == (MONTH, expected.kept)
    status = json.loads(loaded.well("status", "--json").out)
    assert status["services"][0]["service"] == "PostgreSQL"
    assert status["services"][0]["needed"]
    assert json.loads(loaded.well("sql", "--json", "select 1.50 as n where true").out) == [{"n": 1.5}]


def test_verify_finds_what_was_done_behind_its_back(loaded: Taxi) -> None:
    said = loaded.well("verify", "yellow", "--months", MONTH)
    assert "agree with their load log, in rows and cents." in said.err
    delete_a_row(loaded)
    said = loaded("verify", "yellow", "--months", MONTH)
    assert said.code == 1
    (row,) = (line for line in said.out.splitlines() if f"{SCHEMA}.yellow_cab_data" in line)
    kept = EXCERPTS.counts("yellow", MONTH).kept
    assert all(text in row for text in (f"{kept:,}", f"{kept - 1:,}", f"taxi run yellow --months {MONTH} --force"))
    assert loaded("verify").code == 1
    loaded.well("run", "yellow", "--months", MONTH, "--only", "postgres", "--force")
    loaded.well("verify", "yellow", "--months", MONTH)


def test_lost_rows_are_loaded_again_without_force(loaded: Taxi) -> None:
    with connect_as(OWNER, loaded.database()) as connection:
        connection.execute(f"DELETE FROM {SCHEMA}.yellow_cab_data_rejected".encode())
    said = loaded.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert "1 loaded, 0 loaded already" in said.err
    loaded.well("verify", "yellow", "--months", MONTH)


def test_months_of_older_rules_are_loaded_by_one_command(loaded: Taxi) -> None:
    outdated = ("run", "yellow", "--months", "outdated", "--only", "postgres")
    assert "No month of yellow is loaded by older rules" in loaded.well(*outdated).err
    address = loaded.database()
    with connect(replace(address, user=postgres_files.SUPERUSER)) as connection:
        connection.execute(
            "INSERT INTO taxi_assets.load_log (store, service, source_month, place, rows_read, rows_kept, "
            "rows_rejected, cents, cents_rejected, rejected, code_version, configuration) SELECT store, service, "
            "source_month, place, rows_read, rows_kept, rows_rejected, cents, cents_rejected, rejected, 'older', "
            "configuration "
            f"FROM taxi_assets.load_log WHERE place = '{SCHEMA}.yellow_cab_data' ORDER BY id DESC LIMIT 1".encode()
        )
    assert f"of yellow: {MONTH}. Next: taxi run yellow --months outdated" in loaded.well("verify", "yellow").err
    assert "1 loaded, 0 loaded already, 0 failed" in loaded.well(*outdated).err
    assert "older rules" not in loaded.well("verify", "yellow").err


def test_verify_of_a_service_that_is_none(loaded: Taxi) -> None:
    said = loaded("verify", "blue")
    assert said.code == 2
    assert "green, yellow" in said.err


def test_doctor_says_where_each_setting_came_from(loaded: Taxi) -> None:
    said = loaded.well("doctor")
    assert "yellow 2021-01 as csv" in said.out
    assert "(the embedded server)" in said.out
    (row,) = (line.split() for line in said.out.splitlines() if line.startswith("POSTGRES_SCHEMA"))
    assert row == ["POSTGRES_SCHEMA", SCHEMA, "shell"]


def test_doctor_on_a_source_that_is_down(loaded: Taxi) -> None:
    said = loaded.having(TAXI_SOURCE_URL="http://me:s3cret@127.0.0.1:9/?token=t0ken")("doctor")
    assert said.code == 1
    assert "failed" in said.out
    for text in ("Found:    Connection refused", "Where:    http://127.0.0.1:9", "Next:"):
        assert text in said.err
    assert "s3cret" not in said.out + said.err
    assert "t0ken" not in said.out + said.err


def test_a_query_to_an_emulator_that_is_down_ends(loaded: Taxi) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    down = loaded.having(STORAGE_EMULATOR_HOST=address, BIGQUERY_EMULATOR_HOST=address)
    answer = down("bq", "SELECT 1")
    assert answer.code == 1
    assert "Traceback" not in answer.err
    assert "Connection refused" in answer.err


def test_status_names_each_service(loaded: Taxi) -> None:
    lines = loaded.well("status").out.splitlines()
    (postgres,) = (line for line in lines if line.startswith("PostgreSQL"))
    assert str(loaded.home / "run") in postgres or "taxi-pg-" in postgres
    (source,) = (line for line in lines if line.startswith("sample source"))
    assert source.removeprefix("sample source").split()[0] == "no"


def test_synthetic_trips_are_marked_wherever_they_are_seen(platform: Taxi) -> None:
    made = platform.having(POSTGRES_SCHEMA="made up", TAXI_SAMPLE_ROWS="2000")
    said = made.well("run", "green", "--months", "2021-05", "--only", "postgres")
    assert "2021-05 (synthetic)" in said.out
    entry = "SELECT configuration->'made_up' FROM taxi_assets.load_log WHERE place = 'made up.green_taxi'"
    assert made.asks(entry) == [(True,)]
    run_id = said.err.partition("\nRun ")[2].partition(":")[0]
    with connect(made.database()) as records:
        tags = "SELECT value FROM dagster.run_tags WHERE run_id = %s AND key = 'taxi/made_up'"
        assert records.execute(tags, [run_id]).fetchall() == [("true",)]
        events = (
            "SELECT event FROM dagster.event_logs WHERE run_id = %s AND dagster_event_type = 'ASSET_MATERIALIZATION'"
        )
        shown = [event for (event,) in records.execute(events, [run_id]).fetchall()]
    assert len(shown) == 4
    assert all("synthetic" in event for event in shown)
    assert "(synthetic)" in made("doctor").out
