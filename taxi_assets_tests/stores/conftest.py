"""Servers and schemas for the tests of the stores."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from taxi_assets.local import postgres_files
from taxi_assets.local.service import free_port
from taxi_assets.stores.postgres_address import PostgresAddress

PASSWORD = "s3cret-of-the-test"
DEBIAN = Path("/usr/lib/postgresql/15/bin")

_numbers = count()


@pytest.fixture
def schema() -> str:
    """The name of a schema that no other test uses."""
    return f"trips {next(_numbers)}"


@pytest.fixture(scope="session", params=["the wheel's", "15"])
def external(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresAddress]:
    """A server of somebody else's: on TCP, with a password, its superuser unknown to the platform's settings."""
    if request.param == "15" and not DEBIAN.is_dir():
        pytest.skip("PostgreSQL 15 is not installed on this machine")
    programs = DEBIAN if request.param == "15" else postgres_files.programs()
    folder = tmp_path_factory.mktemp("external")
    data = folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, 65534, 65534)
    (folder / "password").write_text(PASSWORD)
    port = free_port()
    make = [str(programs / "initdb"), "-D", str(data), "-U", "admin", "--auth=scram-sha-256"]
    make += [f"--pwfile={folder / 'password'}", "--locale=C", "--encoding=UTF8", "--no-sync"]
    subprocess.run(postgres_files.as_server(make), check=True, capture_output=True)
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    command += ["-c", "unix_socket_directories=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(postgres_files.as_server(command), stdout=log, stderr=log)
    try:
        address = PostgresAddress("127.0.0.1", port, "postgres", "admin", SecretStr(PASSWORD))
        _wait(address)
        with psycopg.connect(**address.parameters(), autocommit=True) as admin:
            admin.execute(f"CREATE ROLE taxi LOGIN PASSWORD '{PASSWORD}'")
            admin.execute("CREATE DATABASE taxi OWNER taxi")
        yield replace(address, dbname="taxi", user="taxi")
    finally:
        server.terminate()
        server.wait(30)


def _wait(address: PostgresAddress) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(**address.parameters()).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < until
            time.sleep(0.05)
