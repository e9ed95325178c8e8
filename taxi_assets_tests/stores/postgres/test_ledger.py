"""The ledger: made, adopted, migrated, refused to older code, and safe from its users' mistakes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.local import postgres_files
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets.stores.postgres import ledger, load_log
from taxi_assets.stores.postgres.connection import (
    LEDGER,
    OWNER,
    READER,
    ROLES_FILE,
    PostgresAddress,
    connect,
    connect_as,
)
from taxi_assets.stores.postgres.ledger import ledger_state
from taxi_assets.stores.postgres.load import load_month
from taxi_assets.stores.postgres.load_log import latest_loads
from taxi_assets.stores.postgres.migrations.versions.r0001_load_log import STATEMENTS
from taxi_assets_tests.external_postgres import PASSWORD
from taxi_assets_tests.stores.months import cleaned, trips_table
from taxi_assets_tests.stores.postgres.test_connection import admin, database, drop_roles

SCHEMA = "trips"
TABLE = f"{SCHEMA}.yellow_cab_data"
FOURTH = """
from alembic import op
revision, down_revision = "0004", "0003"
def upgrade():
    op.execute("ALTER TABLE taxi_assets.load_log ADD COLUMN IF NOT EXISTS weather text")
"""


def load(address: PostgresAddress, folder: Path, kept: int = 3) -> int:
    return load_month(address, cleaned(folder, kept=kept), trips_table(SCHEMA)).log_id


def execute(address: PostgresAddress, role: str, *statements: str) -> None:
    with connect_as(role, address) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def owners(address: PostgresAddress) -> set[str]:
    """Who owns the ledger's schema and what is in it."""
    query = """
        SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = to_regnamespace('taxi_assets')
        UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = to_regnamespace('taxi_assets')
        UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'taxi_assets'
    """
    with connect(address) as connection:
        return {owner for (owner,) in connection.execute(query)}


def may_become(address: PostgresAddress, role: str) -> bool:
    with connect(address) as connection:
        try:
            connection.execute(f"SET ROLE {role}".encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


def old_log(address: PostgresAddress) -> None:
    """A log as code without migrations made it: its owner is that of the tables."""
    grants = "GRANT USAGE ON SCHEMA taxi_assets TO taxi_loader, taxi_reader"
    on_log = "GRANT SELECT ON taxi_assets.load_log TO taxi_loader, taxi_reader"
    insert = "GRANT INSERT ON taxi_assets.load_log TO taxi_loader"
    execute(address, OWNER, "CREATE SCHEMA taxi_assets", STATEMENTS, grants, on_log, insert)


def old_entry(address: PostgresAddress) -> None:
    entry = cleaned_entry = "'{}'::jsonb"
    execute(
        address,
        "taxi_loader",
        "INSERT INTO taxi_assets.load_log (store, service, source_month, place, rows_read, rows_kept, rows_rejected, "
        f"cents, cents_rejected, rejected, configuration) VALUES ('postgres', 'yellow', '2020-01-01', 'old.trips', "
        f"2, 1, 1, 5, 5, {entry}, {cleaned_entry})",
    )


def test_this_code_knows_the_newest_revision() -> None:
    script = ledger._script(None)
    assert f"VALUES ('{ledger.HEAD}')" in script or f"SET version_num='{ledger.HEAD}'" in script
    assert sorted(path.name[1:5] for path in ledger.VERSIONS[0].glob("r*.py"))[-1] == ledger.HEAD


def test_a_log_of_code_without_migrations_is_adopted(empty_database: PostgresAddress, tmp_path: Path) -> None:
    old_log(empty_database)
    old_entry(empty_database)
    load(empty_database, tmp_path)
    assert owners(empty_database) == {LEDGER}
    with connect_as(READER, empty_database) as connection:
        assert {entry.place for entry in latest_loads(connection)} == {"old.trips", TABLE}
        state = ledger_state(connection)
    assert state
    assert (state.version, len(state.identity)) == (ledger.HEAD, 36)


def test_loads_of_before_pipelines_had_names_are_those_of_their_service(
    empty_database: PostgresAddress, tmp_path: Path
) -> None:
    old_log(empty_database)
    old_entry(empty_database)

    def loads(pipeline: str) -> list[tuple[str, str]]:
        with connect_as(READER, empty_database) as connection:
            return [(entry.place, entry.pipeline) for entry in latest_loads(connection, pipeline=pipeline)]

    before = loads("yellow")
    month = cleaned(tmp_path)
    load_month(empty_database, replace(month, pipeline="night_cabs"), trips_table("night"))
    assert before == loads("yellow") == [("old.trips", "yellow")]
    assert loads("night_cabs") == [("night.yellow_cab_data", "night_cabs")]


def test_a_place_is_of_the_pipeline_that_loaded_it_last(empty_database: PostgresAddress, tmp_path: Path) -> None:
    month = cleaned(tmp_path)
    load_month(empty_database, month, trips_table(SCHEMA))
    load_month(empty_database, replace(month, pipeline="renamed"), trips_table(SCHEMA))
    with connect_as(READER, empty_database) as connection:
        assert latest_loads(connection, pipeline="yellow") == []
        assert [entry.place for entry in latest_loads(connection, pipeline="renamed")] == [TABLE]


@pytest.mark.parametrize(
    "loss",
    [
        ["DROP TABLE taxi_assets.load_log"],
        ["DROP TABLE taxi_assets.load_log", "DROP TABLE taxi_assets.ledger"],
        ["DROP FUNCTION taxi_assets.refuse_change CASCADE", "DROP TABLE taxi_assets.alembic_version"],
        ["DROP SCHEMA taxi_assets CASCADE"],
    ],
)
def test_a_log_that_is_lost_in_part_is_made_again(
    empty_database: PostgresAddress, tmp_path: Path, loss: list[str]
) -> None:
    load(empty_database, tmp_path)
    superuser = replace(empty_database, user=postgres_files.SUPERUSER)
    with connect(superuser) as connection:
        for statement in loss:
            connection.execute(statement.encode())
    load(empty_database, tmp_path / "again")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connect(superuser) as connection:
        connection.execute("DELETE FROM taxi_assets.load_log")


@pytest.fixture
def newer_code(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Code with one more revision, whose log has one more field."""
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "r0004_weather.py").write_text(FOURTH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "HEAD", "0004")
        patch.setattr(ledger, "VERSIONS", [*ledger.VERSIONS, folder])
        patch.setattr(ledger, "revision", lambda: "9.9.9 newer")
        patch.setattr(load_log, "_COLUMNS", f"{load_log._COLUMNS}, weather")
        yield patch


def test_newer_code_migrates_and_older_code_reads_and_refuses_to_write(
    empty_database: PostgresAddress, tmp_path: Path, newer_code: pytest.MonkeyPatch
) -> None:
    with newer_code.context() as older:
        older.setattr(ledger, "HEAD", "0003")
        older.setattr(ledger, "VERSIONS", ledger.VERSIONS[:1])
        older.setattr(load_log, "_COLUMNS", load_log._COLUMNS.removesuffix(", weather"))
        load(empty_database, tmp_path)
    new = load(empty_database, tmp_path, kept=4)
    newer_code.undo()
    with pytest.raises(TaxiError, match="newer version of taxi_assets") as raised:
        load(empty_database, tmp_path, kept=5)
    assert "version 0004, made by taxi_assets 9.9.9 newer" in str(raised.value)
    assert list(raised.value.details) == ["Expected", "Found", "Where", "Intact", "Next"]
    with connect_as(READER, empty_database) as connection:
        assert [entry.id for entry in latest_loads(connection)] == [new]
        assert connection.execute(f"SELECT count(*) FROM {TABLE}".encode()).fetchone() == (4,)


MISTAKES = [
    "ALTER TABLE taxi_assets.load_log DISABLE TRIGGER only_added",
    "DROP TRIGGER only_added ON taxi_assets.load_log",
    "TRUNCATE taxi_assets.load_log",
    "DROP TABLE taxi_assets.load_log",
    "DROP SCHEMA taxi_assets CASCADE",
    "UPDATE taxi_assets.ledger SET identity = gen_random_uuid()",
]


def refused(address: PostgresAddress, role: str | None, statements: list[str]) -> list[str]:
    """Those of the statements that this user, or role, may not run."""
    done = []
    with connect_as(role, address) if role else connect(address) as connection:
        for statement in statements:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                done.append(statement)
    return done


def test_no_role_of_the_user_owns_the_ledger(empty_database: PostgresAddress, tmp_path: Path) -> None:
    load(empty_database, tmp_path)
    for role in (None, OWNER, "taxi_loader", READER):
        assert refused(empty_database, role, MISTAKES) == MISTAKES
    assert not may_become(empty_database, LEDGER)


def test_a_session_of_the_user_loses_no_trips_by_mistake(empty_database: PostgresAddress, tmp_path: Path) -> None:
    load(empty_database, tmp_path)
    mistakes = [f"DROP TABLE {TABLE}", f"TRUNCATE {TABLE}", f"DELETE FROM {TABLE}", f"DROP SCHEMA {SCHEMA} CASCADE"]
    assert refused(empty_database, None, mistakes) == mistakes
    with connect(empty_database) as connection:
        assert connection.execute(f"SELECT count(*) FROM {TABLE}".encode()).fetchone() == (3,)


def test_so_it_is_on_every_version_and_for_homes_of_older_code(external: PostgresAddress, tmp_path: Path) -> None:
    address = database(external, "keeper", "CREATEROLE")
    try:
        with connect(address) as connection:
            for role in (OWNER, "taxi_loader", READER):
                connection.execute(f"CREATE ROLE {role} NOLOGIN".encode())
                connection.execute(f"GRANT {role} TO CURRENT_USER".encode())
            connection.execute(f"GRANT CREATE ON DATABASE keeper TO {OWNER}".encode())
            connection.execute(f"SET ROLE {OWNER}".encode())
            connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        old_log(address)
        load(address, tmp_path)
        assert owners(address) == {LEDGER}
        mistakes = [*MISTAKES, f"DROP TABLE {TABLE}", f"TRUNCATE {TABLE}", f"DELETE FROM {TABLE}"]
        assert refused(address, None, mistakes) == mistakes
        assert refused(address, OWNER, MISTAKES) == MISTAKES
        assert not may_become(address, LEDGER)
        with connect(address) as connection:
            assert connection.execute(f"SELECT count(*) FROM {TABLE}".encode()).fetchone() == (3,)
        load(address, tmp_path, kept=4)
    finally:
        drop_roles(external, "keeper")


def test_an_administrator_hands_the_ledger_over(external: PostgresAddress, tmp_path: Path) -> None:
    address = database(external, "served")
    psql = shutil.which("psql") or str(postgres_files.programs() / "psql")
    command = [psql, "-X", "-q", "-h", address.host, "-p", str(address.port), "-U", "admin", "-d", "served"]
    command += ["--set", "taxi_user=served", "--file", str(PROJECT_ROOT / ROLES_FILE)]

    def roles_file() -> None:
        subprocess.run(command, env={"PGPASSWORD": PASSWORD}, check=True, capture_output=True)

    try:
        roles_file()
        load(address, tmp_path)
        roles_file()
        assert owners(address) == {LEDGER}
        assert refused(address, OWNER, MISTAKES) == MISTAKES
        mistakes = [*MISTAKES, f"DROP TABLE {TABLE}", f"TRUNCATE {TABLE}", f"DELETE FROM {TABLE}"]
        assert refused(address, None, mistakes) == mistakes
        load(address, tmp_path, kept=4)
        with connect(admin(replace(external, dbname="served"))) as connection:
            connection.execute("UPDATE taxi_assets.alembic_version SET version_num = '0001'")
        with pytest.raises(TaxiError, match="this user may not") as raised:
            load(address, tmp_path, kept=5)
        assert f"GRANT {LEDGER} TO served" in str(raised.value)
    finally:
        drop_roles(external, "served")
