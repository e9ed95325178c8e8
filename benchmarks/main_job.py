"""The main job against `psql` and against pandas: the whole process, at the real size of a month.

    python -m benchmarks.main_job [--rounds 5] [--all-rounds 5] [--pandas-rounds 2] [--rows 1369765] [--home FOLDER]

In turns, on the same server, each in a process of its own:

- taxi: `taxi run yellow --months 2021-01 --only postgres`: from the gzipped CSV behind HTTP to checked rows in a table
  with comments, an index and a log. The file is made before; nothing of it is fetched, cleaned or loaded yet.
- all stores: the same without `--only`: on to the lake and from there to BigQuery, both emulated, with their checks.
- psql: `\\copy` of the same month as plain CSV, on this machine already, into a table without an index.
- pandas: `benchmarks/pandas_load.py`, from the gzipped CSV behind HTTP.

Prints the medians, how they compare with psql's, and the highest memory of each process (its resident set).
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.table import Table

from taxi_assets.local import postgres as embedded
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.local.postgres_files import programs
from taxi_assets.local.postgres_users import superuser
from taxi_assets.local.sample_source import SAMPLE_SOURCE, sample_url
from taxi_assets.settings import PROJECT_ROOT, Settings
from taxi_assets.sources.layouts import LAYOUTS
from taxi_assets.sources.sample.files import columns
from taxi_assets.sources.source import TripSource
from taxi_assets.stores.postgres.connection import PostgresAddress, connect
from taxi_assets.trips.registry import read_service

MONTH = date(2021, 1, 1)
SERVICE = read_service("yellow")
LAYOUT = LAYOUTS[0]
TARGETS = {"taxi": (3.5, 450), "all stores": (5.0, 500)}
"""What is asked for: how many times as long as psql at most, and how many MB."""


@dataclass
class Contestant:
    """A command, and what its runs took."""

    name: str
    command: list[str]
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def run(self, environment: dict[str, str]) -> None:
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.seconds.append(time.monotonic() - began)
            self.megabytes.append(used.ru_maxrss / 1024)
            if process.returncode:
                output.seek(0)
                sys.exit(f"{self.name} ended with {process.returncode}:\n{output.read().decode()}")


@dataclass(frozen=True)
class Ground:
    """Servers that are up, and the month's file at both: gzipped behind HTTP, and plain on this machine."""

    home: Path
    address: PostgresAddress
    url: str
    plain: Path
    environment: dict[str, str]

    def contestants(self) -> list[Contestant]:
        psql = [str(programs() / "psql"), "-X", "-q", "-d", make_conninfo(**self.address.parameters())]
        copy = f"\\copy plain_trips from '{self.plain}' with (format csv, header)"
        pandas = [sys.executable, "-m", "benchmarks.pandas_load", self.url, psql[-1]]
        taxi = [str(Path(sys.executable).parent / "taxi"), "run", "yellow", "--months", "2021-01", "--only", "postgres"]
        return [
            Contestant("taxi", taxi),
            Contestant("psql", [*psql, "-c", copy]),
            Contestant("all stores", taxi[:-2]),
            Contestant("pandas", pandas),
        ]

    def clear(self) -> None:
        """As if the month had never been asked for; Dagster's own records stay."""
        for folder in ("raw", "clean", "rejected"):
            shutil.rmtree(self.home / folder, ignore_errors=True)
        for server, kept in ((BIGQUERY, "bigquery"), (CLOUD_STORAGE, "cloud")):
            server.stop(self.home)
            shutil.rmtree(self.home / kept, ignore_errors=True)
        CLOUD_STORAGE.ensure(self.home)
        BIGQUERY.ensure(self.home)
        types = {column.sources[0]: column.type.postgres for column in SERVICE.columns if column.sources}
        plain = ", ".join(f'"{name}" {types[name]}' for name in columns(SERVICE, MONTH, LAYOUT.name))
        # The ledger belongs to a role of its own, so that no other drops it by mistake.
        with superuser(Path(self.address.host), self.address.dbname) as connection:
            connection.execute("DROP SCHEMA IF EXISTS ny_taxi, taxi_assets CASCADE")
        with connect(self.address) as connection:
            connection.execute("DROP TABLE IF EXISTS plain_trips, pandas_trips")
            connection.execute(f"CREATE TABLE plain_trips ({plain})")


@contextmanager
def ground(home: Path, rows: int) -> Iterator[Ground]:
    try:
        server = embedded.ensure(home)
        source = TripSource(sample_url(home, rows), home / "unused", synthetic=True)
        source.probe("yellow", MONTH)
        (packed,) = (home / "sample").glob(f"*/rows-{rows}/{LAYOUT.path('yellow', MONTH)}")
        plain = home / "plain.csv"
        with gzip.open(packed) as file, plain.open("wb") as out:
            shutil.copyfileobj(file, out)
        unset = {name.upper(): "" for name in Settings.model_fields}
        environment = {**os.environ, **unset, "TAXI_HOME": str(home), "TAXI_SAMPLE_ROWS": str(rows)}
        address = PostgresAddress(str(server.folder), server.port, server.database, server.user)
        yield Ground(home, address, LAYOUT.address(source.url, "yellow", MONTH), plain, environment)
    finally:
        for server in (BIGQUERY, CLOUD_STORAGE, SAMPLE_SOURCE):
            server.stop(home)
        embedded.stop(home)


def measure(here: Ground, rounds: dict[str, int]) -> list[Contestant]:
    """Runs them in turns, after one run of `taxi` that is not counted: it makes Dagster's tables."""
    here.clear()
    contestants = here.contestants()
    Contestant("warm-up", contestants[0].command).run(here.environment)
    for number in range(max(rounds.values())):
        for contestant in contestants:
            if number < rounds[contestant.name]:
                here.clear()
                contestant.run(here.environment)
                Console(stderr=True).print(f"{number + 1}: {contestant.name} {contestant.seconds[-1]:.2f} s")
    return [contestant for contestant in contestants if contestant.seconds]


def report(contestants: list[Contestant]) -> None:
    shown = Table("", "median s", "lowest – highest", "psql = 1", "peak MB", "runs")
    psql = next(statistics.median(found.seconds) for found in contestants if found.name == "psql")
    for found in contestants:
        median = statistics.median(found.seconds)
        spread = f"{min(found.seconds):.2f} – {max(found.seconds):.2f}"
        numbers = (f"{median / psql:.2f}", f"{max(found.megabytes):.0f}", str(len(found.seconds)))
        shown.add_row(found.name, f"{median:.2f}", spread, *numbers)
    Console().print(shown)
    for found in (contestant for contestant in contestants if contestant.name in TARGETS):
        ratio, peak = TARGETS[found.name]
        well = statistics.median(found.seconds) / psql <= ratio and max(found.megabytes) <= peak
        said = f"{found.name}: asked for at most {ratio} times psql and {peak} MB: {'met' if well else 'missed'}."
        Console().print(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--all-rounds", type=int, default=5)
    parser.add_argument("--pandas-rounds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1_369_765)
    parser.add_argument("--home", type=Path, help="keep all state there; without it: a folder that is removed")
    asked = parser.parse_args()
    os.chdir(PROJECT_ROOT)
    with tempfile.TemporaryDirectory(prefix="taxi-benchmark-") as folder:
        home = (asked.home or Path(folder) / "home").absolute()
        with ground(home, asked.rows) as here:
            rounds = {"taxi": asked.rounds, "psql": max(asked.rounds, asked.all_rounds)}
            report(measure(here, {**rounds, "all stores": asked.all_rounds, "pandas": asked.pandas_rounds}))


if __name__ == "__main__":
    main()
