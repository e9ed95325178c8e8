"""Kills `taxi run` with -9 at seeded moments, spread over the measured phases of a load into all three stores."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taxi_assets_tests.end_to_end.cloud_stores import google
from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.kills.orphans import orphans
from taxi_assets_tests.kills.readers import Observed, all_stores, watching
from taxi_assets_tests.kills.versions import NAMES, Month
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import Taxi

PHASES = {
    "fetch": "fetch ",
    "clean": "clean ",
    "lake": "store ",
    "postgres": "load {} into PostgreSQL",
    "bigquery": "load {} into BigQuery",
}
"""Phase → how the line begins that `taxi run` prints at its end."""
TRIAL_ROWS = 200
LONGEST_SECONDS = 120


@dataclass
class Campaign:
    """Kills and their counts.

    Attributes:
        taxi: The platform.
        web: Its source.
        months: The months that are loaded, both versions by turns.
        seed: The seed of the moments.
        killed: Phase → how many runs were killed in it.
        ended: Runs that ended before their kill.
    """

    taxi: Taxi
    web: FaultyServer
    months: Sequence[Month]
    seed: int
    killed: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    _durations: dict[tuple[str, bool], dict[str, float]] = field(default_factory=dict)

    def publish(self, month: Month, version: str) -> None:
        """Serves a version of a month."""
        self.web.publish(month.path, month.bodies[version])

    def load(self, month: Month, version: str, *options: str) -> None:
        """Loads a version to its end."""
        self.publish(month, version)
        self.taxi.well("run", month.service, "--months", month.name, "--force", *options)

    def kill(self, times: int, verify_after: int) -> Observed:
        """Kills so many runs while readers look; `taxi verify` agrees after each `verify_after` of them."""
        days = [self._load_all(version) for version in NAMES]
        self._durations["trial", True] = self._measure(self.months[0], NAMES[0], trial=True)
        chance = random.Random(self.seed)
        with watching(all_stores(self.taxi, self.months, days)) as observed:
            for number in range(times):
                trial = number % 3 == 2
                month = self.months[number // 2 % len(self.months)]
                self.publish(month, NAMES[number % 2])
                self._kill_one(month if not trial else self.months[0], trial, number, chance)
                if (number + 1) % verify_after == 0:
                    self.taxi.well("verify")
        return observed

    def _load_all(self, version: str) -> set[str]:
        """Loads a version of every month, measures its phases, and returns the names of green's day objects."""
        for month in self.months:
            self._durations[month.service, False] = self._measure(month, version, trial=False)
        cloud = google(self.taxi)
        return {blob.name for blob in cloud.storage().list_blobs(cloud.bucket, prefix="green/")}

    def _start(self, month: Month, trial: bool) -> subprocess.Popen[str]:
        limit = ("--limit", str(TRIAL_ROWS)) if trial else ()
        return self.taxi.start("run", month.service, "--months", month.name, "--force", *limit)

    def _measure(self, month: Month, version: str, trial: bool) -> dict[str, float]:
        """The seconds of each phase of an undisturbed load, in the order in which the phases end."""
        self.publish(month, version)
        began, seconds = time.monotonic(), {}
        with self._start(month, trial) as process:
            assert process.stderr
            for line in process.stderr:
                if phase := _phase(line, month):
                    seconds[phase] = time.monotonic() - began
                    began = time.monotonic()
        assert process.returncode == 0
        return seconds

    def _kill_one(self, month: Month, trial: bool, number: int, chance: random.Random) -> None:
        durations = self._durations["trial" if trial else month.service, trial]
        phases = list(durations)
        phase = phases[number % len(phases)]
        wait = durations[phase] * chance.random()
        with self._start(month, trial) as process:
            over = self._follow(process, month, phases[: phases.index(phase)])
            if over:
                time.sleep(wait)
            ended = process.poll() is not None
            process.kill()
            assert process.stderr
            done = [name for line in process.stderr if (name := _phase(line, month))]
        if ended:
            self.ended += 1
            return
        rest = phases[phases.index(phase) + len(done) :]
        self.killed[rest[0] if rest else "end"] += 1

    def _follow(self, process: subprocess.Popen[str], month: Month, before: list[str]) -> bool:
        """Waits until these phases are over; returns whether they ended."""
        left = set(before)
        until = time.monotonic() + LONGEST_SECONDS
        while left and time.monotonic() < until:
            assert process.stderr
            line = process.stderr.readline()
            if not line:
                return False
            left.discard(_phase(line, month) or "")
        return not left

    def orphans(self) -> list[str]:
        """What the killed runs left, after a whole load of each month: objects, staging tables, files."""
        for month in self.months:
            self.load(month, NAMES[0])
        return orphans(self.taxi, self.months)


def _phase(line: str, month: Month) -> str | None:
    name = f"{month.service} {month.name}"
    for phase, text in PHASES.items():
        if line.startswith(text.format(name)):
            return phase
    return None


def prepare(taxi: Taxi, web: FaultyServer) -> Taxi:
    """The platform with that source; its zones stand in the lake as the excerpts have them."""
    zones = Path("misc") / "taxi_zone_lookup.csv"
    web.publish(f"/{zones}", (EXCERPTS.folder / zones).read_bytes())
    return taxi.having(TAXI_SOURCE_URL=web.url)
