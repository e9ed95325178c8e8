"""One broken file leaves the others working, and Dagster shows it: in the UI, in the daemon's log, as an alert."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import dagster as dg
import pytest

from taxi_assets import definitions
from taxi_assets.alerts import sensor
from taxi_assets.components.folders import load_folders
from taxi_assets.pipelines import FOLDER, read_files
from taxi_assets.settings import Settings
from taxi_assets_tests.receivers import http_receiver

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning"),
    # A module of one test must not be that of the next.
    pytest.mark.usefixtures("forgotten"),
]

Load = Callable[[], dg.RepositoryDefinition]


@pytest.fixture
def forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("copied_defs")]:
        del sys.modules[name]
    read_files.cache_clear()


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder of pipelines, as a package."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return copytree(FOLDER, tmp_path / "copied_defs")


@pytest.fixture
def load(defs: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads the project's definitions with the copied folder, as a new code server does."""

    def load() -> dg.RepositoryDefinition:
        read_files.cache_clear()
        monkeypatch.setattr(definitions, "load_folders", lambda module: load_folders("copied_defs"))
        made: dg.Definitions = definitions.defs.load_fn.__wrapped__()  # type: ignore[attr-defined]
        return made.get_repository_def()

    return load


def change(defs: Path, name: str, right: str, wrong: str) -> None:
    path = defs / name / "defs.yaml"
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))


def names(repository: dg.RepositoryDefinition) -> dict[str, set[str]]:
    return {
        "jobs": set(repository.job_names),
        "schedules": {schedule.name for schedule in repository.schedule_defs},
        "sensors": {found.name for found in repository.sensor_defs},
        "groups": {node.group_name for node in repository.asset_graph.asset_nodes if node.group_name},
    }


WRONG = [
    ("equals: 0", "equal: 0"),
    ("service: yellow", "service: [yellow"),
    ("  job: yellow_taxi_etl", "   job: yellow_taxi_etl"),
    ("TaxiPipeline", "TaxiPipelines"),
]


@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_the_other_pipelines_are_as_they_were(load: Load, defs: Path, right: str, wrong: str) -> None:
    before = load()
    change(defs, "yellow", right, wrong)
    after = load()
    had, has = names(before), names(after)
    assert has["schedules"] == had["schedules"], "a schedule that is gone loses its state"
    assert has["jobs"] == had["jobs"] - {"yellow_freshness"}
    assert has["sensors"] == had["sensors"] - {"yellow_publication"} | {"yellow_file_is_valid"}
    # The summaries of the project's own yellow are made; they depend on assets that are not there.
    assert has["groups"] - {"default"} == had["groups"]
    for name in ("green_taxi_etl_schedule", "green_freshness_schedule"):
        assert after.get_schedule_def(name).default_status == dg.DefaultScheduleStatus.RUNNING


def test_the_ui_shows_the_error_in_the_place_of_the_pipeline(load: Load, defs: Path) -> None:
    change(defs, "yellow", *WRONG[0])
    repository = load()
    key = dg.AssetKey(["yellow", "defs_yaml"])
    node = repository.asset_graph.get(key)
    assert node.group_name == "yellow"
    assert node.owners == ["team:data-platform"]
    assert "line 12, column 33" in str(node.description)
    assert "did you mean 'equals'?" in str(node.description)
    (reference,) = node.metadata["dagster/code_references"].code_references
    assert reference.file_path == str(defs / "yellow" / "defs.yaml")
    assert dg.AssetCheckKey(key, "file_is_valid") in repository.asset_graph.asset_check_keys
    for described in (repository.get_job("yellow_taxi_etl"), repository.get_schedule_def("yellow_taxi_etl_schedule")):
        assert "has a mistake in attributes.reject[1].equal" in str(described.description)


def test_the_job_of_a_broken_file_fails_with_its_error(load: Load, defs: Path, instance: dg.DagsterInstance) -> None:
    change(defs, "yellow", *WRONG[0])
    job = load().get_job("yellow_taxi_etl")
    ended = job.execute_in_process(instance=instance, raise_on_error=False)
    (failed,) = [event for event in ended.all_events if event.is_step_failure]
    assert "did you mean 'equals'?" in str(failed.step_failure_data.user_failure_data)


def test_a_broken_file_starts_nothing_by_itself(load: Load, defs: Path) -> None:
    change(defs, "yellow", *WRONG[0])
    schedule = load().get_schedule_def("yellow_taxi_etl_schedule")
    answer = schedule.evaluate_tick(dg.build_schedule_context())
    assert not answer.run_requests
    assert "has a mistake in attributes.reject[1].equal" in str(answer.skip_message)


def test_two_that_claim_the_same_are_both_shown(load: Load, defs: Path) -> None:
    copytree(defs / "yellow", defs / "amber")
    found = names(load())
    assert {"amber_file_is_valid", "yellow_file_is_valid"} <= found["sensors"]
    assert {"amber", "yellow", "green"} <= found["groups"]
    assert "yellow_taxi_etl" in found["jobs"]


def test_what_only_dagster_finds_breaks_no_other_pipeline(load: Load, defs: Path) -> None:
    change(defs, "yellow", '"0 6 15 * *"', '"0 6 31 2 *"')
    (defs / "other").mkdir()
    (defs / "other" / "defs.py").write_text("import no_such_module\n")
    repository = load()
    description = str(repository.asset_graph.get(dg.AssetKey(["yellow", "defs_yaml"])).description)
    assert "Dagster cannot load yellow." in description
    assert "0 6 31 2 *" in description
    assert "no_such_module" in str(repository.asset_graph.get(dg.AssetKey(["other", "defs_yaml"])).description)
    assert "green_taxi_etl" in repository.job_names


def test_dagsters_check_of_the_definitions_fails_with_every_error(
    load: Load, defs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_IS_DEFS_VALIDATION_CLI", "1")
    load()
    change(defs, "yellow", *WRONG[0])
    with pytest.raises(dg.DagsterError, match=r"yellow/defs.yaml has a mistake in attributes.reject") as raised:
        load()
    # Dagster prints the text of such an error, and this stack.
    assert [info.stack for info in vars(raised.value)["user_code_process_error_infos"]] == [[]]
    change(defs, "green", "shape: date", "shape: dates")
    with pytest.raises(dg.DagsterError, match="2 files are broken") as raised:
        load()
    assert "did you mean 'equals'?" in str(raised.value)
    assert "did you mean 'date'?" in str(raised.value)


def test_an_alert_names_a_broken_file_once_and_again_when_it_changes(
    load: Load, defs: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor: str | None = None

    def tick() -> list[dict[str, Any]]:
        """What the daemon does: the sensor of the file, then that of the alerts."""
        nonlocal cursor
        repository = load()
        context = dg.build_sensor_context(instance, cursor=cursor, repository_def=repository)
        skipped = repository.get_sensor_def("yellow_file_is_valid")(context)
        assert "yellow/defs.yaml has " in str(skipped)
        cursor = context.cursor
        sensor.alerts(dg.build_sensor_context(instance, repository_def=repository))
        new, receiver.got[:] = [body for _, body in receiver.got], []
        return new

    with http_receiver() as receiver:
        monkeypatch.setattr(sensor, "SETTLE_SECONDS", -1.0)
        settings = Settings(taxi_alert_webhook_url=f"{receiver.url}/alerts")
        monkeypatch.setattr(sensor, "settings", lambda: settings)
        change(defs, "yellow", *WRONG[0])
        (alert,) = tick()
        assert alert["severity"] == "error"
        assert alert["assets"] == ["yellow/defs_yaml"]
        assert alert["owners"] == ["team:data-platform"]
        assert "yellow/defs.yaml has a mistake in attributes.reject[1].equal" in alert["why"]["summary"]
        assert "line 12, column 33" in alert["why"]["details"]["Where"]
        assert "all others work as before" in alert["intact"]
        assert "did you mean 'equals'?" in alert["next_step"]
        assert tick() == []
        change(defs, "yellow", "shape: month", "shape: moth")
        (alert,) = tick()
        assert "2 mistakes" in alert["why"]["summary"]
