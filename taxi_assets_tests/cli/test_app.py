"""The command's shape: help, version, completion, exit codes, and the page made from it."""

from __future__ import annotations

import os
import subprocess
from datetime import date
from pathlib import Path

import pytest
import typer

from taxi_assets.cli import completion
from taxi_assets.cli.app import EXAMPLES, app
from taxi_assets.cli.reference import reference
from taxi_assets.pipelines import read_pipelines
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets_tests.taxi_command import SCRIPT, UNSET


def taxi(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that starts no server."""
    environment = {**UNSET, "PATH": os.environ["PATH"], "TAXI_HOME": str(home), "COLUMNS": "80", **variables}
    return subprocess.run(
        [str(SCRIPT), *words], env=environment, cwd=home, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_page_of_the_command_is_that_of_the_code() -> None:
    page = (PROJECT_ROOT / "docs" / "cli.md").read_text()
    assert page == reference(), "it is stale: python -m taxi_assets.cli.reference > docs/cli.md"
    for lines in EXAMPLES.values():
        assert all(line in page for line in lines)


@pytest.mark.parametrize("words", [("-h",), ("run", "-h"), ("bq", "--help")])
def test_help_fits_and_touches_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = taxi(tmp_path, *words)
    assert said.returncode == 0
    assert said.stdout.startswith("Usage: taxi")
    assert max(map(len, said.stdout.splitlines())) <= 80
    assert "..." not in said.stdout.partition("Commands:")[2]
    assert not list(tmp_path.iterdir())


def test_the_version(tmp_path: Path) -> None:
    assert taxi(tmp_path, "--version").stdout == "taxi_assets 0.1.0\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ver", ["verify"]),
        ("run yel", ["yellow"]),
        ("run yellow --only po", ["postgres"]),
        ("run yellow --source m", ["mirror"]),
        ("run yellow --months 2019-1", ["2019-10", "2019-11", "2019-12"]),
        ("run yellow --months 2019-10:2020-1", [f"2019-10:2020-{month}" for month in (10, 11, 12)]),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, expected: list[str]) -> None:
    words = {"COMP_WORDS": f"taxi {line}", "COMP_CWORD": str(len(line.split()))}
    assert taxi(tmp_path, _TAXI_COMPLETE="complete_bash", **words).stdout.split() == expected


@pytest.mark.parametrize(("words", "number"), [(["2019-10", ":", "2020-1"], 6), (["2019-10", ":"], 5)])
def test_bash_completes_behind_the_colon_of_a_range(tmp_path: Path, words: list[str], number: int) -> None:
    """It breaks words at colons, and joins them by line ends."""
    joined = "\n".join(["taxi", "run", "yellow", "--months", *words])
    said = taxi(tmp_path, _TAXI_COMPLETE="complete_bash", COMP_WORDS=joined, COMP_CWORD=str(number))
    completed = said.stdout.split()
    assert {"2020-10", "2020-11", "2020-12"} <= set(completed)
    assert all(name.startswith("2020-1") for name in completed) == (number == 6)


def test_months_that_are_over_are_completed() -> None:
    context = typer.Context(typer.main.get_command(app))
    assert f"{date.today():%Y-%m}" not in completion.months(context, "20")
    assert completion.months(context, "out") == ["outdated"]
    assert completion.months(context, "2020-01:out") == []
    assert "2019-12" in completion.months(context, "2019")
    context.params["pipeline"] = "yellow"
    first = read_pipelines()["yellow"].first_month
    assert completion.months(context, "20")[0] == f"{first:%Y-%m}"
    assert completion.months(context, "2021-03:2021-0")[0] == "2021-03:2021-03"


@pytest.mark.parametrize(
    "words",
    [
        ("fly",),
        ("status", "--csv", "--json"),
        ("run", "yelow", "--months", "2021-01"),
        ("run", "yellow", "--months", "2021-13"),
        ("run", "yellow", "--months", "2021-01", "--only", "mysql"),
        ("run", "yellow", "--months", "2021-01", "--limit", "0"),
        ("verify", "--months", "x"),
        ("bq", ""),
        ("bq", "delete from ny_taxi.yellow_cab_data where true"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = taxi(tmp_path, *words)
    assert (said.returncode, said.stdout) == (2, "")
    assert "Error: " in said.stderr


def test_a_setting_that_is_none_ends_with_2(tmp_path: Path) -> None:
    said = taxi(tmp_path, "status", POSTGRES_PORT="many")
    assert (said.returncode, said.stdout) == (2, "")
    assert "The setting POSTGRES_PORT cannot be used" in said.stderr
