"""Months and ranges of months."""

from __future__ import annotations

from datetime import date

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.trips.months import month_name, next_month, parse_month, parse_months


def test_a_month_is_read_and_named() -> None:
    assert parse_month(" 2021-01 ") == date(2021, 1, 1)
    assert month_name(date(2021, 1, 1)) == "2021-01"
    assert next_month(date(2020, 12, 1)) == date(2021, 1, 1)
    assert next_month(date(2021, 1, 1)) == date(2021, 2, 1)


def test_a_range_holds_both_ends() -> None:
    assert [month_name(month) for month in parse_months("2020-11:2021-02")] == [
        "2020-11",
        "2020-12",
        "2021-01",
        "2021-02",
    ]
    assert parse_months("2020-11") == [date(2020, 11, 1)]


@pytest.mark.parametrize("text", ["2021-13", "2021-1", "21-01", "January", "", "2021-01-01", "2020-01:", ":2020-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(TaxiError, match="is not a month"):
        parse_months(text)


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(TaxiError, match="backwards") as caught:
        parse_months("2020-12:2020-10")
    assert "2020-10:2020-12" in caught.value.details["Expected"]
