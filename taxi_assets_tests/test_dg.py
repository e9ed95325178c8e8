"""Dagster's command `dg` on this project, in the root, as people call it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from taxi_assets.settings import PROJECT_ROOT
from taxi_assets_tests.host_output import worrying_lines
from taxi_assets_tests.taxi_command import SCRIPT, Taxi

# Dagster's instance is in PostgreSQL, which each command starts where it does not run.
pytestmark = pytest.mark.servers

PIPELINE = ["raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table", "gcs_parquet", "bigquery_table"]
SUMMARIES = ["revenue_per_zone", "trips_per_day", "trips_per_zone_hour"]
ASSETS = {
    *(f"{service}/{name}" for service in ("yellow", "green") for name in PIPELINE + SUMMARIES),
    *(f"local_files/{name}" for name in ("table_file", "quarantine", "bigquery_table")),
    "taxi_zones",
}


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    folder = tmp_path_factory.mktemp("dg")
    (folder / "dg.toml").write_text("[cli.telemetry]\nenabled = false\n")
    found = Taxi(folder / "home", folder).having(DG_CLI_CONFIG=str(folder / "dg.toml"))
    yield found
    found.well("down")


def dg(taxi: Taxi, *words: str) -> str:
    """What `dg` prints; it warns of nothing."""
    done = subprocess.run(
        [str(SCRIPT.with_name("dg")), *words],
        cwd=PROJECT_ROOT,
        env=taxi.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_the_definitions_are_well(taxi: Taxi) -> None:
    said = dg(taxi, "check", "defs")
    assert "All component YAML validated successfully." in said
    assert "All definitions loaded successfully." in said
    assert worrying_lines(said) == []


def test_every_asset_is_listed_with_its_source(taxi: Taxi) -> None:
    assets = {asset["asset_key"]: asset for asset in json.loads(dg(taxi, "list", "defs", "--json"))["assets"]}
    assert set(assets) == ASSETS
    sources = {asset["source"].partition(":")[0] for asset in assets.values()}
    assert all(source.startswith("taxi_assets/") and (PROJECT_ROOT / source).is_file() for source in sources)


def test_the_components_of_the_project_are_listed(taxi: Taxi) -> None:
    components = {found["key"] for found in json.loads(dg(taxi, "list", "components", "--json"))["items"]}
    ours = {key.rpartition(".")[2] for key in components if key.startswith("taxi_assets.components.")}
    assert ours == {"TaxiPipeline", "Summaries", "LocalFiles"}
