"""Pipelines as the command line reads them: without Dagster, and with a clear error for each file that is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.pipeline import pipeline_of, pipelines

GOOD = "attributes: {service: red, job: red_etl, reject: [], start: 2020-05, postgres: {schema: a, table: b}}"


def write(folder: Path, text: str) -> Path:
    (folder / "red").mkdir()
    (folder / "red" / "defs.yaml").write_text(text)
    return folder


def test_each_folder_is_a_pipeline(tmp_path: Path) -> None:
    found = pipelines(write(tmp_path, GOOD))["red"]
    assert (found.job, found.stores, found.start) == ("red_etl", {"postgres": "postgres_table"}, date(2020, 5, 1))


def test_ours_start_with_the_registry(tmp_path: Path) -> None:
    assert pipeline_of("yellow").start == date(2019, 1, 1)
    with pytest.raises(TaxiError, match="no pipeline for the service 'blue'") as raised:
        pipeline_of("blue")
    assert "green, yellow" in str(raised.value)


def test_a_new_rule_makes_a_new_version() -> None:
    yellow = pipeline_of("yellow")
    more = [*yellow.attributes["reject"], {"column": "trip_distance", "at_most": 0}]
    changed = replace(yellow, attributes={**yellow.attributes, "reject": more})
    assert changed.cleaning_version() != yellow.cleaning_version()
    assert replace(changed, attributes=yellow.attributes).cleaning_version() == yellow.cleaning_version()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("attributes: {service: [", "A pipeline's file is no YAML."),
        ("attributes: {service: red, reject: []}", "A pipeline's file lacks job."),
        ("attributes: {service: red}", "A pipeline's file lacks job and reject."),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(TaxiError, match=says) as raised:
        pipelines(write(tmp_path, text))
    assert str(tmp_path / "red" / "defs.yaml") in str(raised.value)
