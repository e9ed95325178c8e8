"""What a run that executed nothing says of its failure."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import dagster as dg
import pytest

from taxi_assets import pipelines
from taxi_assets.alerts.runs import EndedRun
from taxi_assets.instance.dagster_private import EngineEventData, error_without_stack
from taxi_assets_tests.alerts.small_runs import job, repository


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder of pipelines."""
    monkeypatch.setattr(pipelines, "FOLDER", copytree(pipelines.FOLDER, tmp_path / "defs"))
    return pipelines.FOLDER


def ended(instance: dg.DagsterInstance) -> EndedRun:
    """A run whose process could not begin, as the run monitoring of the daemon leaves it."""
    run = instance.create_run_for_job(job_def=repository.get_job(str(job.name)), tags={"dagster/partition": "2020-04"})
    (error,) = vars(error_without_stack("DagsterInvalidConfigError: Unexpected config entry"))[
        "user_code_process_error_infos"
    ]
    instance.report_engine_event("An exception was thrown.", run, EngineEventData(error=error))
    instance.report_run_failed(run)
    found = instance.get_run_by_id(run.run_id)
    assert found
    return EndedRun.read(instance, found)


def test_it_names_the_file_of_its_pipeline_that_is_broken(defs: Path, instance: dg.DagsterInstance) -> None:
    path = defs / "green" / "defs.yaml"
    path.write_text(path.read_text().replace("shape: date", "shape: dates"))
    reason = ended(instance).failure
    assert reason.summary == f"{path} has a mistake in attributes.lake.shape."
    assert reason.details["Next"] == "correct the file: did you mean 'date'?"


def test_it_gives_the_error_of_dagster_otherwise(defs: Path, instance: dg.DagsterInstance) -> None:
    path = defs / "yellow" / "defs.yaml"
    path.write_text(path.read_text().replace("shape: month", "shape: moth"))
    assert "Unexpected config entry" in ended(instance).failure.summary
