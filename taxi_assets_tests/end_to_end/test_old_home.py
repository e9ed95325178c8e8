"""A home that an older version filled opens: it is verified, loaded into and run on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxi_assets.settings import PROJECT_ROOT
from taxi_assets_tests import old_home
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]

GREEN = "mage.green_taxi"
KEPT = EXCERPTS.kept("green", ["2020-04", "2020-05"])


@pytest.fixture(scope="module")
@starts_server
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    """`taxi` with the restored home and the source that it was filled from."""
    folder = tmp_path_factory.mktemp("old")
    old_home.restore(folder / "home")
    with old_home.source(folder / "source") as url:
        taxi = Taxi(folder / "home", tmp_path_factory.mktemp("elsewhere"), {"TAXI_SOURCE_URL": url})
        yield taxi
        taxi.well("down")


def bigquery(taxi: Taxi, query: str) -> str:
    return taxi.well("bq", "--csv", query).out.partition("\n")[2].strip().replace("\r\n", "\n")


def dagster(taxi: Taxi, *words: str) -> str:
    """What Dagster's own command prints."""
    command = [str(Path(sys.executable).parent / "dagster"), *words]
    environment = {**taxi.environment(), "DAGSTER_HOME": str(PROJECT_ROOT)}
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_month_is_verified(opened: Taxi) -> None:
    said = opened.well("verify")
    assert "7 of 7 loads" in said.err
    assert opened.stored(GREEN) == {"2020-04": KEPT["2020-04"]}
    assert bigquery(opened, f"SELECT count(*) FROM {GREEN}") == str(KEPT["2020-04"])
    assert opened.stored("trial.yellow_cab_data") == {"2020-10": 80}


def test_an_unchanged_month_is_not_loaded_again(opened: Taxi) -> None:
    said = opened.well("run", "green", "--months", "2020-04")
    assert "green: 0 loaded, 1 loaded already, 0 failed" in said.err


def test_months_are_loaded(opened: Taxi) -> None:
    said = opened.well("run", "green", "--months", "2020-04:2020-05", "--force")
    assert "green: 2 loaded, 0 loaded already, 0 failed" in said.err
    assert opened.stored(GREEN) == KEPT
    counted = f"SELECT FORMAT_DATE('%Y-%m', source_month), COUNT(*) FROM {GREEN} GROUP BY 1 ORDER BY 1"
    assert bigquery(opened, counted) == "\n".join(f"{month},{rows}" for month, rows in KEPT.items())
    opened.well("run", "yellow", "--months", "2020-10", "--limit", "100")
    opened.well("verify")


def test_dagster_knows_its_old_runs_and_makes_new_ones(opened: Taxi) -> None:
    assert "b603c8e4-d81f-4f0a-8525-f1665fab4c6d" in dagster(opened, "run", "list", "--limit", "100")
    selection = ("--select", 'key:"green/trips_per_day"', "--partition", "2020-04")
    dagster(opened, "asset", "materialize", "-m", "taxi_assets.definitions", *selection)
    per_day = "SELECT SUM(trips) FROM mage.green_trips_per_day WHERE source_month = '2020-04-01'"
    assert bigquery(opened, per_day) == str(KEPT["2020-04"])
