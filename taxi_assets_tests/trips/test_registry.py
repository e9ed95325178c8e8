"""Services as YAML files declare them, and the error for each file that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from taxi_assets.errors import UsageError
from taxi_assets.trips.columns import SOURCE_MONTH, Column, ColumnType
from taxi_assets.trips.registry import SHARED, read_service, require_known, service_names
from taxi_assets.yaml_files import InvalidYaml
from taxi_assets_tests.registry import FHV, GREEN, YELLOW
from taxi_assets_tests.trips.livery import SERVICE, declare

ALL_OF_A_COLUMN = """
title: Bikes
first_month: 2021-02
pickup: began
dropoff: ended
columns:
  - station
  - {name: began, type: datetime, description: Begin.}
  - {name: ended, type: datetime, description: End., sources: [ended, Ended]}
  - name: fee
    type: double
    description: Fee.
    unit: US dollars
    required_from: 2022-01
    required_until: 2022-12
  - {name: kind, type: smallint, description: Kind., required: false, values: {1: new, 2: old}}
  - {name: day, type: date, description: Day., day_of: began}
"""
SHARED_COLUMNS = "station: {type: bigint, description: Station., sources: [StationID]}"


def test_all_of_a_service_can_be_declared(tmp_path: Path) -> None:
    declare(tmp_path, ALL_OF_A_COLUMN, "bike")
    (tmp_path / SHARED).write_text(SHARED_COLUMNS)
    bike, first = read_service("bike", tmp_path), date(2021, 2, 1)
    assert (bike.name, bike.title, bike.pickup, bike.dropoff, bike.first_month) == (
        *("bike", "Bikes", "began", "ended"),
        first,
    )
    assert bike.columns == (
        Column("station", ColumnType.BIGINT, "Station.", ("StationID",), required_from=first),
        Column("began", ColumnType.DATETIME, "Begin.", ("began",), required_from=first),
        Column("ended", ColumnType.DATETIME, "End.", ("ended", "Ended"), required_from=first),
        Column(
            *("fee", ColumnType.DOUBLE, "Fee.", ("fee",), "US dollars"),
            required_from=date(2022, 1, 1),
            required_until=date(2022, 12, 1),
        ),
        Column("kind", ColumnType.SMALLINT, "Kind.", ("kind",), values={1: "new", 2: "old"}),
        Column("day", ColumnType.DATE, "Day.", day_of="began"),
        SOURCE_MONTH,
    )
    assert bike.day == bike.column("day")
    assert service_names(tmp_path) == ["bike"]


def test_the_project_has_these_services() -> None:
    assert service_names() == ["fhv", "green", "yellow"]
    assert [service.has_amounts for service in (YELLOW, GREEN, FHV)] == [True, True, False]
    assert [bool(service.vendors) for service in (YELLOW, GREEN, FHV)] == [True, True, False]
    assert [service.day and service.day.name for service in (YELLOW, GREEN, FHV)] == [None, "lpep_pickup_date", None]
    assert YELLOW.zones == FHV.zones == ("pu_location_id", "do_location_id")


def test_a_month_before_the_first_is_not_known() -> None:
    require_known(YELLOW, date(2019, 1, 1))
    with pytest.raises(UsageError, match="does not know yellow 2010-01") as raised:
        require_known(YELLOW, date(2010, 1, 1))
    assert raised.value.details["Expected"] == "2019-01 or a later month"


def test_an_unknown_service_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no service 'grene'") as raised:
        read_service("grene")
    assert "Do you mean 'green'?" in raised.value.summary
    assert "fhv, green, yellow" in raised.value.details["Expected"]


Change = Callable[[dict[str, Any]], object]
KEYS = "one of: name, type, description, sources, unit, required, required_from, required_until, values, day_of"


@pytest.mark.parametrize(
    ("change", "key", "expected", "meant"),
    [
        (lambda s: s.pop("title"), "title", "For people", None),
        (lambda s: s.update(titel="x"), "titel", "one of: title, first_month", "title"),
        (lambda s: s.update(first_month="2020-13"), "first_month", "a year and a month, like 2021-01", None),
        (lambda s: s.update(first_month=date(2020, 1, 15)), "first_month", "a year and a month, like 2021-01", None),
        (lambda s: s.update(pickup="pickup_time"), "pickup", "a column of the type datetime", "pickup_datetime"),
        (lambda s: s.update(dropoff="pu_location_id"), "dropoff", "one of: pickup_datetime, dropoff_datetime", None),
        (lambda s: s.update(columns=[]), "columns", "a list of 1 or more", None),
        (lambda s: s["columns"][0].update(typ="text"), "columns[0].typ", KEYS, "type"),
        (lambda s: s["columns"][0].update(type="txt"), "columns[0].type", "one of: smallint, double, text", "text"),
        (lambda s: s["columns"][0].update(name="Base"), "columns[0].name", "[a-z]", None),
        (lambda s: s["columns"][0].update(name="reason"), "columns[0].name", "the platform adds reason itself", None),
        (lambda s: s["columns"][0].update(name="ctid"), "columns[0].name", "PostgreSQL has a ctid in each table", None),
        (lambda s: s["columns"][0].update(values={"x": "y"}), "columns[0].values", "a whole number", None),
        (lambda s: s["columns"][3].update(type="text"), "columns[3].type", "smallint or bigint", None),
        (lambda s: s["columns"][0].update(day_of="pickup_datetime"), "columns[0].day_of", "the type date", None),
        (
            lambda s: s["columns"][0].update(required=False, required_from="2021-01"),
            "columns[0].required",
            "true beside `required_from`",
            None,
        ),
        (
            lambda s: s["columns"][0].update(required_from="2021-02", required_until="2021-01"),
            "columns[0].required_until",
            "`required_from` or a later month",
            None,
        ),
        (
            lambda s: s["columns"][0].update(required_until="1999-01"),
            "columns[0].required_until",
            "`first_month` or a later month",
            None,
        ),
        (
            lambda s: next(c for c in s["columns"] if c["name"] == s["pickup"]).update(required=False),
            "columns[1].required",
            "each file must have the time of pickup",
            None,
        ),
        (lambda s: s["columns"].append(s["columns"][0]), "columns[7]", "each once", None),
        (lambda s: s["columns"][4].update(sources=["PUlocationID"]), "columns[4]", "each once", None),
        (lambda s: s["columns"].append("stations"), "columns[7]", f"a column of {SHARED}", "station"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, change: Change, key: str, expected: str, meant: str | None
) -> None:
    document = yaml.safe_load(SERVICE)
    change(document)
    declare(tmp_path, yaml.safe_dump(document, sort_keys=False), "livery")
    (tmp_path / SHARED).write_text(SHARED_COLUMNS)
    with pytest.raises(InvalidYaml) as raised:
        read_service("livery", tmp_path)
    (mistake,) = raised.value.mistakes
    assert mistake.key.startswith(key)
    assert expected in mistake.expected
    assert mistake.nearest == meant
    assert f"{tmp_path / 'livery.yaml'}, line " in raised.value.details["Where"]


@pytest.mark.parametrize(
    ("shared", "key"),
    [
        ("station: {type: bigint, sources: [StationID]}", "station.description"),
        (SHARED_COLUMNS.replace("{", "{name: stop, "), "station.name"),
    ],
)
def test_a_mistake_in_a_shared_column_names_its_file(tmp_path: Path, shared: str, key: str) -> None:
    declare(tmp_path, ALL_OF_A_COLUMN, "bike")
    (tmp_path / SHARED).write_text(shared)
    with pytest.raises(InvalidYaml) as raised:
        read_service("bike", tmp_path)
    assert raised.value.details["Where"].startswith(str(tmp_path / SHARED))
    assert key in raised.value.summary


def test_a_file_whose_name_is_none_of_a_service_is_refused(tmp_path: Path) -> None:
    declare(tmp_path, SERVICE, "Livery-cars")
    assert service_names(tmp_path) == ["Livery-cars"]
    with pytest.raises(InvalidYaml) as raised:
        read_service("Livery-cars", tmp_path)
    assert raised.value.details["Found"] == "a file of the name Livery-cars.yaml"
