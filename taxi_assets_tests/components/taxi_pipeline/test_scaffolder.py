"""The file that `dg scaffold defs` writes: valid at once, with tables of its own."""

from __future__ import annotations

from pathlib import Path

import click
import dagster as dg
import pytest

from taxi_assets.components import TaxiPipeline
from taxi_assets.components.taxi_pipeline.scaffolder import PipelineParams, PipelineScaffolder, scaffold
from taxi_assets.pipelines import FOLDER, PIPELINE, read_files
from taxi_assets.trips.registry import service_names


def test_a_pipeline_whose_name_ends_like_a_table_of_rejected_rows(tmp_path: Path) -> None:
    folder = tmp_path / "all_rejected"
    folder.mkdir()
    (folder / "defs.yaml").write_text(scaffold(PIPELINE, folder.name, "green"))
    files = read_files(tmp_path)
    assert not files.broken
    assert str(files.valid[folder.name].postgres) == "ny_taxi.all_rejected_trips"


@pytest.mark.parametrize("service", service_names())
def test_the_file_of_each_service_is_valid_and_starts_nothing(tmp_path: Path, service: str) -> None:
    text = scaffold(PIPELINE, "third", service)
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "defs.yaml").write_text(text)
    for name in ("yellow", "green"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text((FOLDER / name / "defs.yaml").read_text())
    files = read_files(tmp_path)
    assert not files.broken
    made = files.valid["third"]
    assert (made.service, made.job, str(made.postgres)) == (service, "third_etl", "ny_taxi.third")
    assert made.schedule
    assert made.publication
    assert made.freshness
    assert {made.schedule.state, made.publication.state, made.freshness.state} == {"stopped"}
    assert max(map(len, text.splitlines())) <= 120


def test_a_table_that_another_pipeline_has_is_not_taken() -> None:
    assert "table: yellow_cab_data_2}" in scaffold(PIPELINE, "yellow_cab_data", "yellow")


@pytest.mark.parametrize(
    ("name", "service", "says"),
    [
        ("Third", "yellow", "lower-case letters and digits"),
        ("third", "yelow", "Do you mean 'yellow'?"),
        ("group/third", "yellow", "a folder of its own"),
    ],
)
def test_what_cannot_be_a_pipeline_is_refused_and_leaves_nothing(name: str, service: str, says: str) -> None:
    before = sorted(FOLDER.rglob("*"))
    folder = FOLDER / name
    folder.mkdir(parents=True)
    request = dg.ScaffoldRequest(PIPELINE, folder, "yaml", FOLDER.parent, PipelineParams(service=service))
    with pytest.raises(click.ClickException, match="Nothing was written") as raised:
        PipelineScaffolder().scaffold(request)
    assert says in raised.value.message
    assert sorted(FOLDER.rglob("*")) == before


def test_the_component_has_the_scaffolder_and_a_summary() -> None:
    assert (TaxiPipeline.__doc__ or "").startswith("One taxi service")
    assert TaxiPipeline.__scaffolder_cls__ is PipelineScaffolder  # type: ignore[attr-defined]
