"""The registry holds together."""

from __future__ import annotations

import re
from datetime import date

import pyarrow as pa
import pytest

from taxi_assets.trips.columns import SOURCE_MONTH, Column, ColumnType, Service
from taxi_assets_tests.registry import GREEN, SERVICES, YELLOW

FIRST = YELLOW.first_month
EVERY_COLUMN = [
    pytest.param(service, column, id=f"{service.name}.{column.name}")
    for service in SERVICES.values()
    for column in service.rejected_columns
]


@pytest.mark.parametrize(("service", "column"), EVERY_COLUMN)
def test_every_column_is_described_and_typed_for_every_store(service: Service, column: Column) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", column.name)
    assert column.description.endswith(".")
    assert column.comment.startswith(column.description)
    assert isinstance(column.type.arrow, pa.DataType)
    assert column.type.postgres
    assert column.type.bigquery
    field = service.rejected_schema.field(column.name)
    assert field.type == column.type.arrow
    assert field.metadata == {b"description": column.comment.encode()}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_service_names_each_column_once_and_ends_with_its_month(service: Service) -> None:
    names = [column.name for column in service.rejected_columns]
    sources = [source for column in service.columns for source in column.sources]
    assert len(names) == len(set(names))
    assert len(sources) == len(set(sources))
    assert service.columns[-1] is SOURCE_MONTH
    assert names[-2:] == ["reason", "source_row"]
    for name in (service.pickup, service.dropoff):
        assert service.column(name).type is ColumnType.DATETIME


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_column_comes_from_the_file_or_is_derived(service: Service) -> None:
    for column in service.columns:
        assert bool(column.sources) != bool(column.day_of or column is SOURCE_MONTH)
        if column.day_of:
            assert service.column(column.day_of).type is ColumnType.DATETIME


def test_a_column_is_required_in_its_era() -> None:
    fee = YELLOW.column("cbd_congestion_fee")
    assert not fee.required(date(2024, 12, 1))
    assert fee.required(date(2025, 1, 1))
    assert YELLOW.column("vendor_id").required(FIRST)
    assert not YELLOW.column("airport_fee").required(date(2024, 1, 1))
    assert not GREEN.column("ehail_fee").required(FIRST)
    past = Column("old", ColumnType.DOUBLE, "Old.", ("old",), required_from=FIRST, required_until=FIRST)
    assert past.required(FIRST)
    assert not past.required(date(2019, 2, 1))


def test_an_unknown_column_is_no_column() -> None:
    with pytest.raises(KeyError):
        YELLOW.column("nothing")
