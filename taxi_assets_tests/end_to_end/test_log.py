"""`taxi log`: who or what loaded a month, from which file, with which code; nobody rewrites it."""

from __future__ import annotations

import csv
import getpass
import hashlib
import io

import psycopg
import pytest

from taxi_assets.local import postgres as embedded
from taxi_assets.stores.postgres.connection import LOADER, OWNER, PostgresAddress, connect, set_role
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import Taxi

MONTH = "2019-04"


@pytest.fixture(scope="module")
def loaded(taxi: Taxi) -> Taxi:
    taxi.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    return taxi


def test_it_answers_every_question(loaded: Taxi) -> None:
    said = loaded.well("log", "yellow", "--months", MONTH, "--csv")
    (load,) = csv.DictReader(io.StringIO(said.out))
    file = EXCERPTS.path("yellow", MONTH)
    assert load["started by"] == f"taxi run by {getpass.getuser()}"
    assert load["file"] == file.as_uri()
    assert load["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    expected = EXCERPTS.counts("yellow", MONTH)
    assert (load["read"], load["kept"]) == (str(expected.rows), str(expected.kept))
    assert int(load["read"]) == int(load["kept"]) + int(load["rejected"])
    assert load["code"].startswith("0.1.0")
    assert load["cleaning"]
    assert load["run"]
    assert load["when"]
    shown = loaded.well("log", "yellow", "--months", MONTH).out
    assert load["sha256"][:12] in shown


def test_a_month_that_nobody_loaded_has_no_line(loaded: Taxi) -> None:
    said = loaded.well("log", "green", "--months", "2019-01", "--csv")
    assert said.out.strip().count("\n") == 0
    assert loaded("log", "purple").code == 2


@pytest.mark.parametrize("role", [LOADER, OWNER])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE taxi_assets.load_log SET started_by = 'nobody'",
        "DELETE FROM taxi_assets.load_log",
        "TRUNCATE taxi_assets.load_log",
    ],
)
def test_who_loads_cannot_rewrite_it(loaded: Taxi, role: str, change: str) -> None:
    server = embedded.running(loaded.home)
    assert server
    with connect(PostgresAddress(str(server.folder), server.port, server.database, server.user)) as connection:
        connection.execute(set_role(role))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change.encode())
