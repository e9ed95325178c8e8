"""Mistakes in YAML files: file, line, column and key, what was found, what is allowed, the nearest word."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxi_assets.pipelines import FOLDER, read_files
from taxi_assets.yaml_files import InvalidYaml

GREEN = (FOLDER / "green" / "defs.yaml").read_text()
RULE_2, RULE_3 = "attributes.reject[1]", "attributes.reject[2]"


def broken(folder: Path, name: str, text: str) -> InvalidYaml:
    """The error of a file of this text beside the project's own, which stay valid."""
    for path in FOLDER.glob("*/defs.yaml"):
        (folder / path.parent.name).mkdir()
        (folder / path.parent.name / "defs.yaml").write_text(path.read_text())
    (folder / name / "defs.yaml").write_text(text)
    files = read_files(folder)
    assert set(files.broken) == {name}
    assert set(files.valid) == {"green", "yellow"} - {name}
    return files.broken[name]


@pytest.mark.parametrize(
    ("right", "wrong", "key", "found", "expected", "nearest"),
    [
        ("equals: 0", "equal: 0", f"{RULE_2}.equal", "the unknown key 'equal'", "equals, at_most", "equals"),
        ("equals: 0", "equals: zero", f"{RULE_2}.equals", "zero", "a finite number", None),
        ("equals: 0", "equals: 0, at_most: 1", RULE_2, "passenger_count, equals: 0", "exactly one of `missing", None),
        (": trip_dist", ": trip_dst", f"{RULE_3}.column", "trip_dstance", "numbers of green", "trip_distance"),
        (": trip_distance", ": store_and_fwd_flag", f"{RULE_3}.column", "store_and", "numbers of green", None),
        ("reject:", "rejct:", "attributes.rejct", "the unknown key 'rejct'", "owners, reject", "reject"),
        ("shape: date}", "shape: dates}", "attributes.lake.shape", "dates", "one of: month, date", "date"),
        ("{shape: date}", "date", "attributes.lake", "date", "keys and values", None),
        ("UTC, state: running", "UTC, state: runing", "attributes.schedule.state", "runing", "stopped", "running"),
        ("UTC, state: running", "UTC, state: on", "attributes.schedule.state", "on", "running, stopped", None),
        ("0 5 * * *", "0 25 * * *", "attributes.schedule.cron", '"0 25 * * *"', "hour 0 to 23", None),
        ("0 5 * * *", "0 5 * *", "attributes.schedule.cron", '"0 5 * *"', "five fields, minute", None),
        ("UTC", "Europe/Lodon", "attributes.schedule.timezone", "Europe/Lodon", "a time zone", "Europe/London"),
        ("days: 75", "days: soon", "attributes.freshness.days", "soon", "a whole number", None),
        ("days: 75", "days: true", "attributes.freshness.days", "true", "a whole number", None),
        ("days: 75", "days: -1", "attributes.freshness.days", "-1", "0 or more", None),
        ("[team:data", "[data", "attributes.owners[0]", "data-platform", "a team as team:name", "team:data-platform"),
        ("[team:data-platform]", "me", "attributes.owners", "me", "a list", None),
        ("service: green", "service: gren", "attributes.service", "gren", "green", "green"),
        ("service: green", "", "attributes.service", "the key is missing", "Name of the service", None),
        ("schema: mage", "schem: mage", "attributes.postgres.schem", "schem", "schema and table", "schema"),
        ("schema: mage", "schema: ''", "attributes.postgres.schema", "''", "a name", None),
        ("attributes:", "atributes:", "atributes", "the unknown key 'atributes'", "attributes", "attributes"),
        (".TaxiPipeline", ".TaxiPipelin", "type", "TaxiPipelin", "LocalFiles", "taxi_assets.components.TaxiPipeline"),
        ("type: taxi_assets.", "type: taxi_asset.", "type", "taxi_asset", "a component", None),
        ("job: green", "job: x\n  job: green", "attributes.job", "a second time; first: line 6", "each key once", None),
    ],
)
def test_a_typo_is_named_with_its_place(
    tmp_path: Path, right: str, wrong: str, key: str, found: str, expected: str, nearest: str | None
) -> None:
    text = GREEN.replace(right, wrong, 1)
    assert text != GREEN
    error = broken(tmp_path, "green", text)
    (mistake,) = error.mistakes
    assert mistake.key == key
    assert found in mistake.found
    assert expected in mistake.expected
    if nearest or mistake.key != "type":
        assert mistake.nearest == nearest
    line = text.splitlines()[mistake.place.line - 1]
    last = key.rpartition(".")[2].partition("[")[0]
    assert "missing" in found or last in line or mistake.found in line
    assert f"{tmp_path}/green/defs.yaml, line {mistake.place.line}, column {mistake.place.column}" in str(error)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "nothing: the file is empty"),
        ("# only a comment\n", 1, "nothing: the file is empty"),
        (GREEN.replace("  job:", "   job:"), 6, "mapping values are not allowed here"),
        (GREEN.replace("  job:", "\tjob:"), 6, "cannot start any token"),
        (GREEN.replace("  owners:", " owners:"), 7, "expected <block end>"),
        (GREEN.replace("running}", "running", 1), 21, "expected ',' or '}'"),
        (GREEN + "---\ntype: x\n", 24, "another document"),
        ("- a\n", 1, "- a"),
        ("green\n", 1, "green"),
        (GREEN.replace("service: green", "start: 2020-13-01"), 1, "month must be in 1..12"),
    ],
)
def test_a_file_that_is_no_yaml_is_named_with_the_line(tmp_path: Path, text: str, line: int, found: str) -> None:
    (mistake,) = broken(tmp_path, "green", text).mistakes
    assert mistake.place.line == line
    assert found in mistake.found


def test_a_file_of_another_ending_is_named(tmp_path: Path) -> None:
    (tmp_path / "green").mkdir()
    (tmp_path / "green" / "defs.yml").write_text(GREEN)
    error = read_files(tmp_path).broken["green"]
    assert error.path == tmp_path / "green" / "defs.yml"
    assert error.details["Expected"] == "a file of the name defs.yaml"


def test_all_mistakes_of_a_file_are_in_one_error(tmp_path: Path) -> None:
    text = (
        GREEN.replace("equals: 0", "equal: 0").replace("shape: date}", "shape: dates}").replace("days: 75", "day: 75")
    )
    error = broken(tmp_path, "green", text)
    assert [mistake.key for mistake in error.mistakes] == [
        f"{RULE_2}.equal",
        "attributes.lake.shape",
        "attributes.freshness.day",
    ]
    assert error.summary == f"{tmp_path}/green/defs.yaml has 3 mistakes."
    assert error.details["Found"].count("did you mean") == 3


@pytest.mark.parametrize(
    ("name", "right", "wrong", "key", "nearest"),
    [
        ("summaries", "pipeline: green", "pipeline: gren", "attributes.pipelines[1].pipeline", "green"),
        ("summaries", "trips_per_day:", "trip_per_day:", "attributes.pipelines[0].trip_per_day", "trips_per_day"),
        ("summaries", "zones: {dataset:", "zones: {datset:", "attributes.taxi_zones.datset", "dataset"),
        ("summaries", "state: running", "state: runing", "attributes.state", "running"),
        ("local_files", "dataset:", "datset:", "attributes.datset", "dataset"),
        ("local_files", "state: running", "state: runing", "attributes.state", "running"),
    ],
)
def test_summaries_and_local_files_are_checked_alike(
    tmp_path: Path, name: str, right: str, wrong: str, key: str, nearest: str
) -> None:
    text = (FOLDER / name / "defs.yaml").read_text()
    (mistake,) = broken(tmp_path, name, text.replace(right, wrong, 1)).mistakes
    assert mistake.key == key
    assert mistake.nearest == nearest


@pytest.mark.parametrize(
    ("right", "wrong", "key", "says"),
    [
        ("mage, table: green_trips_per_day", "mage, table: green_taxi", "trips_per_day", "that of the pipeline green"),
        ("table: green_trips_per_day", "table: Green_taxi", "trips_per_day", "that of the pipeline green"),
        ("table: green_trips_per_day", "table: Green_taxi_Rejected", "trips_per_day.table", "like a table of rejected"),
        (
            "table: green_trips_per_day",
            "table: green_revenue_per_zone",
            "revenue_per_zone",
            "pipelines.1.trips_per_day",
        ),
        ("pipeline: green", "pipeline: yellow", "pipeline", "each pipeline once"),
    ],
)
def test_each_summary_has_a_table_of_its_own(tmp_path: Path, right: str, wrong: str, key: str, says: str) -> None:
    text = (FOLDER / "summaries" / "defs.yaml").read_text()
    (mistake,) = broken(tmp_path, "summaries", text.replace(right, wrong, 1)).mistakes
    assert mistake.key == f"attributes.pipelines[1].{key}"
    assert says in mistake.expected


def test_summaries_of_a_pipeline_whose_file_is_broken_are_not_broken(tmp_path: Path) -> None:
    assert broken(tmp_path, "yellow", "type: [").mistakes


def test_the_file_of_another_package_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "dbt").mkdir()
    (tmp_path / "dbt" / "defs.yaml").write_text("type: dagster.PythonScriptComponent\nattributes: {anything: 1}\n")
    assert not read_files(tmp_path).broken
