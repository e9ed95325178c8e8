"""What lies behind the pipelines, under a real daemon: summaries and tables of files come without a hand."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taxi_assets.local.service import free_port
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import SCRIPT, Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LONGEST_SECONDS = 240.0
SUMMARIES = ("trips_per_day", "trips_per_zone_hour", "revenue_per_zone")


@pytest.fixture(scope="module")
def development(apart: Taxi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`taxi dev` of this platform, ended afterwards; its log."""
    log = tmp_path_factory.mktemp("dev") / "log"
    # Without months to look after: nothing else runs meanwhile.
    environment = {**apart.environment(), "TAXI_PUBLICATION_SECONDS": "3600"}
    with log.open("wb") as file:
        command = [str(SCRIPT), "dev", "--port", str(free_port())]
        process = subprocess.Popen(command, cwd=apart.cwd, env=environment, stdout=file, stderr=file)
    yield log
    process.send_signal(signal.SIGINT)
    process.wait(60)


def until(apart: Taxi, log: Path, query: str, holds: Callable[[str], bool]) -> None:
    """Waits until BigQuery's answer is the one that is waited for."""
    end = time.monotonic() + LONGEST_SECONDS
    while not holds(answer := apart("bq", "--csv", query).out):
        assert time.monotonic() < end, f"not in time: {query}\n{answer}\n{log.read_text()[-3000:]}"
        time.sleep(3)


def trips(summary: str, month: str) -> str:
    return f"SELECT SUM(trips) FROM mage.green_{summary} WHERE source_month = '{month}-01'"


@pytest.mark.long
def test_they_follow_without_a_hand(apart: Taxi, development: Path) -> None:
    kept = str(EXCERPTS.counts("green", "2020-04").kept)
    # One month all the way, and another into PostgreSQL alone.
    apart.well("run", "green", "--months", "2020-06", "--only", "postgres")
    apart.well("run", "green", "--months", "2020-04")
    folder = apart.home / "files"
    folder.mkdir(exist_ok=True)
    shutil.copy(PROJECT_ROOT / "examples" / "weather_by_day.csv", folder)
    for summary in SUMMARIES:
        until(apart, development, trips(summary, "2020-04"), lambda out: out.splitlines()[-1:] == [kept])
        assert apart.well("bq", "--csv", trips(summary, "2020-06")).out.splitlines()[-1].strip('"') == ""
    query = "SELECT COUNT(*) FROM files.weather_by_day"
    until(apart, development, query, lambda out: out.splitlines()[-1:] == ["10"])
