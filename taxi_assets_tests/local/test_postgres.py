"""The embedded PostgreSQL: one server, started once, back after every kind of death, and nobody else's."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path

import psutil
import psycopg
import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.local import postgres as embedded
from taxi_assets.local import postgres_files
from taxi_assets.stores.postgres.connection import OWNER, PostgresAddress, connect, connect_as
from taxi_assets_tests.servers import starts_server

pytestmark = pytest.mark.servers

ENSURE = """
import sys
from pathlib import Path
from taxi_assets.local import postgres
print(postgres.ensure(Path(sys.argv[1])).pid)
"""


@pytest.fixture
@starts_server
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A home with a server of its own, stopped at the end."""
    home = tmp_path / "outer" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    yield home
    embedded.stop(home)


def ask(server: embedded.EmbeddedPostgres, query: str) -> object:
    address = PostgresAddress(str(server.folder), server.port, server.database, server.user)
    with connect(address) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def kill(server: embedded.EmbeddedPostgres) -> None:
    process = psutil.Process(server.pid)
    process.kill()
    with suppress(psutil.NoSuchProcess):
        process.wait(10)


def test_two_processes_start_one_server_and_parents_stay_closed(own_home: Path) -> None:
    commands = [[sys.executable, "-c", ENSURE, str(own_home)]] * 2
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    pids = {int(process.communicate(timeout=60)[0]) for process in processes}
    found = embedded.running(own_home)
    assert found is not None
    assert pids == {found.pid}
    assert stat.S_IMODE(own_home.parent.stat().st_mode) == 0o700
    assert own_home.parent.stat().st_uid == os.geteuid()
    for folder in (found.folder, own_home / "run", own_home / "postgres", own_home / "log"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == os.geteuid()


def test_it_listens_on_the_socket_alone_and_its_login_is_no_superuser(postgres: PostgresAddress, home: Path) -> None:
    with connect(postgres) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        found = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert found == (False,)


@pytest.mark.root
def test_another_user_of_the_machine_cannot_connect(postgres: PostgresAddress) -> None:
    test = "import os, socket, sys; os.setuid(12345); socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    command = [sys.executable, "-c", test, f"{postgres.host}/.s.PGSQL.{postgres.port}"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "PermissionError" in refused.stderr


def test_a_killed_server_comes_back_with_its_data(own_home: Path) -> None:
    first = embedded.ensure(own_home)
    ask(first, "CREATE TABLE kept (seven int)")
    ask(first, "INSERT INTO kept VALUES (7) RETURNING seven")
    kill(first)
    second = embedded.ensure(own_home)
    assert second.pid != first.pid
    assert ask(second, "SELECT seven FROM kept") == 7


def test_a_stale_pid_file_that_names_another_program_is_no_obstacle(own_home: Path) -> None:
    embedded.ensure(own_home)
    pid_file = postgres_files.data_folder(own_home) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    assert embedded.stop(own_home)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert ask(embedded.ensure(own_home), "SELECT 1") == 1
    assert psutil.pid_exists(os.getpid())


def test_a_server_that_the_state_does_not_tell_of_is_found(own_home: Path) -> None:
    first = embedded.ensure(own_home)
    (own_home / "run" / "postgres.json").unlink()
    assert embedded.running(own_home) == first
    assert embedded.ensure(own_home).pid == first.pid
    (own_home / "run" / "postgres.json").unlink()
    assert embedded.stop(own_home)
    assert embedded.running(own_home) is None


def test_a_data_folder_that_was_begun_is_made_anew(own_home: Path) -> None:
    unfinished = own_home / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("half")
    assert ask(embedded.ensure(own_home), "SELECT 1") == 1
    assert not unfinished.exists()


def test_a_path_too_long_for_a_socket_gets_a_private_folder_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    try:
        server = embedded.ensure(home)
        assert server.folder.parent != home / "run"
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert ask(server, "SELECT 1") == 1
        kill(server)
        assert embedded.ensure(home).folder == server.folder
    finally:
        embedded.stop(home)
    assert not server.folder.exists()


def test_another_user_and_database_are_made_when_asked_for(own_home: Path) -> None:
    embedded.ensure(own_home)
    server = embedded.ensure(own_home, "some one", "other-db")
    assert ask(server, "SELECT current_user || current_database()") == "some oneother-db"


def test_user_and_database_change_back_and_forth_on_a_used_server(own_home: Path) -> None:
    both = ("taxi", "later")
    for user, database in [*product(both, both), *product(both, both), ("latest", "later"), ("taxi", "later")]:
        server = embedded.ensure(own_home, user, database)
        address = PostgresAddress(str(server.folder), server.port, database, user)
        with connect_as(OWNER, address) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS trips")
            connection.execute("CREATE TABLE IF NOT EXISTS trips.loaded (by text)")
            connection.execute("INSERT INTO trips.loaded VALUES (session_user)")
        with connect(address) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS dagster")
            connection.execute("CREATE TABLE IF NOT EXISTS dagster.runs (id bigserial, by text DEFAULT current_user)")
            connection.execute("INSERT INTO dagster.runs DEFAULT VALUES")
    assert ask(server, "SELECT array_agg(by ORDER BY id) FROM dagster.runs") == ["taxi", "later"] * 2 + [
        "latest",
        "taxi",
    ]
    embedded.stop(own_home)
    assert ask(embedded.ensure(own_home), "SELECT count(*) FROM dagster.runs") == 4


def test_many_askers_at_once_get_the_same_server(own_home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: embedded.ensure(own_home), range(4)))
    assert len({server.pid for server in found}) == 1


def test_stop_ends_it_with_its_connections_and_says_whether_it_ran(own_home: Path) -> None:
    server = embedded.ensure(own_home)
    address = PostgresAddress(str(server.folder), server.port, server.database, server.user)
    with connect(address) as connection:
        assert embedded.stop(own_home)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert not embedded.stop(own_home)
    assert embedded.running(own_home) is None


def test_a_server_that_cannot_start_says_what_its_log_says(own_home: Path) -> None:
    embedded.ensure(own_home)
    embedded.stop(own_home)
    version = postgres_files.data_folder(own_home) / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(TaxiError, match="did not start") as raised:
        embedded.ensure(own_home)
    assert "incompatible" in str(raised.value)
    assert "postgres.log" in str(raised.value)


def test_a_missing_setpriv_is_named_to_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TaxiError, match="root") as raised:
        postgres_files.as_server(["postgres"])
    assert "util-linux" in str(raised.value)
