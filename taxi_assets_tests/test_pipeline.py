"""Pipelines as the command line reads them: without Dagster, and with a clear error for each file that is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from taxi_assets.errors import TaxiError
from taxi_assets.pipeline import pipeline_for, read_pipelines
from taxi_assets.trips.rules import Rule

TYPE = "type: taxi_assets.components.TaxiPipeline\n"
REST = "owners: [], start: 2020-05, postgres: {schema: a, table: b}"
GOOD = f"attributes: {{service: green, job: red_etl, reject: [], {REST}}}"


def write(folder: Path, text: str) -> Path:
    (folder / "red").mkdir()
    (folder / "red" / "defs.yaml").write_text(TYPE + text)
    return folder


def test_each_folder_is_a_pipeline(tmp_path: Path) -> None:
    found = read_pipelines(write(tmp_path, GOOD))["green"]
    assert (found.job, found.stores, found.first_month) == ("red_etl", {"postgres": "postgres_table"}, date(2020, 5, 1))


def test_ours_start_with_the_registry(tmp_path: Path) -> None:
    assert pipeline_for("yellow").first_month == date(2019, 1, 1)
    with pytest.raises(TaxiError, match="no pipeline for the service 'blue'") as raised:
        pipeline_for("blue")
    assert "green, yellow" in str(raised.value)


def test_a_new_rule_makes_a_new_version() -> None:
    yellow = pipeline_for("yellow")
    more = [*yellow.reject, Rule(column="trip_distance", at_most=0)]
    changed = yellow.model_copy(update={"reject": more})
    assert changed.version != yellow.version
    assert changed.model_copy(update={"reject": yellow.reject}).version == yellow.version


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("attributes: {service: [", "A pipeline's file is no YAML."),
        (f"attributes: {{service: green, reject: [], {REST}}}", "A pipeline's file lacks job."),
        (f"attributes: {{service: green, {REST}}}", "A pipeline's file lacks job and reject."),
        (f"attributes: {{{REST}}}", "A pipeline's file lacks service and job and reject."),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TaxiError, match=says) as raised:
        read_pipelines(write(tmp_path, text))
    assert str(tmp_path / "red" / "defs.yaml") in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "key", "says"),
    [
        ("jobb: x", "jobb", "no such key; the keys are service, job, owners, reject"),
        ("lake: {shape: week}", "lake.shape", "Input should be 'month' or 'date'"),
        ("schedule: {cron: 0 5 * * *, state: on}", "schedule.state", "Input should be 'running' or 'stopped'"),
        ("publication: {newest_months: 0}", "publication.newest_months", "1 or more"),
        ("freshness: {days: -1}", "freshness.days", "0 or more"),
        ("start: 20-05", "start", "a year and a month, like 2021-01"),
        ("reject: [{column: vendor_id, equals: x}]", "reject.0.equals", "a finite number"),
        ("service: red", "service", "no service 'red'; it has yellow, green"),
        ("bigquery: {dataset: a, table: b}", "attributes", "declare `lake` as well"),
        ("bigquery: {dataset: a, table: b, project: c}", "bigquery", "the keys are dataset and table"),
        ("postgres: {dataset: a, table: b}", "postgres", "the keys are schema and table"),
        ("postgres: {namespace: a, name: b}", "postgres", "the keys are schema and table"),
        ("postgres: {schema: '{{ env.A }}', table: b}", "postgres", "'{{ env.A }}' is a template"),
        ("schedule: {cron: '{{ env.A }}'}", "schedule.cron", "'{{ env.A }}' is a template"),
        ("job: '{{ env.A }}'", "job", "'{{ env.A }}' is a template"),
    ],
)
def test_a_key_that_is_wrong_is_named_with_what_is_allowed(tmp_path: Path, changed: str, key: str, says: str) -> None:
    document = yaml.safe_load(GOOD)
    document["attributes"].update(yaml.safe_load(changed))
    with pytest.raises(TaxiError, match="file is not valid") as raised:
        read_pipelines(write(tmp_path, yaml.safe_dump(document)))
    assert raised.value.details["Where"] == str(tmp_path / "red" / "defs.yaml")
    assert raised.value.details["Found"].startswith(f"{key}: ")
    assert says in raised.value.details["Found"]
    assert raised.value.details["Intact"] == "nothing was started"


def test_the_file_of_another_component_is_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "defs.yaml").write_text("type: taxi_assets.components.LocalFiles\nattributes: {}")
    assert read_pipelines(tmp_path) == {}
