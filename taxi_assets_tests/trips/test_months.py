"""Months and ranges of months."""

from __future__ import annotations

from datetime import date

import pytest

from taxi_assets.errors import UsageError
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


@pytest.mark.parametrize("name", ["1999-01", "2098-12", "9999-12"])
def test_a_month_of_another_century_is_one(name: str) -> None:
    assert month_name(parse_month(name)) == name


@pytest.mark.parametrize("text", ["2021-13", "21-01", "0000-01", "January", "", "２０２１-01", "-5", "2021-01,2021-02"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a month"):
        parse_months(text)


@pytest.mark.parametrize("text", ["202101", "2021/01", "2021-1", "2021.01", "2021 01", "2021-01-15"])
def test_what_is_nearly_a_month_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(UsageError, match="is not a month") as raised:
        parse_months(text)
    assert raised.value.details["Next"] == "write 2021-01"


@pytest.mark.parametrize("text", ["2020-04..2020-06", "2020-04-2020-06", "2020-04 - 2020-06", "2020-04 to 2020-06"])
def test_what_is_nearly_a_range_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(UsageError, match="is not a range") as raised:
        parse_months(text)
    assert raised.value.details["Next"] == "write 2020-04:2020-06"


@pytest.mark.parametrize(("text", "what"), [("2020-04:", "end"), (":2020-04", "beginning"), (":", "beginning")])
def test_a_range_with_one_end_is_refused(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=f"has no {what}"):
        parse_months(text)


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(UsageError, match="backwards") as caught:
        parse_months("2020-12:2020-10")
    assert "2020-10:2020-12" in caught.value.details["Expected"]
