"""When summaries are asked for: Dagster's own evaluation of their condition, on a real instance."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.settings import settings
from taxi_assets_tests.taxi_command import UNSET

MONTH, OTHER = "2020-04", "2019-02"
BLOCKING = {
    "green/clean_taxi": ("rows_accounted_for", "no_kept_row_breaks_a_rule", "month_not_empty"),
    "green/gcs_parquet": ("agrees_with_clean_taxi",),
    "taxi_zones": ("every_zone", "ids_unique"),
}
SUMMARIES = {"trips_per_day", "trips_per_zone_hour", "revenue_per_zone"}

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.Definitions]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**UNSET, "TAXI_HOME": str(tmp_path_factory.mktemp("home"))}.items():
            patch.setenv(name, value)
        settings.cache_clear()
        from taxi_assets.definitions import defs

        yield defs()
    settings.cache_clear()


class Evaluated:
    """The daemon's work, tick by tick."""

    def __init__(self, definitions: dg.Definitions) -> None:
        self.definitions, self.cursor = definitions, None
        self.instance = dg.DagsterInstance.ephemeral()

    def tick(self) -> set[tuple[str, str | None]]:
        found = dg.evaluate_automation_conditions(
            self.definitions, self.instance, asset_selection=dg.AssetSelection.groups("summaries"), cursor=self.cursor
        )
        self.cursor = found.cursor  # type: ignore[assignment]
        graph = self.definitions.resolve_asset_graph()
        asked: set[tuple[str, str | None]] = set()
        for key in graph.get_all_asset_keys():
            if graph.get(key).group_name == "summaries":
                name = key.to_user_string()
                if graph.get(key).is_partitioned:
                    asked |= {(name, month) for month in found.get_requested_partitions(key) if month}
        return asked

    def ran(self, *assets: str, month: str | None = None, broken: str | None = None) -> None:
        """A run that makes assets of these names, with the results of their blocking checks."""
        made = [made_up_asset(asset, month, broken) for asset in assets]
        assert dg.materialize(made, partition_key=month, instance=self.instance, raise_on_error=False).success

    def zones(self, broken: str | None = None) -> None:
        self.ran("taxi_zones", broken=broken)

    def cleaned(self, month: str, broken: str | None = None) -> None:
        self.ran("green/clean_taxi", month=month, broken=broken)

    def loaded(self, month: str, broken: str | None = None) -> None:
        self.ran("green/clean_taxi", "green/gcs_parquet", "green/bigquery_table", month=month, broken=broken)

    def summarized(self, month: str) -> None:
        self.ran(*(f"green/{summary}" for summary in SUMMARIES), month=month)


def made_up_asset(name: str, month: str | None, broken: str | None) -> dg.AssetsDefinition:
    """An asset of that name that loads nothing."""
    key, partitions = dg.AssetKey(name.split("/")), months_since("2019-01") if month else None
    specs = [dg.AssetCheckSpec(check, asset=key, partitions_def=partitions) for check in BLOCKING.get(name, ())]

    @dg.asset(key=key, partitions_def=partitions, check_specs=specs)
    def made() -> dg.MaterializeResult:  # type: ignore[type-arg]
        results = [dg.AssetCheckResult(check_name=spec.name, passed=spec.name != broken) for spec in specs]
        return dg.MaterializeResult(check_results=results)

    return made


@pytest.fixture
def evaluated(definitions: dg.Definitions) -> Iterator[Evaluated]:
    evaluated = Evaluated(definitions)
    evaluated.zones()
    yield evaluated
    evaluated.instance.dispose()


def all_of(month: str) -> set[tuple[str, str | None]]:
    return {(f"green/{name}", month) for name in SUMMARIES}


def test_a_month_that_lands_is_summarized_once(evaluated: Evaluated) -> None:
    assert evaluated.tick() == set()
    evaluated.loaded(MONTH)
    assert evaluated.tick() == all_of(MONTH)
    evaluated.summarized(MONTH)
    assert evaluated.tick() == set()


def test_a_month_that_landed_before_the_daemon_ever_ran(evaluated: Evaluated) -> None:
    evaluated.loaded(OTHER)
    assert evaluated.tick() == all_of(OTHER)
    evaluated.summarized(OTHER)
    assert evaluated.tick() == set()


def test_a_month_that_is_loaded_again_is_summarized_again(evaluated: Evaluated) -> None:
    evaluated.loaded(MONTH)
    evaluated.loaded(OTHER)
    evaluated.tick()
    for month in (MONTH, OTHER):
        evaluated.summarized(month)
    assert evaluated.tick() == set()
    evaluated.loaded(OTHER)
    assert evaluated.tick() == all_of(OTHER)


@pytest.mark.parametrize("check", [*BLOCKING["green/clean_taxi"], *BLOCKING["green/gcs_parquet"]])
def test_a_blocking_check_that_failed_holds_its_month_up_and_no_other(evaluated: Evaluated, check: str) -> None:
    evaluated.tick()
    evaluated.loaded(MONTH, broken=check)
    evaluated.loaded(OTHER)
    assert evaluated.tick() == all_of(OTHER)
    evaluated.loaded(MONTH)
    assert evaluated.tick() == all_of(MONTH)


def test_a_month_whose_new_version_fails_its_check_keeps_its_summaries(evaluated: Evaluated) -> None:
    evaluated.loaded(MONTH)
    evaluated.tick()
    evaluated.summarized(MONTH)
    evaluated.tick()
    evaluated.cleaned(MONTH, broken="month_not_empty")
    assert evaluated.tick() == set()
    evaluated.loaded(MONTH)
    assert evaluated.tick() == all_of(MONTH)


def test_a_month_that_is_only_cleaned_again_starts_nothing(evaluated: Evaluated) -> None:
    evaluated.loaded(MONTH)
    evaluated.tick()
    evaluated.summarized(MONTH)
    evaluated.tick()
    evaluated.cleaned(MONTH)
    assert evaluated.tick() == set()
    evaluated.cleaned(OTHER)
    assert evaluated.tick() == set()


def test_new_zones_are_joined_again(evaluated: Evaluated) -> None:
    evaluated.loaded(MONTH)
    evaluated.tick()
    evaluated.summarized(MONTH)
    evaluated.tick()
    evaluated.zones()
    assert evaluated.tick() == {("green/revenue_per_zone", MONTH)}


def test_zones_that_fail_their_check_hold_up_what_joins_with_them(evaluated: Evaluated) -> None:
    evaluated.zones(broken="every_zone")
    evaluated.loaded(MONTH)
    assert evaluated.tick() == all_of(MONTH) - {("green/revenue_per_zone", MONTH)}


def test_no_job_of_a_pipeline_holds_a_summary(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    summaries = {key for key in graph.get_all_asset_keys() if graph.get(key).group_name == "summaries"}
    assert {key.to_user_string() for key in summaries} == {"taxi_zones"} | {
        f"{service}/{name}" for service in ("yellow", "green") for name in SUMMARIES
    }
    for job in ("green_taxi_etl", "yellow_taxi_etl"):
        assert summaries.isdisjoint(definitions.resolve_job_def(job).asset_layer.executable_asset_keys)


def test_what_starts_them_runs_from_the_start_and_covers_each(definitions: dg.Definitions) -> None:
    sensors = {sensor.name: sensor for sensor in definitions.sensors or []}
    for name in ("summaries", "taxi_zones_publication", "local_files_folder"):
        assert sensors[name].default_status is dg.DefaultSensorStatus.RUNNING
    # Dagster's own sensor, which is stopped by default, would take over what this one leaves.
    found = definitions.get_repository_def().sensor_defs
    assert "default_automation_condition_sensor" not in [sensor.name for sensor in found]


@pytest.mark.parametrize("name", sorted(SUMMARIES))
def test_each_summary_says_what_it_is(definitions: dg.Definitions, name: str) -> None:
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["green", name]))
    assert node.owners
    assert node.description
    assert "bigquery" in node.kinds
    assert node.partitions_def
    assert node.metadata["dagster/table_name"] == f"mage.green_{name}"
    assert all(column.description for column in node.metadata["dagster/column_schema"].columns)
    (check,) = node.check_keys
    spec = definitions.resolve_asset_graph().get_check_spec(check)
    assert spec.partitions_def == node.partitions_def
