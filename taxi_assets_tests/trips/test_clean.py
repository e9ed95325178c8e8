"""Cleaning: no row is lost, and what was counted is right."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from taxi_assets.trips.clean import Cleaning, clean_file, rule_violations
from taxi_assets.trips.columns import Service
from taxi_assets.trips.errors import InvalidFile
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.reading.read import read_trips
from taxi_assets.trips.rules import Rule
from taxi_assets.trips.table import Summary, TripTable
from taxi_assets.yaml_mistakes import Refused
from taxi_assets_tests.real_months import RealMonths
from taxi_assets_tests.registry import SERVICES, YELLOW
from taxi_assets_tests.trips.made import (
    JANUARY,
    MISSING,
    RULES,
    ZERO,
    arrow_trips,
    clean,
    csv_file,
    line,
    nothing_is_left,
    parquet_file,
)


def rows_of(table: TripTable) -> pa.Table:
    return table.reader().read_all()


def reassembled(cleaning: Cleaning, source_rows: int) -> pa.Table:
    """Kept and rejected rows in the places that `source_row` says; the kept ones fill the rest in their order."""
    rejected = rows_of(cleaning.rejected)
    places = rejected["source_row"].to_pylist()
    assert places == sorted(places)
    taken = set(places)
    rest = [row for row in range(1, source_rows + 1) if row not in taken]
    both = pa.concat_tables([rows_of(cleaning.kept), rejected.drop_columns(["reason", "source_row"])])
    return both.take(pc.sort_indices(pa.array(rest + places)))


def read_whole(path: Path, service: Service, month: date) -> pa.Table:
    with read_trips(path, file=path.name, service=service, month=month) as reading:
        return pa.Table.from_batches(list(reading.batches))


@pytest.mark.parametrize("seed", range(5))
def test_kept_and_rejected_rows_make_up_the_file(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    lines = [
        line(
            VendorID=chance.choice(["1", "2", ""]),
            passenger_count=chance.choice(["", "0", "1", "2.0"]),
            trip_distance=chance.choice(["0", "-1.5", "3.25", ""]),
            total_amount=f"{chance.uniform(-50, 99):.2f}",
            tpep_pickup_datetime=chance.choice(["2009-01-01 05:00:00", "2021-01-31 23:59:59", "2021-02-01 00:00:00"]),
        )
        for _ in range(chance.randint(1, 15_000))
    ]
    path = csv_file(tmp_path, *lines)
    cleaning = clean(path, tmp_path)
    whole = read_whole(path, YELLOW, JANUARY)
    assert reassembled(cleaning, len(lines)).equals(whole)
    for row in rows_of(cleaning.rejected).to_pylist():
        passengers = row["passenger_count"]
        assert row["reason"] == ("passenger_count missing" if passengers is None else "passenger_count = 0")
        assert whole["total_amount"][row["source_row"] - 1].as_py() == row["total_amount"]
    assert rule_violations(cleaning.kept, RULES["yellow"]) == 0
    assert rule_violations(cleaning.rejected, RULES["yellow"]) == cleaning.rejected.rows


def test_the_summary_counts_what_went_by(tmp_path: Path) -> None:
    cleaning = clean(
        csv_file(
            tmp_path,
            line(total_amount="1.10", tpep_pickup_datetime="2021-01-01 00:00:00"),
            line(total_amount="2.20", tpep_pickup_datetime="2021-01-31 23:59:59", VendorID="7"),
            line(total_amount="4.40", tpep_pickup_datetime="2021-02-01 00:00:00", VendorID="9"),
            line(total_amount="-8.80", tpep_pickup_datetime="2008-12-31 23:00:00", VendorID=""),
            line(total_amount="", tpep_pickup_datetime=""),
            line(total_amount="16.16", passenger_count="0"),
            line(total_amount="32.32", passenger_count=""),
            line(total_amount="64.64", passenger_count=""),
        ),
        tmp_path,
    )
    summary = cleaning.summary
    assert summary == Summary(
        rows_read=8,
        rows_kept=5,
        rejected={"passenger_count missing": 2, "passenger_count = 0": 1},
        cents_kept=110 + 220 + 440 - 880,
        cents_rejected=1616 + 3232 + 6464,
        pickups_outside=3,
        vendors={"1": 2, "7": 1, "9": 1, "null": 1},
        trips_by_hour=[2, *[0] * 22, 2],
        unknown_columns=[],
        absent_columns=["airport_fee", "cbd_congestion_fee"],
    )
    assert summary.rows_rejected == 3
    assert summary.unknown_vendors(YELLOW) == ["9"]
    for table in (cleaning.kept, cleaning.rejected):
        assert table.metadata["made"] == "for a test"
        assert table.summary == summary


def test_files_have_the_registrys_schema_and_descriptions(tmp_path: Path) -> None:
    cleaning = clean(csv_file(tmp_path, line()), tmp_path)
    assert cleaning.kept.schema.equals(YELLOW.schema, check_metadata=True)
    assert cleaning.rejected.schema.equals(YELLOW.rejected_schema, check_metadata=True)
    assert cleaning.rejected.rows == 0
    assert cleaning.summary.rejected == {"passenger_count missing": 0, "passenger_count = 0": 0}


def test_a_month_of_which_nothing_is_kept(tmp_path: Path) -> None:
    cleaning = clean(csv_file(tmp_path, line(passenger_count="0")), tmp_path)
    assert (cleaning.kept.rows, cleaning.rejected.rows) == (0, 1)
    assert cleaning.summary.cents_kept == 0


def test_without_rules_everything_is_kept(tmp_path: Path) -> None:
    path = csv_file(tmp_path, line(passenger_count=""))
    cleaning = clean_file(path, name="x", service=YELLOW, month=JANUARY, rules=[], folder=tmp_path, metadata={})
    assert (cleaning.kept.rows, cleaning.rejected.rows) == (1, 0)
    assert rule_violations(cleaning.kept, []) == 0


def test_progress_counts_the_rows_read(tmp_path: Path) -> None:
    seen: list[int] = []
    path = csv_file(tmp_path, *[line()] * 30_000)
    clean_file(
        path, name="x", service=YELLOW, month=JANUARY, rules=[ZERO], folder=tmp_path, metadata={}, progress=seen.append
    )
    assert seen == sorted(seen)
    assert seen[-1] == 30_000


def test_a_csv_and_a_parquet_file_of_the_same_rows_clean_alike(tmp_path: Path) -> None:
    counts = ["", "0", "3"]
    from_csv = clean(csv_file(tmp_path, *(line(passenger_count=count) for count in counts)), tmp_path / "csv")
    whole = read_whole(tmp_path / "yellow_tripdata_2021-01.csv.gz", YELLOW, JANUARY)
    table = arrow_trips(
        YELLOW, 3, **{c.sources[0]: whole[c.name].combine_chunks() for c in YELLOW.columns if c.required(JANUARY)}
    )
    from_parquet = clean(parquet_file(tmp_path, table), tmp_path / "parquet")
    assert from_csv.summary == from_parquet.summary
    assert rows_of(from_csv.kept).equals(rows_of(from_parquet.kept))
    assert rows_of(from_csv.rejected).equals(rows_of(from_parquet.rejected))


def test_a_rule_for_no_column_stops_before_anything_is_written(tmp_path: Path) -> None:
    path = csv_file(tmp_path, line())
    with pytest.raises(Refused, match="a column of yellow, one of: vendor_id"):
        clean_file(
            path,
            name="x",
            service=YELLOW,
            month=JANUARY,
            rules=[MISSING, Rule(column="passengers", missing=True)],
            folder=tmp_path / "cleaned",
            metadata={},
        )
    assert not (tmp_path / "cleaned").exists()


def test_an_error_in_the_callers_progress_leaves_no_file(tmp_path: Path) -> None:
    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    path = csv_file(tmp_path, line())
    folder = tmp_path / "cleaned"
    with pytest.raises(KeyboardInterrupt):
        clean_file(path, name="x", service=YELLOW, month=JANUARY, rules=[], folder=folder, metadata={}, progress=stop)
    assert nothing_is_left(tmp_path)


REAL = [
    *(("green", f"2020-{month:02}") for month in range(3, 10)),
    ("yellow", "2020-12"),
    ("yellow", "2019-02"),
    ("yellow", "2021-01"),
]


@pytest.mark.parametrize(("name", "month"), REAL)
def test_the_real_files_keep_the_rows_they_should(
    real_months: RealMonths, tmp_path: Path, name: str, month: str
) -> None:
    service = SERVICES[name]
    cleaning = clean(real_months.path(name, month), tmp_path, service, parse_month(month))
    expected = real_months.counts(name, month)
    assert (cleaning.summary.rows_read, cleaning.kept.rows) == (expected.rows, expected.kept)
    assert cleaning.kept.rows + cleaning.rejected.rows == cleaning.summary.rows_read
    reasons = Counter(rows_of(cleaning.rejected)["reason"].to_pylist())
    assert reasons == Counter(cleaning.summary.rejected) == Counter(expected.rejected)
    assert rule_violations(cleaning.kept, RULES[name]) == 0
    assert cleaning.summary.unknown_columns == []


def test_every_real_yellow_file_is_read_whole(real_months: RealMonths, tmp_path: Path) -> None:
    paths = sorted((real_months.folder / "yellow").glob("*20[12][09]-*.csv.gz"))
    assert len(paths) == 24
    for path in paths:
        name = path.name.removesuffix(".csv.gz")[-7:]
        month = parse_month(name)
        whole = read_whole(path, YELLOW, month)
        assert whole.num_rows == real_months.counts("yellow", name).rows
        assert reassembled(clean(path, tmp_path, YELLOW, month), whole.num_rows).equals(whole)


def test_a_real_green_file_reassembles(real_months: RealMonths, tmp_path: Path) -> None:
    path, month = real_months.path("green", "2020-04"), date(2020, 4, 1)
    whole = read_whole(path, SERVICES["green"], month)
    assert reassembled(clean(path, tmp_path, SERVICES["green"], month), whole.num_rows).equals(whole)
    assert whole["ehail_fee"].null_count == whole.num_rows
    assert whole["lpep_pickup_date"].equals(pc.cast(whole["lpep_pickup_datetime"], pa.date32()))


@pytest.mark.parametrize(
    ("stray", "pickup", "found"),
    [
        (100, "2020-11-15 08:00:00", "0 of them there; 100 in 2020-11"),
        (60, "2020-12-31 23:59:59", "40 of them there; 60 in 2020-12"),
        (100, "", "0 of them there; no pickup at all"),
    ],
)
def test_a_file_of_another_month_is_refused(tmp_path: Path, stray: int, pickup: str, found: str) -> None:
    lines = [line(tpep_pickup_datetime=pickup)] * stray + [line()] * (100 - stray)
    with pytest.raises(InvalidFile, match=r"The file of yellow 2021-01 is of another month\.") as raised:
        clean(csv_file(tmp_path, *lines), tmp_path, least_inside=0.5)
    assert raised.value.details["Found"] == found
    assert list(raised.value.details) == ["Expected", "Found", "Where", "Intact", "Next"]
    assert nothing_is_left(tmp_path)
    assert clean(csv_file(tmp_path, *lines), tmp_path, least_inside=0.0).summary.pickups_outside == stray


def test_stray_pickups_are_no_other_month(tmp_path: Path) -> None:
    lines = [line(tpep_pickup_datetime="2009-01-01 00:00:00")] * 40 + [line()] * 60
    assert clean(csv_file(tmp_path, *lines), tmp_path, least_inside=0.5).summary.pickups_outside == 40
    few = [line(tpep_pickup_datetime="2009-01-01 00:00:00")] * 99
    assert clean(csv_file(tmp_path, *few), tmp_path, least_inside=0.5).summary.pickups_outside == 99


def test_a_real_month_is_refused_under_the_name_of_another(real_months: RealMonths, tmp_path: Path) -> None:
    path, month = real_months.path("green", "2020-04"), date(2020, 5, 1)
    assert clean(path, tmp_path, SERVICES["green"], date(2020, 4, 1), least_inside=0.5).summary.rows_kept
    with pytest.raises(InvalidFile, match="of another month") as raised:
        clean(path, tmp_path, SERVICES["green"], month, least_inside=0.5)
    assert "in 2020-04" in raised.value.details["Found"]
