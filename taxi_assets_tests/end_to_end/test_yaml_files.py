"""YAML files as a person works with them: a pipeline is scaffolded; a broken file leaves the others working."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxi_assets.components.taxi_pipeline.scaffolder import scaffold
from taxi_assets.pipelines import PIPELINE
from taxi_assets_tests.project_copy import copy_project, of_copy
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import SCRIPT, Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]

APRIL = "2020-04"
COUNTS = EXCERPTS.counts("green", APRIL)


@dataclass(frozen=True)
class Copy:
    """A copy of the project, its folder of pipelines, and `taxi` there."""

    taxi: Taxi
    defs: Path

    def dg(self, *words: str) -> tuple[int, str]:
        """The exit code of `dg` in the copy, and what it prints."""
        done = subprocess.run(
            [str(SCRIPT.with_name("dg")), *words],
            cwd=self.defs.parent.parent,
            env=self.taxi.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def change(self, name: str, right: str, wrong: str) -> None:
        """Changes a file."""
        path = self.defs / name / "defs.yaml"
        path.write_text(path.read_text().replace(right, wrong, 1))


@pytest.fixture(scope="module")
@starts_server
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    defs = copy_project(tmp_path_factory.mktemp("checkout"))
    folder = tmp_path_factory.mktemp("yaml")
    (folder / "dg.toml").write_text("[cli.telemetry]\nenabled = false\n")
    taxi = Taxi(folder / "home", folder).having(TAXI_SOURCE_URL=EXCERPTS.url, DG_CLI_CONFIG=str(folder / "dg.toml"))
    found = Copy(of_copy(taxi, defs), defs)
    (defs / "third").mkdir()
    (defs / "third" / "defs.yaml").write_text(scaffold(PIPELINE, "third", "green"))
    yield found
    found.taxi.well("down")


@pytest.fixture
def broken(copied: Copy) -> Iterator[Copy]:
    """The copy while the third pipeline's file has a mistake."""
    copied.change("third", "shape: month", "shape: moth")
    yield copied
    copied.change("third", "shape: moth", "shape: month")


def test_a_scaffolded_pipeline_loads(copied: Copy) -> None:
    copied.taxi.well("run", "third", "--months", APRIL, "--only", "postgres")
    rows = copied.taxi.stored("ny_taxi.third")[APRIL] + copied.taxi.stored("ny_taxi.third_rejected")[APRIL]
    assert rows == COUNTS.rows


@pytest.mark.long
def test_dagster_scaffolds_a_valid_pipeline(copied: Copy) -> None:
    made = copied.dg("scaffold", "defs", "taxi_assets.components.TaxiPipeline", "fourth", "--service", "green")
    assert made == (0, f"Creating defs at {copied.defs / 'fourth'}.\n")
    code, said = copied.dg("check", "defs")
    assert (code, "All definitions loaded successfully." in said) == (0, True), said


def test_the_others_are_loaded_while_a_file_is_broken(broken: Copy) -> None:
    said = broken.taxi.well("run", "green", "--months", APRIL, "--only", "postgres").err
    assert "green: 1 loaded" in said
    assert "third/defs.yaml has a mistake in attributes.lake.shape" in said
    assert broken.taxi.stored("mage.green_taxi") == {APRIL: COUNTS.kept}


def test_a_command_of_the_broken_pipeline_says_what_is_wrong(broken: Copy) -> None:
    for words in (["run", "third", "--months", APRIL], ["verify", "third"], ["log", "third"]):
        said = broken.taxi(*words)
        assert said.code in (1, 2)
        assert "third/defs.yaml has a mistake in attributes.lake.shape" in said.err
        assert "did you mean 'month'?" in said.err


def test_a_command_of_all_pipelines_names_the_broken_file(broken: Copy) -> None:
    for words, code in (["verify"], 1), (["log"], 1), (["status"], 0):
        said = broken.taxi(*words)
        assert said.code == code, said.err
        assert "third/defs.yaml has a mistake in attributes.lake.shape" in said.err
        assert "did you mean 'month'?" in said.err


@pytest.mark.long
def test_doctor_and_the_check_of_the_definitions_fail(broken: Copy) -> None:
    said = broken.taxi("doctor")
    assert said.code == 1
    assert "did you mean 'month'?" in said.err
    code, out = broken.dg("check", "defs")
    assert code == 1
    assert "third/defs.yaml:" in out
    assert "'moth' is not one of ['month', 'date']" in out
    code, out = broken.dg("check", "defs", "--no-check-yaml")
    assert code == 1
    assert "third/defs.yaml has a mistake in attributes.lake.shape" in out
    assert "did you mean 'month'?" in out
    assert "Stack Trace" not in out


def test_a_mended_file_is_a_pipeline_again(copied: Copy) -> None:
    copied.taxi("run", "third", "--months", APRIL, "--only", "postgres")
    copied.change("third", "shape: month", "shape: moth")
    assert copied.taxi("run", "third", "--months", APRIL, "--only", "postgres").code in (1, 2)
    copied.change("third", "shape: moth", "shape: month")
    assert (
        "third: 0 loaded, 1 loaded already"
        in copied.taxi.well("run", "third", "--months", APRIL, "--only", "postgres").err
    )
    copied.taxi.well("verify")
