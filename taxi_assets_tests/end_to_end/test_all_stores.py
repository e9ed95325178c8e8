"""Half a year of real green trips in all three stores: the same again, killed at any moment, and side by side."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.stores.postgres.connection import connect
from taxi_assets_tests.end_to_end.cloud_stores import (
    Held,
    by_day,
    in_bigquery,
    in_lake,
    jobs,
    objects,
    strays,
    tables,
)
from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.proxy import Proxy, in_front_of, passes
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import Taxi

pytestmark = pytest.mark.e2e

TABLE = "mage.green_taxi"
MONTHS = "2020-04:2020-09"
APRIL = "2020-04"
CSV = f"/green/green_tripdata_{APRIL}.csv.gz"
NAMES = [f"2020-{month:02}" for month in range(4, 10)]
HEAVY = {
    "alembic": "migrates a ledger",
    "dagster": "runs a month",
    "dagster_gcp": "makes the clients of a run",
    "fsspec": "is for the process of the emulator",
    "google.api_core": "0.1 s, for errors alone",
    "google.auth": "is for Google itself, not for emulators",
    "google.cloud.bigquery": "imports pandas",
    "google.cloud.storage": "0.2 s; the quick look asks over the JSON API",
    "numpy": "comes with pyarrow",
    "pandas": "0.4 s",
    "pyarrow": "reads and writes trips",
    "rich.progress": "shows a run",
    "sqlalchemy": "is for Dagster's records",
}
"""Libraries that a command without a load does not import, and why."""


@pytest.fixture(scope="module")
def kept() -> dict[str, int]:
    """The rows of each month that stand in a table."""
    return EXCERPTS.kept("green", NAMES)


@pytest.fixture(scope="module")
def loaded(cloud_platform: Taxi) -> Taxi:
    found = cloud_platform.having(TAXI_SOURCE_URL=EXCERPTS.url)
    assert "green: 6 loaded, 0 loaded already, 0 failed" in found.well("run", "green", "--months", MONTHS).err
    return found


@pytest.fixture
def half_year(loaded: Taxi) -> Taxi:
    """The half year from its source, whatever a test before has loaded from another one."""
    loaded.well("run", "green", "--months", APRIL)
    return loaded


def stand_everywhere(taxi: Taxi, kept: dict[str, int]) -> None:
    """These months, and nothing else, stand in each of the stores, which agree with their logs."""
    assert taxi.stored(TABLE) == kept
    assert in_bigquery(taxi, TABLE) == kept
    assert in_lake(taxi, "green") == kept
    assert not strays(taxi, "green")
    assert not [name for name in tables(taxi, "mage") if "staging" in name]
    taxi.well("verify", "green")


def test_half_a_year_in_every_store(half_year: Taxi, kept: dict[str, int]) -> None:
    for ask in ("sql", "bq"):
        assert half_year.well(ask, f"select count(*) from {TABLE}").out == f"{sum(kept.values())}\n"
    stand_everywhere(half_year, kept)


def state(taxi: Taxi) -> tuple[object, ...]:
    """Everything that a run changes: jobs of BigQuery, the lake, the ledger, Dagster's runs, the fetched files."""
    files = sorted((path, path.stat().st_mtime_ns) for path in taxi.home.glob("raw/**/*"))
    with connect(taxi.database()) as records:
        runs = records.execute("SELECT count(*) FROM dagster.runs").fetchall()
    return jobs(taxi), objects(taxi), taxi.loads(), runs, files


def test_a_plan_changes_nothing_and_counts_the_jobs_of_its_run(half_year: Taxi) -> None:
    before = state(half_year)
    said = half_year.well("run", "green", "--months", APRIL, "--force", "--dry-run")
    size = (EXCERPTS.folder / "green/green_tripdata_2020-04.csv.gz").stat().st_size
    assert f"green: 1 to load, 0 loaded already, {size:,} bytes to fetch, 5 jobs in BigQuery" in said.out
    assert "forced" in said.out
    assert "The stores need about" in said.out
    assert state(half_year) == before
    half_year.well("run", "green", "--months", APRIL, "--force")
    assert len(jobs(half_year) - before[0]) == 5  # type: ignore[operator]


def test_a_plan_of_months_that_are_loaded_says_so(half_year: Taxi) -> None:
    said = half_year.well("run", "green", "--months", "2020-03:2020-04", "--only", "postgres", "--dry-run")
    lines = {line.split()[0]: line.split()[1:4] for line in said.out.splitlines() if line.startswith("2020-")}
    assert lines["2020-03"] == ["load", "not", "loaded"]
    assert lines["2020-04"] == ["skip", "loaded", "already"]
    refused = half_year.having(TAXI_SOURCE_URL="")("run", "green", "--months", APRIL, "--dry-run")
    assert refused.code == 1
    assert "synthetic trips do not replace it" in refused.err


def counted(csv: Path, month: str) -> Counter[tuple[str, str]]:
    """What the file holds for each day, by pandas."""
    columns = ["lpep_pickup_datetime", "passenger_count", "trip_distance"]
    trips = pd.read_csv(csv, usecols=columns, parse_dates=columns[:1])
    kept = trips[(trips.passenger_count > 0) & (trips.trip_distance > 0)]
    return Counter((month, str(day)) for day in kept.lpep_pickup_datetime.dt.date)


def test_each_day_folder_holds_the_trips_of_its_day(half_year: Taxi) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    for month in NAMES:
        expected += counted(EXCERPTS.path("green", month), month)
    assert by_day(half_year, "green") == expected
    assert any(day[:7] != month for month, day in expected), "there are stray pickups"


def test_the_same_again_changes_no_count(half_year: Taxi, kept: dict[str, int]) -> None:
    before = objects(half_year, "green/")
    said = half_year.well("run", "green", "--months", MONTHS)
    assert "green: 0 loaded, 6 loaded already, 0 failed" in said.err
    half_year.well("run", "green", "--months", APRIL, "--force")
    stand_everywhere(half_year, kept)
    assert objects(half_year, "green/") == before


def test_the_log_shows_a_person_no_token_of_a_load(half_year: Taxi) -> None:
    assert '"token"' not in half_year.well("log", "green").out
    assert "token" in half_year.well("log", "green", "--json").out


@pytest.mark.parametrize(
    "words",
    [
        ("run", "green", "--months", MONTHS),
        ("sql", "select 1"),
        ("log", "green"),
        ("status",),
    ],
    ids=lambda words: str(words[0]),
)
def test_a_command_that_loads_nothing_imports_no_library_of_the_loads(half_year: Taxi, words: tuple[str, ...]) -> None:
    program = """
import sys
from taxi_assets.cli.app import main
try:
    main()
finally:
    print(*sorted(set(sys.modules) & set(HEAVY)), file=open("imported", "w"))
"""
    command = [sys.executable, "-c", f"HEAVY = {sorted(HEAVY)}{program}", *words]
    done = subprocess.run(
        command, cwd=half_year.cwd, env=half_year.environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (half_year.cwd / "imported").read_text().split() == []


@pytest.fixture(scope="module")
def versions(loaded: Taxi, kept: dict[str, int]) -> Iterator[tuple[Taxi, FaultyServer, list[tuple[bytes, int]]]]:
    """A source that publishes April again and again: a part of its trips, or all of them."""
    path = EXCERPTS.path("green", APRIL)
    whole = path.read_bytes()
    header, *lines = gzip.decompress(whole).splitlines(keepends=True)
    part = gzip.compress(header + b"".join(lines[::10]))
    frame = pd.read_csv(path, usecols=["passenger_count", "trip_distance"])[::10]
    part_kept = int(((frame.passenger_count > 0) & (frame.trip_distance > 0)).sum())
    with FaultyServer() as server:
        yield loaded.having(TAXI_SOURCE_URL=server.url), server, [(part, part_kept), (whole, kept[APRIL])]


@pytest.fixture
def new(versions: tuple[Taxi, FaultyServer, list[tuple[bytes, int]]]) -> tuple[Taxi, int]:
    """The other version of April is published; the rows that it keeps."""
    taxi, server, bodies = versions
    stands = in_bigquery(taxi, TABLE)[APRIL]
    body, kept = next(version for version in bodies if version[1] != stands)
    server.publish(CSV, body)
    return taxi, kept


def kill_at(taxi: Taxi, storage: Proxy, bigquery: Proxy, held: Held) -> None:
    behind = taxi.having(STORAGE_EMULATOR_HOST=storage.url, BIGQUERY_EMULATOR_HOST=bigquery.url)
    with behind.start("run", "green", "--months", APRIL) as process:
        try:
            while not held.arrived.wait(0.1):
                assert process.poll() is None, f"the run ended first: {process.communicate()}"
        finally:
            process.kill()
        process.communicate()
    assert held.done.wait(60)
    held.go.set()


@pytest.mark.long
@pytest.mark.parametrize("moment", ["upload", "load job", "replacement"])
def test_killed_it_is_whole_after_the_next_run(new: tuple[Taxi, int], kept: dict[str, int], moment: str) -> None:
    taxi, rows = new
    before = in_bigquery(taxi, TABLE)
    held = Held()
    with in_front_of(CLOUD_STORAGE, taxi.home) as storage, in_front_of(BIGQUERY, taxi.home) as bigquery:
        if moment == "upload":
            storage.on("POST", "/upload/.*PAR1", *[passes] * 4, held)
        else:
            bigquery.on("POST", '"load"' if moment == "load job" else "BEGIN TRANSACTION", held)
        kill_at(taxi, storage, bigquery, held)
    after = {**before, APRIL: rows}
    assert in_bigquery(taxi, TABLE) == (after if moment == "replacement" else before), "the old or the new month"
    assert bool(strays(taxi, "green")) == (moment == "upload")
    said = taxi.well("run", "green", "--months", APRIL)
    # BigQuery's own record is the truth: its transaction went on without the run.
    assert ("0 loaded, 1 loaded already" if moment == "replacement" else "green: 1 loaded") in said.err
    if moment == "replacement":
        taxi.well("verify", "green")
        taxi.well("run", "green", "--months", APRIL, "--force")
    stand_everywhere(taxi, {**kept, APRIL: rows})


def test_two_processes_load_two_months_at_the_same_time(loaded: Taxi) -> None:
    months, others = {"2020-11", "2020-12"}, in_lake(loaded, "yellow")
    started = [loaded.start("run", "yellow", "--months", month) for month in months]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], answers
    kept = loaded.stored("ny_taxi.yellow_cab_data")
    assert kept == EXCERPTS.kept("yellow", sorted(months))
    assert in_bigquery(loaded, "ny_taxi.yellow_cab_data") == kept
    assert in_lake(loaded, "yellow") == {**others, **kept}
    loaded.well("verify", "yellow")
