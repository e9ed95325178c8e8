"""The summaries of a real month in BigQuery, through Dagster, compared with what pandas says of the file itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from taxi_assets.components import Summaries
from taxi_assets.components.summaries.zones import read_zones
from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.errors import TaxiError
from taxi_assets.pipelines import FOLDER, Pipelines, pipeline_for
from taxi_assets.settings import settings
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.specs import SummaryTables
from taxi_assets.stores.bigquery.io_manager import ArrowTableIOManager, DataFrameIOManager
from taxi_assets.stores.bigquery.load import load_month
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.intermediate import TripTableIOManager
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.clean import clean_file
from taxi_assets_tests.real_months import EXCERPTS, RealMonths
from taxi_assets_tests.registry import GREEN
from taxi_assets_tests.stores.clouds import green, store
from taxi_assets_tests.taxi_command import UNSET
from taxi_assets_tests.trips.made import RULES

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

YAML = (FOLDER / "summaries" / "defs.yaml").read_text()
NAMES = ("trips_per_day", "trips_per_zone_hour", "revenue_per_zone")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    """A folder of a source, which a test may change."""
    source = tmp_path / "source"
    (source / "misc").mkdir(parents=True)
    lookup = (EXCERPTS.folder / "misc" / "taxi_zone_lookup.csv").read_text()
    (source / "misc" / "taxi_zone_lookup.csv").write_text(lookup)
    with pytest.MonkeyPatch.context() as patch:
        told = {**UNSET, "TAXI_HOME": str(tmp_path / "home"), "TAXI_SOURCE_URL": source.as_uri()}
        for name, value in told.items():
            patch.setenv(name, value)
        settings.cache_clear()
        yield source
    settings.cache_clear()


@pytest.fixture
def platform(cloud: GoogleCloudResource, files: Path, real_months: RealMonths, tmp_path: Path) -> Platform:
    return Platform(cloud, real_months, tmp_path)


class Platform:
    """Summaries and what they need: cleaned months on disk, and trips in BigQuery."""

    def __init__(self, cloud: GoogleCloudResource, months: RealMonths, folder: Path) -> None:
        self.cloud, self.months, self.folder = cloud, months, folder
        document = yaml.safe_load(YAML)
        told = document["attributes"]
        told["pipelines"] = [each for each in told["pipelines"] if each["pipeline"] == "green"]
        component = Summaries(**told)
        self.resources = {
            "cloud": cloud,
            "trip_source": TripSourceResource(),
            "arrow_tables": ArrowTableIOManager(cloud=cloud),
            "data_frames": DataFrameIOManager(cloud=cloud),
            "trip_tables": TripTableIOManager(home=str(folder / "home")),
        }
        made = component.build_defs(None)  # type: ignore[arg-type]
        partitions = months_since("2019-01")
        cleaned = [
            dg.AssetSpec(["green", name], partitions_def=partitions) for name in ("clean_taxi", "bigquery_table")
        ]
        cleaned[0] = cleaned[0].with_io_manager_key("trip_tables")
        self.definitions = dg.Definitions.merge(made, dg.Definitions(assets=cleaned, resources=self.resources))
        self.instance = dg.DagsterInstance.ephemeral()

    def load(self, month: str) -> Any:
        """A real month on disk and in BigQuery."""
        cleaned = green(self.months, self.folder, month)
        load = store(self.cloud, cleaned).load
        load_month(self.cloud, load, TableRef(namespace="mage", name="green_taxi"))
        path = self.folder / "home" / "clean" / "green" / f"{month}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        cleaned.kept.path.replace(path)
        return cleaned

    def make(self, *keys: str, month: str | None = None) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        selected = [dg.AssetKey(key.split("/")) for key in keys]
        return job.execute_in_process(
            instance=self.instance, partition_key=month, asset_selection=selected, raise_on_error=False
        )

    def summarize(self, month: str) -> dg.ExecuteInProcessResult:
        return self.make(*(f"green/{name}" for name in NAMES), month=month)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.cloud.bigquery().query(sql.format(d=self.cloud.dataset)).result()]

    def of_the_file(self, month: str) -> pd.DataFrame:
        """What a pipeline keeps of the file, by pandas alone."""
        path = self.months.path("green", month)
        rows = pd.read_csv(path, parse_dates=["lpep_pickup_datetime"], dtype={"store_and_fwd_flag": str})
        return rows[(rows.passenger_count > 0) & (rows.trip_distance > 0)]


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    made = (e.asset_check_evaluation_data for e in result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION")
    return {f"{check.asset_key.to_user_string()}:{check.check_name}": check.passed for check in made}


def shown(result: dg.ExecuteInProcessResult, key: str) -> dict[str, Any]:
    (made,) = result.asset_materializations_for_node(key.replace("/", "__"))
    return {name: value.value for name, value in made.metadata.items()}


def test_two_months_add_up_to_what_the_files_hold(platform: Platform) -> None:
    assert checks(platform.make("taxi_zones")) == {"taxi_zones:every_zone": True, "taxi_zones:ids_unique": True}
    for month in ("2020-04", "2020-05", "2020-04"):
        platform.load(month) if not (platform.folder / f"green-{month}").exists() else None
        done = platform.summarize(month)
        assert done.success
        assert checks(done) == {f"green/{name}:adds_up": True for name in NAMES}
    for month in ("2020-04", "2020-05"):
        rows, first = platform.of_the_file(month), date.fromisoformat(f"{month}-01")
        days = rows.groupby(rows.lpep_pickup_datetime.dt.date)
        expected = [
            (day, len(found), int(found.passenger_count.sum()), round(float(found.total_amount.sum()), 2))
            for day, found in days
        ]
        told = platform.rows(
            "SELECT day, trips, passengers, revenue FROM {d}.green_trips_per_day "
            f"WHERE source_month = '{first}' ORDER BY day"
        )
        assert told == [(*counts, pytest.approx(revenue)) for *counts, revenue in expected]
        zones = rows.groupby("PULocationID").total_amount
        told = platform.rows(
            f"SELECT pu_location_id, trips, revenue FROM {{d}}.green_revenue_per_zone WHERE source_month = '{first}'"
        )
        assert {zone: (trips, pytest.approx(revenue)) for zone, trips, revenue in told} == {  # type: ignore[comparison-overlap]
            zone: (len(found), round(float(found.sum()), 2)) for zone, found in zones
        }
        ((trips,),) = platform.rows(
            f"SELECT SUM(trips) FROM {{d}}.green_trips_per_zone_hour WHERE source_month = '{first}'"
        )
        assert trips == len(rows)


def test_a_trial_takes_no_place_in_a_summary(platform: Platform) -> None:
    platform.load("2020-04")
    assert platform.make("green/trips_per_zone_hour", month="2020-04").success
    trips = platform.rows("SELECT SUM(trips) FROM {d}.green_trips_per_zone_hour")
    trial = clean_file(
        platform.months.path("green", "2020-04"),
        name="trial",
        service=GREEN,
        month=date(2020, 4, 1),
        rules=RULES["green"],
        folder=platform.folder,
        metadata={"limit": 100},
        limit=100,
    )
    trial.kept.path.replace(platform.folder / "home" / "clean" / "green" / "2020-04.parquet")
    assert not platform.make("green/trips_per_zone_hour", month="2020-04").success
    assert platform.rows("SELECT SUM(trips) FROM {d}.green_trips_per_zone_hour") == trips


def test_a_month_that_bigquery_does_not_hold_is_skipped(platform: Platform) -> None:
    platform.make("taxi_zones")
    done = platform.summarize("2020-04")
    assert done.success, "nobody is alerted"
    assert not any(done.asset_materializations_for_node(f"green__{name}") for name in NAMES)
    assert checks(done) == {}


def test_the_zones_have_their_names(platform: Platform) -> None:
    platform.make("taxi_zones")
    platform.load("2020-04")
    platform.summarize("2020-04")
    sql = "SELECT borough, zone FROM {d}.green_revenue_per_zone WHERE pu_location_id = 75"
    assert platform.rows(sql) == [("Manhattan", "East Harlem South")]


def test_what_each_shows(platform: Platform) -> None:
    platform.make("taxi_zones")
    platform.load("2020-04")
    done = platform.summarize("2020-04")
    for name in NAMES:
        found = shown(done, f"green/{name}")
        assert found["plot"].startswith("![")
        assert len(found["preview"].records) == 10
        assert found["dagster/table_name"] == f"taxi-local.{platform.cloud.dataset}.green_{name}"
        sql = f"SELECT COUNT(*) FROM {{d}}.green_{name}"
        assert platform.rows(sql) == [(found["dagster/partition_row_count"],)]


def test_a_summary_that_others_changed_is_found(platform: Platform) -> None:
    platform.load("2020-04")
    platform.make("green/trips_per_day", month="2020-04")
    platform.rows("UPDATE {d}.green_trips_per_day SET revenue = revenue + 0.01 WHERE day = '2020-04-03'")
    job = platform.definitions.resolve_implicit_global_asset_job_def()
    spec = next(
        iter(platform.definitions.resolve_asset_graph().get(dg.AssetKey(["green", "trips_per_day"])).check_keys)
    )
    node = job.get_subset(asset_selection=set(), asset_check_selection={spec})
    done = node.execute_in_process(instance=platform.instance, partition_key="2020-04")
    assert checks(done) == {"green/trips_per_day:adds_up": False}


def test_zones_that_are_missing_or_double_fail_a_blocking_check(platform: Platform, files: Path) -> None:
    lookup = files / "misc" / "taxi_zone_lookup.csv"
    lines = lookup.read_text().splitlines()
    lookup.write_text("\n".join([*lines[:-1], lines[1]]))
    assert checks(platform.make("taxi_zones")) == {"taxi_zones:every_zone": True, "taxi_zones:ids_unique": False}
    lookup.write_text("\n".join(lines[:-1]))
    assert checks(platform.make("taxi_zones")) == {"taxi_zones:every_zone": False, "taxi_zones:ids_unique": True}


def test_the_zones_are_asked_for_when_their_file_is_another_one(platform: Platform, files: Path) -> None:
    sensor = next(s for s in platform.definitions.sensors or () if s.name == "taxi_zones_publication")

    def tick() -> Any:
        context = dg.build_sensor_context(
            instance=platform.instance,
            definitions=platform.definitions,
            resources={"trip_source": TripSourceResource()},
        )
        return sensor(context)

    first = tick()
    assert isinstance(first, dg.RunRequest)
    assert tick().run_key == first.run_key
    platform.make("taxi_zones")
    assert isinstance(tick(), dg.SkipReason)
    lookup = files / "misc" / "taxi_zone_lookup.csv"
    lookup.write_text(lookup.read_text().replace("Newark Airport", "Newark Liberty"))
    again = tick()
    assert isinstance(again, dg.RunRequest)
    assert again.run_key != first.run_key
    platform.make("taxi_zones")
    assert platform.rows("SELECT zone FROM {d}.taxi_zones WHERE location_id = 1") == [("Newark Liberty",)]


@pytest.mark.parametrize(
    "text", ["<html>no</html>\n", "LocationID,Borough\n1,EWR\n", "LocationID,Borough,Zone,service_zone\nx,a,b,c\n"]
)
def test_a_lookup_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "taxi_zone_lookup.csv"
    path.write_text(text)
    with pytest.raises(TaxiError, match="no table of taxi zones") as raised:
        read_zones(path)
    assert raised.value.details["Where"] == str(path)


@pytest.mark.parametrize("table", [{"dataset": "a", "table": "b", "project": "c"}, {"schema": "a", "table": "b"}])
@pytest.mark.parametrize("name", ["taxi_zones", "trips_per_day"])
def test_a_table_is_declared_by_dataset_and_name(name: str, table: dict[str, str]) -> None:
    attributes = yaml.safe_load(YAML)["attributes"]
    (attributes if name == "taxi_zones" else attributes["pipelines"][0])[name] = table
    with pytest.raises(ValidationError, match="the keys dataset and table") as raised:
        Summaries(**attributes)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("trips_per_day", "no column passenger_count and no total_amount"),
        ("trips_per_zone_hour", None),
        ("revenue_per_zone", "no column total_amount"),
    ],
)
def test_a_summary_of_columns_that_a_service_lacks_is_refused(name: str, lacks: str | None) -> None:
    pipeline = pipeline_for("yellow").model_copy(update={"name": "fhv", "service": "fhv"})
    tables = {"pipeline": "fhv", name: {"dataset": "a", "table": "b"}}
    with pytest.raises(ValidationError, match=lacks) if lacks else nullcontext():
        SummaryTables.model_validate(tables, context=Pipelines({"fhv": pipeline}, {}))
