"""What a run can be told: a trial of a few rows, another source."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.taxi_command import Taxi

TABLE = "ny_taxi.yellow_cab_data"
MONTH = "2019-02"


@pytest.fixture(scope="module")
def sample(apart: Taxi) -> Taxi:
    """`taxi` on synthetic months of 3,000 rows, in a home of its own: elsewhere, real months stand."""
    return apart.having(TAXI_SAMPLE_ROWS="3000", TAXI_SOURCE_URL="")


@pytest.fixture(scope="module")
def real(sample: Taxi) -> Taxi:
    """The same, into a schema for real months."""
    return sample.having(POSTGRES_SCHEMA="real")


def month_rows(taxi: Taxi, schema: str) -> int:
    if taxi.sql(f"SELECT to_regclass('{schema}.yellow_cab_data')") == "":
        return 0
    return int(taxi.sql(f"SELECT count(*) FROM {schema}.yellow_cab_data WHERE source_month = '{MONTH}-01'"))


def test_a_trial_does_not_replace_the_full_month(sample: Taxi) -> None:
    sample.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    full = month_rows(sample, "ny_taxi")
    said = sample.well("run", "yellow", "--months", MONTH, "--limit", "100")
    assert "A trial: its rows stand in the schema 'trial'" in said.err
    assert 0 < month_rows(sample, "trial") <= 100
    assert month_rows(sample, "ny_taxi") == full
    again = sample.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert "loaded already" in again.err
    log = sample.sql(
        f"SELECT rows_read, configuration ->> 'limit' FROM taxi_assets.load_log "
        f"WHERE place = 'trial.yellow_cab_data' AND source_month = '{MONTH}-01'"
    )
    assert log == "100,100"


def test_a_trial_does_not_go_to_the_lake(sample: Taxi) -> None:
    said = sample("run", "yellow", "--months", MONTH, "--limit", "100", "--only", "lake")
    assert said.code == 2
    assert "A trial of 100 rows does not go to the lake" in said.err


def test_a_run_takes_another_source(real: Taxi) -> None:
    said = real("run", "yellow", "--months", "2019-03", "--only", "postgres", "--source", "ftp://somewhere")
    assert said.code == 2
    assert "cannot take its file from that source" in said.err
    said = real("run", "yellow", "--months", "2019-03", "--only", "postgres", "--source", "https://me:pw@host/data")
    assert said.code == 2
    assert "pw" not in said.err
    rows = EXCERPTS.counts("yellow", "2019-03").rows
    address = EXCERPTS.url
    real.well("run", "yellow", "--months", "2019-03", "--only", "postgres", "--source", address)
    found = real.sql(
        "SELECT url, rows_read, configuration -> 'ops' -> 'yellow__raw_taxi' ->> 'source' "
        "FROM taxi_assets.load_log WHERE source_month = '2019-03-01' ORDER BY id DESC LIMIT 1"
    )
    assert found == f"{address}/yellow/yellow_tripdata_2019-03.csv.gz,{rows},{address}"


def test_the_zones_are_those_of_the_runs_source(real: Taxi, tmp_path: Path) -> None:
    (tmp_path / "yellow").symlink_to(EXCERPTS.folder / "yellow")
    (tmp_path / "misc").mkdir()
    lookup = (EXCERPTS.folder / "misc" / "taxi_zone_lookup.csv").read_text().splitlines()
    (tmp_path / "misc" / "taxi_zone_lookup.csv").write_text("\n".join(lookup[:2]))
    source = tmp_path.as_uri()
    said = real.well("run", "yellow", "--months", "2019-03", "--only", "postgres", "--source", source, "--force")
    assert "zones_known: not in the lookup" in said.err


def test_synthetic_rows_stay_out_of_real_stores(platform: Taxi) -> None:
    real = platform.having(POSTGRES_HOST="127.0.0.1", POSTGRES_PORT="1", TAXI_SOURCE_URL="tlc")
    said = real("run", "yellow", "--months", MONTH, "--source", "sample")
    assert said.code == 2
    assert "synthetic trips are not loaded into a real store" in said.err
