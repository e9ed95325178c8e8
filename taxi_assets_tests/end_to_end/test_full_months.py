"""The full months through `taxi`: the rows that other programs count in them stand in PostgreSQL."""

from __future__ import annotations

import pytest

from taxi_assets_tests.real_months import FULL_MONTHS
from taxi_assets_tests.taxi_command import Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.full_months]

NAMES = [f"2020-{month:02}" for month in range(4, 10)]


@pytest.fixture(scope="module")
def full(platform: Taxi) -> Taxi:
    return platform.having(TAXI_SOURCE_URL=FULL_MONTHS.url, POSTGRES_SCHEMA="full_months")


@pytest.mark.long
def test_half_a_year_of_green_trips(full: Taxi) -> None:
    said = full.well("run", "green", "--months", "2020-04:2020-09", "--only", "postgres")
    assert "green: 6 loaded, 0 loaded already, 0 failed" in said.err
    assert full.well("sql", "select count(*) from full_months.green_taxi").out == "214969\n"
    kept, read = FULL_MONTHS.kept("green", NAMES), sum(FULL_MONTHS.counts("green", month).rows for month in NAMES)
    assert full.stored("full_months.green_taxi") == kept
    assert sum(full.stored("full_months.green_taxi_rejected").values()) == read - sum(kept.values())


def test_a_month_of_yellow_trips(full: Taxi) -> None:
    full.well("run", "yellow", "--months", "2021-01", "--only", "postgres")
    assert full.well("sql", "select count(*) from full_months.yellow_cab_data").out == "22303\n"
    reasons = full.sql("SELECT reason, count(*) FROM full_months.yellow_cab_data_rejected GROUP BY 1")
    rejected = {reason: int(count) for reason, count in (line.rsplit(",", 1) for line in reasons.splitlines())}
    assert rejected == FULL_MONTHS.counts("yellow", "2021-01").rejected
