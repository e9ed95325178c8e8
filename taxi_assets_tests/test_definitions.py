"""The front door: what Dagster loads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from taxi_assets.settings import PROJECT_ROOT, settings
from taxi_assets_tests.registry import SERVICES
from taxi_assets_tests.taxi_command import UNSET

SPINE = ("raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table")
STORES = (*SPINE, "gcs_parquet", "bigquery_table")


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.Definitions]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**UNSET, "TAXI_HOME": str(home)}.items():
            patch.setenv(name, value)
        settings.cache_clear()
        from taxi_assets.definitions import defs

        yield defs()
    settings.cache_clear()
    assert list(Path(home).iterdir()) == [], "loading the definitions starts and writes nothing"


@pytest.mark.parametrize("service", ["yellow", "green"])
@pytest.mark.parametrize("name", SPINE)
def test_each_asset_says_what_it_is(definitions: dg.Definitions, service: str, name: str) -> None:
    node = definitions.resolve_asset_graph().get(dg.AssetKey([service, name]))
    assert node.group_name == service
    assert node.owners
    assert node.kinds
    assert node.code_version
    assert node.description
    assert node.partitions_def
    assert node.partitions_def.get_partition_keys()[0] == "2019-01"
    if name != "raw_taxi":
        columns = {column.name: column for column in node.metadata["dagster/column_schema"].columns}
        assert all(column.description for column in columns.values())
        assert {"vendor_id", "total_amount", "source_month"} <= set(columns)
        assert ("source_row" in columns) == (name == "rejected_taxi")


@pytest.mark.parametrize("service", ["yellow", "green"])
def test_each_check_of_the_spine_is_made_month_by_month(definitions: dg.Definitions, service: str) -> None:
    graph = definitions.resolve_asset_graph()
    spine = [key for key in graph.asset_check_keys if list(key.asset_key.path) in [[service, name] for name in SPINE]]
    specs = {key.name: graph.get_check_spec(key) for key in spine}
    blocking = {name for name, spec in specs.items() if spec.blocking}
    assert {"rows_accounted_for", "no_kept_row_breaks_a_rule", "month_not_empty"} <= blocking
    for name in ("vendors_known", "pickups_in_the_month", "columns_known", *blocking, "agrees_with_clean_taxi"):
        assert specs[name].partitions_def, name


def test_each_pipeline_has_its_job(definitions: dg.Definitions) -> None:
    for job, service in (("green_taxi_etl", "green"), ("yellow_taxi_etl", "yellow")):
        found = definitions.resolve_job_def(job)
        assert found.partitions_def
        keys = {key.to_user_string() for key in found.asset_layer.executable_asset_keys}
        assert {f"{service}/{name}" for name in SPINE} <= keys


def test_each_asset_refers_to_its_code_and_its_yaml(definitions: dg.Definitions) -> None:
    nodes = [node for node in definitions.resolve_asset_graph().asset_nodes if node.is_materializable]
    assert len(nodes) > 12
    for node in nodes:
        references = node.metadata["dagster/code_references"].code_references
        code, yaml = (Path(reference.file_path).relative_to(PROJECT_ROOT).parts for reference in references)
        room = "taxi_pipeline" if node.key.path[-1] in STORES else "summaries"
        room = "local_files" if node.key.path[0] == "local_files" else room
        assert code[:3] == ("taxi_assets", "components", room), node.key
        assert yaml[:2] == ("taxi_assets", "defs"), node.key


def lineage(definitions: dg.Definitions, service: str, name: str) -> dict[str, set[tuple[str, str]]]:
    node = definitions.resolve_asset_graph().get(dg.AssetKey([service, name]))
    deps = node.metadata["dagster/column_lineage"].deps_by_column
    return {
        column: {(dep.asset_key.to_user_string(), dep.column_name) for dep in sources}
        for column, sources in deps.items()
    }


@pytest.mark.parametrize("service", ["yellow", "green"])
def test_cleaned_columns_come_from_the_names_in_the_files(definitions: dg.Definitions, service: str) -> None:
    kept, rejected = lineage(definitions, service, "clean_taxi"), lineage(definitions, service, "rejected_taxi")
    assert kept["vendor_id"] == {(f"{service}/raw_taxi", "VendorID")}
    for column in SERVICES[service].columns:
        if column.sources:
            assert kept[column.name] == {(f"{service}/raw_taxi", source) for source in column.sources}
        if column.day_of:
            assert kept[column.name] == kept[column.day_of] != set()
    assert kept["source_month"] == rejected["source_row"] == rejected["reason"] == set()
    assert rejected == {**kept, "source_row": set(), "reason": set()}


@pytest.mark.parametrize("service", ["yellow", "green"])
@pytest.mark.parametrize(
    ("name", "original"),
    [("postgres_table", "clean_taxi"), ("gcs_parquet", "clean_taxi"), ("bigquery_table", "gcs_parquet")],
)
def test_a_store_copies_each_column(definitions: dg.Definitions, service: str, name: str, original: str) -> None:
    columns = {column.name for column in SERVICES[service].columns}
    expected = {column: {(f"{service}/{original}", column)} for column in columns}
    assert lineage(definitions, service, name) == expected


@pytest.mark.parametrize(("service", "pickup"), [("yellow", "tpep_pickup_datetime"), ("green", "lpep_pickup_datetime")])
def test_a_summary_comes_from_columns_of_the_trips(definitions: dg.Definitions, service: str, pickup: str) -> None:
    clean, trips = f"{service}/clean_taxi", f"{service}/bigquery_table"
    assert lineage(definitions, service, "trips_per_day") == {
        "day": {(clean, pickup)},
        "passengers": {(clean, "passenger_count")},
        "revenue": {(clean, "total_amount")},
        "source_month": {(clean, "source_month")},
    }
    assert lineage(definitions, service, "trips_per_zone_hour")["pickup_hour"] == {(clean, pickup)}
    revenue = lineage(definitions, service, "revenue_per_zone")
    assert (revenue["zone"], revenue["revenue"]) == ({("taxi_zones", "zone")}, {(trips, "total_amount")})
