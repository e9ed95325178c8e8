"""Pipelines as the command line reads them: without Dagster, and with a clear error for each file that is wrong."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from taxi_assets.errors import UsageError
from taxi_assets.pipelines import pipeline_for, read_files, read_pipelines
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets.trips import registry
from taxi_assets.trips.rules import Rule
from taxi_assets_tests.registry import FHV
from taxi_assets_tests.trips import livery

TYPE = "type: taxi_assets.components.TaxiPipeline\n"
REST = "owners: [], start: 2020-05, postgres: {schema: a, table: b}"
GOOD = f"attributes: {{service: green, job: red_etl, reject: [], {REST}}}"


def write(folder: Path, text: str) -> Path:
    (folder / "red").mkdir()
    (folder / "red" / "defs.yaml").write_text(TYPE + text)
    return folder


def test_each_folder_is_a_pipeline(tmp_path: Path) -> None:
    found = read_pipelines(write(tmp_path, GOOD))["red"]
    assert (found.name, found.service, found.key("raw_taxi")) == ("red", "green", ["red", "raw_taxi"])
    assert (found.job, found.stores, found.first_month) == ("red_etl", {"postgres": "postgres_table"}, date(2020, 5, 1))


def test_ours_start_with_the_registry(tmp_path: Path) -> None:
    assert pipeline_for("yellow").first_month == date(2019, 1, 1)
    with pytest.raises(UsageError, match="There is no pipeline 'blue'") as raised:
        pipeline_for("blue")
    assert "green, yellow" in str(raised.value)


@pytest.mark.parametrize(("typed", "meant"), [("gren", "green"), ("YELLOW", "yellow"), ("yelow", "yellow")])
def test_an_unknown_name_comes_with_the_nearest_one(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"There is no pipeline '{typed}'. Do you mean '{meant}'?"):
        pipeline_for(typed)


def test_the_folder_names_the_pipeline_and_its_job_unless_the_file_does(tmp_path: Path) -> None:
    short = f"attributes: {{service: green, reject: [], {REST}}}"
    assert read_pipelines(write(tmp_path, short))["red"].job == "red_etl"
    named = yaml.safe_load(short)
    named["attributes"]["name"] = "green_strict"
    (tmp_path / "red" / "defs.yaml").write_text(TYPE + yaml.safe_dump(named))
    read_files.cache_clear()
    (found,) = read_pipelines(tmp_path).values()
    assert (found.name, found.job, found.service) == ("green_strict", "green_strict_etl", "green")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Red", "lower-case letters and digits"),
        ("2red", "a letter first"),
        ("red-cab", "joined by single underscores"),
        ("red__cab", "joined by single underscores"),
        ("red_", "joined by single underscores"),
        ("r" * 41, "40 characters at most"),
        ("rejected", "are reserved"),
        ("files", "are reserved"),
    ],
)
def test_a_name_that_a_store_does_not_take_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "defs.yaml").write_text(TYPE + GOOD)
    error = read_files(tmp_path).broken[name]
    assert error.mistakes[0].key == "attributes.name"
    assert says in error.details["Expected"]
    assert error.details["Where"].startswith(f"{tmp_path / name / 'defs.yaml'}, line ")


def test_a_new_rule_makes_a_new_version() -> None:
    yellow = pipeline_for("yellow")
    more = [*yellow.reject, Rule(column="trip_distance", at_most=0)]
    changed = yellow.model_copy(update={"reject": more})
    assert changed.version != yellow.version
    assert changed.model_copy(update={"reject": yellow.reject}).version == yellow.version


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("attributes: {service: [", "expected the node content"),
        (f"attributes: {{service: green, {REST}}}", "a mistake in attributes.reject."),
        (f"attributes: {{{REST}}}", "attributes.service: found nothing"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    error = read_files(write(tmp_path, text)).broken["red"]
    assert says in str(error)
    assert str(tmp_path / "red" / "defs.yaml") in str(error)


@pytest.mark.parametrize(
    ("changed", "key", "says"),
    [
        ("jobb: x", "jobb", "one of: name, service, job, owners, reject"),
        ("lake: {shape: week}", "lake.shape", "one of: month, date"),
        ("schedule: {cron: 0 5 * * *, state: on}", "schedule.state", "one of: running, stopped"),
        ("publication: {newest_months: 0}", "publication.newest_months", "1 or more"),
        ("freshness: {days: -1}", "freshness.days", "0 or more"),
        ("start: 20-05", "start", "a year and a month, like 2021-01"),
        ("start: 2010-01", "start", "2019-01 or later, the months of green that the registry of columns knows"),
        ("{service: yellow, lake: {shape: date}}", "lake.shape", "month: yellow has no column with the day of pickup"),
        ("reject: [{column: vendor_id, equals: x}]", "reject[0].equals", "a finite number"),
        ("service: red", "service", "one of: fhv, green, yellow"),
        ("bigquery: {dataset: a, table: b}", "bigquery", "`lake` beside `bigquery`"),
        ("bigquery: {dataset: a, table: b, project: c}", "bigquery.project", "the keys dataset and table"),
        ("postgres: {dataset: a, table: b}", "postgres.dataset", "the keys schema and table"),
        ("postgres: {namespace: a, name: b}", "postgres.name", "the keys schema and table"),
        ("postgres: {schema: '{{ env.A }}', table: b}", "postgres", "a template is resolved by Dagster alone"),
        ("postgres: {schema: taxi_assets, table: b}", "postgres.schema", "taxi_assets, trial are reserved"),
        ("postgres: {schema: pg_catalog, table: b}", "postgres.schema", "does not begin with pg_"),
        ("postgres: {schema: a, table: %s}" % ("b" * 47), "postgres.table", "46 bytes at most"),
        ("postgres: {schema: a, table: b_2020_04}", "postgres.table", "does not end like a partition's"),
        ("postgres: {schema: a, table: b_rejected}", "postgres.table", "or a table of rejected rows"),
        ("bigquery: {dataset: a, table: b_rejected}", "bigquery.table", "like a table of rejected rows"),
        ("bigquery: {dataset: a, table: b_Rejected}", "bigquery.table", "like a table of rejected rows"),
        ("bigquery: {dataset: my-set, table: b}", "bigquery.dataset", "letters, digits and _"),
        ("bigquery: {dataset: a, table: b.c}", "bigquery.table", "letters, digits, _ and -"),
        ("bigquery: {dataset: a, table: taxi_assets_load_log}", "bigquery.table", "are reserved"),
        ("schedule: {cron: '{{ env.A }}'}", "schedule.cron", "a template is resolved by Dagster alone"),
        ("job: my-job", "job", "letters, digits and underscores"),
        ("job: '{{ env.A }}'", "job", "a template is resolved by Dagster alone"),
    ],
)
def test_a_key_that_is_wrong_is_named_with_what_is_allowed(tmp_path: Path, changed: str, key: str, says: str) -> None:
    document = yaml.safe_load(GOOD)
    document["attributes"].update(yaml.safe_load(changed))
    error = read_files(write(tmp_path, yaml.safe_dump(document))).broken["red"]
    (mistake,) = error.mistakes
    assert mistake.key == f"attributes.{key}"
    assert says in error.details["Expected"]
    assert error.details["Where"].startswith(f"{tmp_path / 'red' / 'defs.yaml'}, line ")
    assert error.details["Intact"].startswith("nothing was started")


def test_the_file_of_another_component_is_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "defs.yaml").write_text(
        "type: taxi_assets.components.LocalFiles\nattributes: {owners: [], dataset: files}"
    )
    found = read_files(tmp_path)
    assert (found.valid, found.broken) == ({}, {})


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of services besides that of pipelines, with the one of `livery`."""
    monkeypatch.setattr(registry, "FOLDER", livery.declare(tmp_path / "services"))
    return tmp_path / "services"


def test_a_pipeline_of_a_declared_service_starts_with_it(tmp_path: Path, services: Path) -> None:
    (tmp_path / "defs" / "blue").mkdir(parents=True)
    (tmp_path / "defs" / "blue" / "defs.yaml").write_text(livery.PIPELINE)
    blue = read_pipelines(tmp_path / "defs")["blue"]
    assert (blue.service, blue.trips.name, blue.start) == ("livery", "livery", "2020-01")
    assert blue.first_month == blue.trips.first_month == date(2020, 1, 1)


def test_a_broken_service_breaks_its_pipelines_alone(tmp_path: Path, services: Path) -> None:
    (services / "other.yaml").write_text(livery.SERVICE.replace("title", "titel"))
    for name, service in (("blue", "livery"), ("black", "other")):
        (tmp_path / "defs" / name).mkdir(parents=True)
        text = livery.PIPELINE.replace("service: livery", f"service: {service}").replace(
            "table: livery", f"table: {name}"
        )
        (tmp_path / "defs" / name / "defs.yaml").write_text(text)
    found = read_files(tmp_path / "defs")
    assert list(found.valid) == ["blue"]
    assert "did you mean 'title'?" in str(found.broken["black"])
    assert str(services / "other.yaml") in found.broken["black"].details["Where"]


def test_the_examples_of_the_documents_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (PROJECT_ROOT / "docs" / "service_files.md").read_text()
    service, pipeline = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    monkeypatch.setattr(registry, "FOLDER", livery.declare(tmp_path / "services", service, "fhv"))
    (tmp_path / "defs" / "fhv").mkdir(parents=True)
    (tmp_path / "defs" / "fhv" / "defs.yaml").write_text(pipeline)
    read = read_pipelines(tmp_path / "defs")["fhv"].trips
    own = {(column.name, column.type) for column in FHV.columns}
    assert {(column.name, column.type) for column in read.columns} <= own
