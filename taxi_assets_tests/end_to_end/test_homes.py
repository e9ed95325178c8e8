"""Homes that are not plain: odd characters in the path, and folders that cannot be written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from taxi_assets_tests.taxi_command import Taxi

pytestmark = pytest.mark.e2e

ODD = ["a,b", "a\\b'c\"d", "sp ace%20#&=;$HOME @:ü日本{x}", "x" * 180]
COMMANDS = [
    ("run", "yellow", "--months", "2021-01"),
    ("doctor",),
    ("status",),
    ("up",),
    ("verify",),
    ("log",),
    ("sql", "select 1"),
    ("bq", "select 1"),
    ("dev", "--port", "3999"),
    ("down",),
]


@pytest.mark.long
@pytest.mark.parametrize("name", ODD)
def test_every_command_works_in_a_home_with_odd_characters(tmp_path: Path, name: str) -> None:
    taxi = Taxi(tmp_path / name / "home", tmp_path).having(TAXI_SAMPLE_ROWS="2000")
    try:
        taxi.well("run", "yellow", "--months", "2021-01")
        rows = taxi.sql("select count(*) from ny_taxi.yellow_cab_data")
        said = taxi.well("bq", "--csv", "select count(*) from ny_taxi.yellow_cab_data").out
        assert said.split()[-1] == rows
        for command in ("doctor", "verify", "status"):
            taxi.well(command)
    finally:
        assert taxi.well("down").err.count(": stopped") == 4


@pytest.mark.parametrize("name", ["new\nline", "tab\t", "star*", "question?", "[x]"])
def test_a_home_that_cannot_be_named_is_refused(tmp_path: Path, name: str) -> None:
    said = Taxi(tmp_path / name, tmp_path)("status")
    assert said.code == 2
    assert "The setting TAXI_HOME cannot be used: it has" in said.err
    assert not (tmp_path / name).exists()


def read_only(taxi: Taxi, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the command where the home is mounted read-only, for this process alone."""
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", str(taxi.home), str(taxi.script), *words]
    return subprocess.run(
        command, env=taxi.environment(), cwd=taxi.cwd, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.root
@pytest.mark.parametrize("used", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_read_only_home_is_a_clear_error(tmp_path: Path, used: bool) -> None:
    taxi = Taxi(tmp_path / "home", tmp_path).having(TAXI_SAMPLE_ROWS="2000")
    taxi.home.mkdir()
    if used:
        try:
            taxi.well("run", "yellow", "--months", "2021-01")
        finally:
            taxi.well("down")
    for words in COMMANDS if used else COMMANDS[:2]:
        done = read_only(taxi, *words)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        if words[0] not in ("status", "down") or not used:
            assert done.returncode == 1
            for text in ("The folder of all local state cannot be used.", "Read-only file system", "TAXI_HOME"):
                assert text in done.stderr
    assert read_only(taxi, "--help").returncode == 0
