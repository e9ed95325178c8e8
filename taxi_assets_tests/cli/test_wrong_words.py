"""What a clumsy user types: the command says what is wrong with it, and starts nothing; nor does a dry run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taxi_assets.cli.app import app
from taxi_assets.errors import UsageError
from taxi_assets.settings import settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home where nothing runs; a test that starts a server fails."""
    monkeypatch.setenv("TAXI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TAXI_SOURCE_URL", "")
    settings.cache_clear()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dev", "--port", "99999"], "--port"),
        (["dev", "--port", "0"], "--port"),
        (["dev", "--port", "-1"], "--port"),
        (["dev", "--port", "http"], "--port"),
        (["run", "yellow", "--months", "2021-01", "--limit", "-5"], "--limit"),
        (["run", "yellow", "--months", "2021-01", "--limit=-5"], "--limit"),
        (["run", "yellow", "--months", "2021-01", "--limit", "0"], "greater than or equal to 1"),
        (["run", "yellow", "--months", "2021-01", "--limit", "ten"], "--limit"),
        (["run", "yellow", "--month", "2021-01"], "--months"),
        (["run", "yellow", "2021-01"], "2021-01"),
        (["run", "yellow"], "taxi run yellow --months 2021-01"),
        (["run", "--months", "2020-04"], "taxi run yellow --months 2020-04"),
        (["rn"], "run"),
        (["status", "extra"], "extra"),
        (["sql"], "query"),
    ],
)
def test_a_wrong_option_ends_with_2_and_names_it(words: list[str], expected: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert expected in done.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--months", "1999-01"], "does not know yellow 1999-01"),
        (["--months", "2021-01:9999-12"], "yellow 9999-12 is not published yet"),
        (["--months", "2020-04:"], "has no end"),
        (["--months", "2021/01"], "'2021/01' is not a month"),
        (["--months", ""], "'' is not a month"),
        (["--months", "2021-01", "--source", ""], "--source is empty"),
        (["--months", "2021-01", "--only", "postgress"], "has no store 'postgress'"),
        (["--months", "2021-01", "--only", "lake", "--limit", "3"], "does not go to the lake"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_wrong_run_says_what_is_wrong(words: list[str], expected: str, more: list[str]) -> None:
    done = CliRunner().invoke(app, ["run", "yellow", *words, *more])
    assert isinstance(done.exception, UsageError)
    assert expected in done.exception.summary


def test_unknown_settings_are_named_once_on_stderr_and_not_by_child_processes(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "taxi"), "status"]
    shell = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    shell |= {"HOME": str(tmp_path), "TAXI_HOME": str(tmp_path / "home"), "GCS_BUKET": "s3cret"}
    said = subprocess.run(command, env=shell, capture_output=True, text=True, check=True)
    assert said.stderr.count("GCS_BUKET (shell) is no setting, and has no effect: did you mean GCS_BUCKET?") == 1
    assert "GCS_BUKET" not in said.stdout
    assert "s3cret" not in said.stderr + said.stdout
    child = subprocess.run(command, env={**shell, "_TAXI_WARNED": "1"}, capture_output=True, text=True, check=True)
    assert "GCS_BUKET" not in child.stderr


def test_a_plan_is_printed_as_json_and_csv_and_starts_nothing(tmp_path: Path) -> None:
    command = ["run", "yellow", "--months", "2021-01:2021-02", "--only", "bigquery", "--dry-run"]
    plan = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert [(month["month"], month["step"], month["reasons"]) for month in plan["months"]] == [
        ("2021-01", "load", ["not loaded yet"]),
        ("2021-02", "load", ["not loaded yet"]),
    ]
    assert (plan["source"], list(plan["places"]), plan["bigquery_jobs"]) == ("sample", ["lake", "bigquery"], 10)
    lines = CliRunner().invoke(app, [*command, "--csv"]).stdout.splitlines()
    assert lines[1].startswith("2021-01,load,not loaded yet,")
    assert not (tmp_path / "home" / "postgres").exists()
