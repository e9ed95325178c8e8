"""A PostgreSQL server of somebody else's: on TCP, with a password, its superuser unknown to the platform's settings."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from pydantic import SecretStr

from taxi_assets.local import postgres_files
from taxi_assets.local.service import free_port
from taxi_assets.stores.postgres.connection import PostgresAddress
from taxi_assets_tests.servers import require_marker

PASSWORD = "s3cret-of-the-test"
DEBIAN = Path("/usr/lib/postgresql/15/bin")


@contextmanager
def external_postgres(folder: Path, programs: Path | None = None) -> Iterator[PostgresAddress]:
    """A running server with the login role and the database `taxi`; `programs` holds PostgreSQL's, else the wheel's."""
    require_marker()
    programs = programs or postgres_files.programs()
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
