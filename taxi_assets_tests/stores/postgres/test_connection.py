"""A PostgreSQL of somebody else's: over TCP, with a password, with and without the right to make roles."""

from __future__ import annotations

import logging
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.local import postgres_files
from taxi_assets.local.service import free_port
from taxi_assets.settings import PROJECT_ROOT, read_settings
from taxi_assets.stores.postgres.connection import (
    LEDGER,
    LOADER,
    OWNER,
    ROLES,
    ROLES_FILE,
    PostgresAddress,
    clear_errors,
    connect,
    connect_as,
    postgres_address,
)
from taxi_assets.stores.postgres.load import load_month
from taxi_assets_tests.external_postgres import PASSWORD
from taxi_assets_tests.stores.months import cleaned, trips_table


def admin(external: PostgresAddress) -> PostgresAddress:
    return replace(external, user="admin")


def database(external: PostgresAddress, name: str, rights: str = "") -> PostgresAddress:
    """An empty database with a user of the same name that owns it."""
    with connect(admin(external)) as connection:
        user = sql.Identifier(name)
        make = sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}")
        connection.execute(make.format(user, sql.SQL(rights), sql.Literal(PASSWORD)))
        connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(user))
    return replace(external, dbname=name, user=name)


def drop_roles(external: PostgresAddress, *databases: str) -> None:
    for name in databases:
        with connect(admin(external)) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    with connect(admin(external)) as connection:
        for role in (*ROLES, LEDGER):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def who_owns(address: PostgresAddress, schema: str) -> str:
    with connect(address) as connection:
        row = connection.execute(
            "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %s", [schema]
        ).fetchone()
    assert row
    return str(row[0])


def test_a_user_that_may_make_roles_makes_them(external: PostgresAddress, schema: str, tmp_path: Path) -> None:
    address = database(external, "maker", "CREATEROLE")
    try:
        assert load_month(address, cleaned(tmp_path), trips_table(schema)).rows == 3
        assert load_month(address, cleaned(tmp_path, kept=4), trips_table(schema)).replaced_rows == 3
        assert who_owns(address, schema) == OWNER
        with connect_as(LOADER, address) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (LOADER,)
    finally:
        drop_roles(external, "maker")


def test_a_user_that_may_not_loads_as_itself_with_a_warning(
    external: PostgresAddress, schema: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = database(external, "alone")
    try:
        with caplog.at_level(logging.WARNING):
            assert load_month(address, cleaned(tmp_path), trips_table(schema)).rows == 3
        assert ROLES_FILE in caplog.text
        assert PASSWORD not in caplog.text
        assert who_owns(address, schema) == "alone"
    finally:
        drop_roles(external, "alone")


def test_the_administrators_file_makes_the_roles_twice_over(
    external: PostgresAddress, schema: str, tmp_path: Path
) -> None:
    address = database(external, "given")
    psql = shutil.which("psql") or str(postgres_files.programs() / "psql")
    command = [psql, "-X", "-q", "-h", address.host, "-p", str(address.port), "-U", "admin", "-d", "given"]
    command += ["--set", "taxi_user=given", "--file", str(PROJECT_ROOT / ROLES_FILE)]
    try:
        for _ in range(2):
            subprocess.run(command, env={"PGPASSWORD": PASSWORD}, check=True, capture_output=True)
        assert load_month(address, cleaned(tmp_path), trips_table(schema)).rows == 3
        assert who_owns(address, schema) == OWNER
    finally:
        drop_roles(external, "given")


@pytest.mark.parametrize(
    ("change", "said", "setting"),
    [
        ({"password": SecretStr("wr0ng-pass")}, "refuses the user or the password", "POSTGRES_PASSWORD (from: shell)"),
        ({"password": None}, "refuses the user or the password", "POSTGRES_PASSWORD (from: shell)"),
        ({"user": "nobody"}, "refuses the user or the password", "POSTGRES_USER (from: default)"),
        ({"dbname": "none"}, "has no such database", "POSTGRES_DBNAME (from: default)"),
    ],
)
def test_what_the_server_refuses_names_the_setting_and_no_password(
    external: PostgresAddress, change: dict[str, object], said: str, setting: str
) -> None:
    shell = {"POSTGRES_HOST": external.host, "POSTGRES_PORT": str(external.port), "POSTGRES_PASSWORD": PASSWORD}
    address = replace(postgres_address(read_settings(shell)), **change)  # type: ignore[arg-type]
    with pytest.raises(TaxiError, match=said) as raised:
        connect(address)
    text = str(raised.value)
    assert not raised.value.transient
    assert setting in text
    assert f"port {external.port}" in text
    assert PASSWORD not in text
    assert "wr0ng-pass" not in text


def test_a_server_that_is_down_may_pass(tmp_path: Path) -> None:
    shell = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(free_port()), "POSTGRES_PASSWORD": PASSWORD}
    address = postgres_address(read_settings(shell))
    assert PASSWORD not in repr(address) + str(address)
    with pytest.raises(TransientError, match="cannot be reached") as raised:
        load_month(address, cleaned(tmp_path), trips_table("anything"))
    assert "POSTGRES_HOST (from: shell)" in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_a_server_that_dies_during_the_copy_may_pass(external: PostgresAddress, schema: str, tmp_path: Path) -> None:
    address = database(external, "dying", "CREATEROLE")
    month = cleaned(tmp_path)

    def end_it(_: int) -> None:
        with connect(admin(external)) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'taxi load%'"
            )

    try:
        with pytest.raises(TransientError, match="Loading yellow 2021-01") as raised:
            load_month(address, month, trips_table(schema), progress=end_it)
        assert "Traceback" not in str(raised.value)
        assert load_month(address, month, trips_table(schema)).rows == 3
    finally:
        drop_roles(external, "dying")


@pytest.mark.parametrize(
    "message", ["SSL error: unexpected eof while reading", "could not receive data from server: Connection timed out"]
)
def test_an_error_that_no_server_sent_may_pass(message: str) -> None:
    address = PostgresAddress("host", 5432, "taxi", "taxi")
    with pytest.raises(TransientError, match="Loading failed"), clear_errors(address, "Loading"):
        raise psycopg.OperationalError(message)
