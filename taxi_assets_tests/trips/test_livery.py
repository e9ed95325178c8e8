"""A service that is declared in a YAML file alone: without amounts and vendors, in the shape of the TLC's fhv."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from taxi_assets.errors import UsageError
from taxi_assets.trips.clean import Cleaning, clean_file, rule_violations, unknown_zones
from taxi_assets.trips.columns import Service
from taxi_assets.trips.registry import read_service
from taxi_assets_tests.registry import FHV
from taxi_assets_tests.trips import livery
from taxi_assets_tests.trips.made import JANUARY

ROWS = livery.trips(JANUARY, 400)
WITHOUT_FLAG = [(*row[:5], None, row[6]) for row in ROWS]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return read_service("livery", livery.declare(tmp_path / "services"))


def clean(service: Service, folder: Path, content: bytes, month: date = JANUARY) -> Cleaning:
    (folder / "file").write_bytes(content)
    return clean_file(
        folder / "file",
        name="file",
        service=service,
        month=month,
        rules=livery.RULES,
        folder=folder / "cleaned",
        metadata={},
        least_inside=0.5,
    )


def rows_of(cleaning: Cleaning) -> list[livery.Row]:
    return [tuple(row.values())[:7] for batch in cleaning.kept.batches() for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("make", "rows"), [(livery.csv_bytes, ROWS), (livery.parquet_bytes, WITHOUT_FLAG)], ids=["csv", "parquet"]
)
def test_a_month_is_read_typed_and_cleaned(
    service: Service, tmp_path: Path, make: Callable[[list[livery.Row]], bytes], rows: list[livery.Row]
) -> None:
    cleaning = clean(service, tmp_path, make(rows))
    assert rows_of(cleaning) == livery.kept(rows)
    types = {field.name: field.type for field in cleaning.kept.schema}
    assert types["pu_location_id"] == types["sr_flag"] == pa.int16()
    assert types["pickup_datetime"] == pa.timestamp("us")
    reasons = [livery.reason(row) for row in rows]
    assert cleaning.summary.rejected == {rule.reason: reasons.count(rule.reason) for rule in livery.RULES}
    assert all(cleaning.summary.rejected.values())
    assert cleaning.summary.rows_kept + cleaning.summary.rows_rejected == len(rows)
    assert rule_violations(cleaning.kept, livery.RULES) == 0


def test_without_amounts_and_vendors_nothing_is_made_up(service: Service, tmp_path: Path) -> None:
    summary = clean(service, tmp_path, livery.csv_bytes(ROWS)).summary
    assert not service.has_amounts
    assert (summary.cents_kept, summary.cents_rejected) == (0, 0)
    assert summary.vendors == {}
    assert summary.unknown_vendors(service) == []
    assert sum(summary.trips_by_hour) == summary.rows_kept


def test_its_zones_are_looked_up(service: Service, tmp_path: Path) -> None:
    kept = clean(service, tmp_path, livery.csv_bytes(ROWS)).kept
    lookup = tmp_path / "zones.csv"
    lookup.write_text("LocationID\n" + "\n".join(map(str, range(1, 260))))
    assert unknown_zones(kept, lookup) == [260]


def test_a_month_before_its_first_is_refused(service: Service, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not know livery 2019-12") as raised:
        clean(service, tmp_path, livery.csv_bytes(ROWS), date(2019, 12, 1))
    assert raised.value.details["Expected"] == "2020-01 or a later month"
    assert "services/livery.yaml" in raised.value.details["Where"]
    assert list((tmp_path / "cleaned").iterdir()) == []


@pytest.mark.parametrize("other", [{}, {"dropOff_": "dropoff_", "PUl": "PUL", "DOl": "DOL"}], ids=["tlc", "mirror"])
def test_the_fhv_of_the_project_has_the_names_of_the_files(tmp_path: Path, other: dict[str, str]) -> None:
    names = " ".join(livery.NAMES)
    for name, mirrored in other.items():
        names = names.replace(name, mirrored)
    cleaning = clean(FHV, tmp_path, livery.csv_bytes(ROWS, names.split()))
    assert rows_of(cleaning) == livery.kept(ROWS)
    assert (cleaning.summary.unknown_columns, cleaning.summary.absent_columns) == ([], [])
