"""The local services: one of each, whoever asks at the same time, and none when they are stopped."""

from __future__ import annotations

import stat
from pathlib import Path

import psutil
import pytest

from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import Taxi

pytestmark = pytest.mark.e2e


def servers(home: Path) -> list[int]:
    """The main processes of PostgreSQL on that home's data."""
    data = str(home / "postgres" / "data")
    found = (p.info for p in psutil.process_iter(["pid", "name", "cmdline"]))
    return [info["pid"] for info in found if info["name"] == "postgres" and data in (info["cmdline"] or ())]


def sample_sources(home: Path) -> list[int]:
    found = (p.info for p in psutil.process_iter(["pid", "cmdline"]))
    return [info["pid"] for info in found if str(home / "sample") in (info["cmdline"] or ())]


@pytest.mark.long
def test_many_that_need_them_at_once_start_one_of_each(tmp_path: Path) -> None:
    taxi = Taxi(tmp_path / "home", tmp_path)
    try:
        started = [taxi.start(*words) for words in [("sql", "select 1"), ("sql", "select 1"), ("doctor",), ("doctor",)]]
        answers = [process.communicate(timeout=120) for process in started]
        assert [process.returncode for process in started] == [0, 0, 0, 0], answers
        assert [out for out, _ in answers[:2]] == ["1\n", "1\n"]
        assert len(servers(taxi.home)) == 1
        assert len(sample_sources(taxi.home)) == 1
        status = taxi.well("status").out
        assert "not running" not in status.partition("Storage")[0]
        assert taxi.well("down").err.count("stopped") >= 2
        assert servers(taxi.home) == sample_sources(taxi.home) == []
        assert taxi.well("down").err.count("was not running") >= 2
        assert taxi.well("status").out.count("not running") >= 2
    finally:
        taxi("down")
    assert taxi.home.stat().st_mode & 0o777 == 0o700


@pytest.mark.long
def test_a_server_that_was_killed_comes_back_with_its_data(tmp_path: Path, taxi: Taxi) -> None:
    own = Taxi(tmp_path / "home", tmp_path, taxi.settings)
    try:
        own.well("run", "yellow", "--months", "2020-12", "--only", "postgres")
        for pid in servers(own.home):
            psutil.Process(pid).kill()
        assert own.well("sql", "select 1").out == "1\n"
        assert own.stored("ny_taxi.yellow_cab_data") == EXCERPTS.kept("yellow", ["2020-12"])
    finally:
        own("down")


def test_the_first_months_of_a_new_home_may_run_side_by_side(tmp_path: Path, taxi: Taxi) -> None:
    new = Taxi(tmp_path / "home", tmp_path, taxi.settings)
    try:
        new.well("run", "yellow", "--months", "2020-10:2020-11", "--only", "postgres")
        assert set(new.stored("ny_taxi.yellow_cab_data")) == {"2020-10", "2020-11"}
        found = {path: stat.S_IMODE(path.lstat().st_mode) for path in new.home.rglob("*") if not path.is_symlink()}
        assert {path: oct(mode) for path, mode in found.items() if mode & 0o077} == {}
    finally:
        new("down")
