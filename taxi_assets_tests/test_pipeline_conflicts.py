"""Two pipelines that would write the same: refused where they are read, or where a setting mixes their tables."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import yaml

from taxi_assets.components import TaxiPipeline
from taxi_assets.components.taxi_pipeline import assets
from taxi_assets.environment import Environment
from taxi_assets.errors import UsageError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipeline_conflicts import refuse_mixing
from taxi_assets.pipelines import read_files
from taxi_assets.settings import settings
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.trips.table import TripTable
from taxi_assets.yaml_files import InvalidYaml
from taxi_assets_tests.stores.months import cleaned


def attributes(table: str, **more: object) -> dict[str, object]:
    return {
        "service": "green",
        "owners": [],
        "reject": [],
        "postgres": {"schema": "a", "table": table},
        "lake": {"shape": "month"},
        "bigquery": {"dataset": "a", "table": table},
        "schedule": {"cron": "0 5 * * *"},
        "publication": {},
        "freshness": {"days": 75},
        **more,
    }


def write(defs: Path, folder: str, table: str, **more: object) -> Path:
    (defs / folder).mkdir(parents=True)
    document = {"type": "taxi_assets.components.TaxiPipeline", "attributes": attributes(table, **more)}
    path = defs / folder / "defs.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def spec(name: str, **more: object) -> PipelineSpec:
    return PipelineSpec.model_validate({"name": name, **attributes(name, **more)})


def test_folders_with_tables_of_their_own_are_pipelines_of_one_service(tmp_path: Path) -> None:
    for name in ("green", "green_strict", "greener"):
        write(tmp_path, name, name)
    found = read_files(tmp_path)
    assert not found.broken
    assert {name: pipeline.service for name, pipeline in found.valid.items()} == {
        "green": "green",
        "green_strict": "green",
        "greener": "green",
    }
    names: Counter[str] = Counter()
    context = dg.ComponentTree.for_test().load_context
    for pipeline in found.valid.values():
        made = TaxiPipeline.model_validate(dict(pipeline)).build_defs(context)
        nodes = [*(made.assets or ()), *(made.asset_checks or ())]
        names.update(node.node_def.name for node in nodes if isinstance(node, dg.AssetsDefinition))
        for each in (*(made.jobs or ()), *(made.schedules or ()), *(made.sensors or ())):
            names[getattr(each, "name", "")] += 1
    assert set(names.values()) == {1}, names
    assert {"green_etl", "green_strict__raw_taxi", "greener_clean_checks", "green_strict_publication"} <= set(names)


@pytest.mark.parametrize(
    ("second", "key", "shared"),
    [
        (
            {"postgres": {"schema": "a", "table": "green"}},
            "postgres",
            "table of PostgreSQL 'a.green'",
        ),
        ({"bigquery": {"dataset": "a", "table": "green"}}, "bigquery", "table of BigQuery 'a.green'"),
        ({"bigquery": {"dataset": "A", "table": "Green"}}, "bigquery", "table of BigQuery 'a.green'"),
        ({"job": "green_etl"}, "job", "job 'green_etl'"),
        ({"job": "green_freshness"}, "job", "job 'green_freshness'"),
        ({"name": "green"}, "name", "name 'green'"),
    ],
)
def test_two_that_would_write_the_same_are_refused_and_both_files_named(
    tmp_path: Path, second: dict[str, object], key: str, shared: str
) -> None:
    first, third = write(tmp_path, "green", "green"), write(tmp_path, "third", "third")
    other = write(tmp_path, "strict", "other", **second)
    found = read_files(tmp_path)
    assert set(found.valid) == {"third"}
    assert {name: error.path for name, error in found.broken.items()} == {"green": first, "strict": other}
    for error, named in ((found.broken["green"], other), (found.broken["strict"], first)):
        said = [mistake for mistake in error.mistakes if f"the {shared}, which {named} has, too" in mistake.found]
        assert len(said) == 1, error
        assert str(third) not in str(error)
    assert f"attributes.{key}" in {mistake.key for mistake in found.broken["strict"].mistakes}


def test_dagster_refuses_them_too(tmp_path: Path) -> None:
    write(tmp_path, "green", "trips")
    write(tmp_path, "strict", "trips")
    context = dg.ComponentTree.for_test().load_context
    for folder, other in (("green", "strict"), ("strict", "green")):
        with pytest.raises(InvalidYaml) as raised:
            TaxiPipeline.load(None, context.for_path(tmp_path / folder))
        assert str(tmp_path / other / "defs.yaml") in str(raised.value)


def environment(schema: str | None = None, dataset: str | None = None) -> Environment:
    return Environment.here().completed({"postgres": {"schema": schema}, "bigquery": {"dataset": dataset}})


def test_a_setting_that_makes_two_tables_one_is_named_before_a_load_mixes_them() -> None:
    day = spec("day", postgres={"schema": "day", "table": "trips"}, bigquery={"dataset": "day", "table": "trips"})
    night = spec("night", postgres={"schema": "night", "table": "trips"}, bigquery={"dataset": "n", "table": "trips"})
    both = {"day": day, "night": night}
    refuse_mixing(day, both, ["postgres", "lake", "bigquery"], environment())
    refuse_mixing(day, both, ["lake", "bigquery"], environment(schema="shared"))
    with pytest.raises(UsageError, match=r"day and night would both load into shared\.trips") as raised:
        refuse_mixing(day, both, ["postgres"], environment(schema="shared"))
    assert "POSTGRES_SCHEMA=shared" in raised.value.details["Found"]
    assert "day.trips and night.trips" in raised.value.details["Found"]
    with pytest.raises(UsageError, match=r"night and day would both load into shared\.trips") as raised:
        refuse_mixing(night, both, ["bigquery"], environment(dataset="shared"))
    assert "BIGQUERY_DATASET=shared" in raised.value.details["Found"]


def test_trials_of_two_tables_of_one_name_do_not_mix() -> None:
    day = spec("day", postgres={"schema": "day", "table": "trips"})
    night = spec("night", postgres={"schema": "night", "table": "trips"})
    both = {"day": day, "night": night}
    with pytest.raises(UsageError, match=r"would both load into trial\.trips") as raised:
        refuse_mixing(night, both, ["postgres"], environment(), trial=True)
    assert "the schema 'trial' of trials" in raised.value.details["Found"]
    refuse_mixing(night, {"night": night}, ["postgres"], environment(), trial=True)


class _Rows(dg.IOManager):
    """Gives the rows of a month; nothing may be written."""

    def __init__(self, month: CleanedMonth) -> None:
        self.rows = {"clean_taxi": month.kept, "rejected_taxi": month.rejected}
        self.written: list[object] = []

    def load_input(self, context: dg.InputContext) -> TripTable:
        return self.rows[context.asset_key.path[-1]]

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        self.written.append(obj)


@pytest.mark.parametrize(("schema", "written"), [("", 1), ("shared", 0)])
def test_whoever_starts_it_a_run_that_would_mix_them_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: str, written: int
) -> None:
    day, night = (
        spec(name, service="yellow", postgres={"schema": name, "table": "trips"}) for name in ("day", "night")
    )
    monkeypatch.setattr(assets, "read_pipelines", lambda: {"day": day, "night": night})
    monkeypatch.setenv("POSTGRES_SCHEMA", schema)
    settings.cache_clear()
    rows = _Rows(cleaned(tmp_path))
    upstream = [
        dg.AssetSpec(day.key(name), metadata={"dagster/io_manager_key": "postgres_tables"}) for name in rows.rows
    ]
    result = dg.materialize(
        [assets.postgres_table(day), *upstream],
        partition_key="2021-01",
        resources={"postgres_tables": rows},
        raise_on_error=False,
        instance=dg.DagsterInstance.ephemeral(),
    )
    settings.cache_clear()
    assert (result.success, len(rows.written)) == (bool(written), written)
    if not written:
        (failure,) = result.filter_events(lambda event: event.is_step_failure)
        assert "day and night would both load into shared.trips" in str(failure.event_specific_data)
