"""Half a year of green trips from real files, through `taxi` into PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from taxi_assets.local.service import free_port
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import Taxi

pytestmark = pytest.mark.e2e

TABLE = "mage.green_taxi"
MONTHS = "2020-04:2020-09"
NAMES = [f"2020-{month:02}" for month in range(4, 10)]


@pytest.fixture(scope="module")
def kept() -> dict[str, int]:
    """The rows of each month that stand in a table."""
    return EXCERPTS.kept("green", NAMES)


@pytest.fixture(scope="module")
def loaded(taxi: Taxi) -> Taxi:
    said = taxi.well("run", "green", "--months", MONTHS, "--only", "postgres")
    assert "green: 6 loaded, 0 loaded already, 0 failed" in said.err
    return taxi


def test_half_a_year(loaded: Taxi, kept: dict[str, int]) -> None:
    read, stored = sum(EXCERPTS.counts("green", month).rows for month in NAMES), sum(kept.values())
    assert loaded.well("sql", f"select count(*) from {TABLE}").out == f"{stored}\n"
    assert loaded.stored(TABLE) == kept
    newest = f"SELECT DISTINCT ON (source_month) * FROM taxi_assets.load_log WHERE place = '{TABLE}'"
    counts = (
        f"SELECT sum(rows_read), sum(rows_kept), sum(rows_rejected) FROM ({newest} ORDER BY source_month, id DESC) l"
    )
    assert loaded.sql(counts) == f"{read},{stored},{read - stored}"
    assert sum(loaded.stored(f"{TABLE}_rejected").values()) == read - stored


def test_the_same_again_changes_nothing(loaded: Taxi, kept: dict[str, int]) -> None:
    loads = loaded.loads()
    said = loaded.well("run", "green", "--months", MONTHS, "--only", "postgres")
    assert said.err.count("loaded already from the same file") == 6
    assert "green: 0 loaded, 6 loaded already, 0 failed" in said.err
    assert loaded.stored(TABLE) == kept
    assert loaded.loads() == loads


def test_forced_they_are_loaded_again_and_not_twice(loaded: Taxi, kept: dict[str, int]) -> None:
    loads = loaded.loads()
    said = loaded.well("run", "green", "--months", "2020-04:2020-05", "--only", "postgres", "--force")
    assert "green: 2 loaded, 0 loaded already, 0 failed" in said.err
    assert loaded.stored(TABLE) == kept
    assert loaded.loads() == loads + 2


@pytest.fixture
def python_server() -> Iterator[str]:
    port, folder = free_port(), str(EXCERPTS.folder)
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, server)
            yield url
        finally:
            server.terminate()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while server.poll() is None:
            try:
                session.head(url, timeout=5)
                return
            except requests.ConnectionError:
                continue
    raise AssertionError("http.server ended")


def test_months_over_http(taxi: Taxi, python_server: str, kept: dict[str, int]) -> None:
    over_http = taxi.having(TAXI_SOURCE_URL=python_server, POSTGRES_SCHEMA="over http")
    command = ("run", "green", "--months", "2020-04:2020-05", "--only", "postgres")
    over_http.well(*command)
    assert over_http.stored('"over http".green_taxi') == {month: kept[month] for month in NAMES[:2]}
    assert "green: 0 loaded, 2 loaded already, 0 failed" in over_http.well(*command).err
