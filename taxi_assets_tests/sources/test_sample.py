"""The sample source, as the real server process that a run starts."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import requests

from taxi_assets.local.sample_source import SAMPLE_SOURCE, sample_url
from taxi_assets.sources.errors import NotPublished, SourceUnavailable
from taxi_assets.sources.sample.files import columns, make_month
from taxi_assets.sources.sample.newest import newest_month
from taxi_assets.sources.sample.trips import CHUNK_ROWS
from taxi_assets.sources.source import TripSource
from taxi_assets_tests.real_months import RealMonths
from taxi_assets_tests.registry import SERVICES
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.sources.conftest import MONTH, QUICK

ROWS = 20_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    yield home
    SAMPLE_SOURCE.stop(home)


@pytest.fixture(scope="module")
@starts_server
def url(home: Path) -> str:
    return sample_url(home, ROWS)


@pytest.fixture
def sample(url: str, tmp_path: Path) -> TripSource:
    return TripSource(url, tmp_path / "raw", retry_policy=QUICK)


def read(path: Path) -> pa.Table:
    # Text as it stands in the file: types are the business of whoever reads trips.
    with pa.CompressedInputStream(pa.OSFile(str(path)), "gzip") as stream:
        names = pa_csv.read_csv(stream).column_names
    types = {name: pa.string() for name in names}
    options = pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    with pa.CompressedInputStream(pa.OSFile(str(path)), "gzip") as stream:
        return pa_csv.read_csv(stream, convert_options=options)


def made(folder: Path, service: str, month: date, layout: str = "csv", rows: int = ROWS) -> Path:
    path = folder / f"{service}.{layout}"
    make_month(path, SERVICES[service], month, rows, "csv" if layout == "csv" else "parquet")
    return path


def test_a_month_is_synthetic_and_says_so(sample: TripSource, url: str) -> None:
    raw = sample.fetch("yellow", MONTH)
    assert raw.synthetic
    assert raw.layout == "csv"
    assert read(raw.path).num_rows == ROWS
    assert requests.head(f"{url}/yellow/nothing", timeout=5).headers["X-Taxi-Sample"] == "synthetic"
    again = sample.fetch("yellow", MONTH)
    assert again == raw


def test_server_knows_head_ranges_and_versions(url: str) -> None:
    address = f"{url}/yellow/yellow_tripdata_2021-02.csv.gz"
    head = requests.head(address, timeout=5)
    body = requests.get(address, timeout=5).content
    assert head.headers["Content-Length"] == str(len(body))
    assert head.headers["Last-Modified"] == "Mon, 01 Feb 2021 00:00:00 GMT"
    etag = head.headers["ETag"]
    for condition, status in ((etag, 206), ('"another"', 200)):
        rest = requests.get(address, headers={"Range": "bytes=1000-", "If-Range": condition}, timeout=5)
        assert (rest.status_code, rest.content) == (status, body[1000:] if status == 206 else body)
    assert requests.get(address, headers={"If-None-Match": etag}, timeout=5).status_code == 304


def test_the_short_way_to_ask_finds_what_http_finds(sample: TripSource, url: str, tmp_path: Path) -> None:
    short = replace(sample, synthetic=True)
    sample.fetch("yellow", MONTH)
    found = short.probe("yellow", MONTH)
    assert found
    assert found == sample.probe("yellow", MONTH) == short.probe("yellow", MONTH, known=found)
    assert short.probe("yellow", date(2018, 12, 1)) is None
    wrong, nowhere = (replace(short, url=address) for address in (f"{url}/..%2f", "http://127.0.0.1:9"))
    assert wrong.probe("yellow", MONTH) is None
    with pytest.raises(SourceUnavailable, match="does not answer"):
        nowhere.probe("yellow", MONTH)


@pytest.mark.parametrize(
    "path",
    [
        "yellow/yellow_tripdata_2018-12.csv.gz",
        "yellow/yellow_tripdata_2090-01.csv.gz",
        "yellow/yellow_tripdata_2021-13.csv.gz",
        "yellow/green_tripdata_2021-01.csv.gz",
        "red/red_tripdata_2021-01.csv.gz",
        "trip-data/yellow_tripdata_2021-01.csv.gz",
        "misc/other.csv",
        "../../run/sample.json",
    ],
)
def test_nothing_else_is_published(url: str, path: str) -> None:
    assert requests.get(f"{url}/{path}", timeout=5).status_code == 404


def test_month_that_is_not_over_is_not_published(sample: TripSource) -> None:
    with pytest.raises(NotPublished):
        sample.fetch("green", date.today().replace(day=1))


def test_months_are_published_about_two_months_late() -> None:
    assert newest_month(date(2021, 3, 31)) == date(2020, 12, 1)
    assert newest_month(date(2021, 4, 1)) == date(2021, 1, 1)


def test_one_server_serves_any_size(sample: TripSource, home: Path, tmp_path: Path) -> None:
    small = TripSource(sample_url(home, 500), tmp_path / "small", retry_policy=QUICK)
    assert small.url.rpartition("/")[0] == sample.url.rpartition("/")[0]
    assert read(small.fetch("green", MONTH).path).num_rows == 500


def test_zone_lookup(sample: TripSource) -> None:
    with sample.fetch_lookup().path.open() as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["LocationID", "Borough", "Zone", "service_zone"]
    assert [line[0] for line in lines[1:]] == [str(zone) for zone in range(1, 266)]
    assert all("Made-up" in line[2] for line in lines[1:])


def test_same_bytes_each_time(tmp_path: Path) -> None:
    rows = CHUNK_ROWS + 10
    for layout in ("csv", "parquet"):
        sums = {
            hashlib.sha256(made(tmp_path / folder, "green", MONTH, layout, rows).read_bytes()).hexdigest()
            for folder in ("one", "two")
        }
        assert len(sums) == 1
    other = made(tmp_path / "other", "green", date(2021, 2, 1), "csv", rows)
    assert other.read_bytes() != (tmp_path / "one" / "green.csv").read_bytes()


@pytest.mark.parametrize("service", ["yellow", "green"])
def test_both_layouts_hold_the_same_trips(tmp_path: Path, service: str) -> None:
    from_csv = read(made(tmp_path, service, MONTH))
    from_parquet = pq.read_table(made(tmp_path, service, MONTH, "parquet"))
    assert from_csv.num_rows == from_parquet.num_rows == ROWS
    for name in from_csv.column_names:
        written = from_csv[name]
        kind = from_parquet[name].type
        read_back = written.cast(kind if not pa.types.is_timestamp(kind) else pa.timestamp("s"))
        assert read_back.cast(kind).equals(from_parquet[name]), name


@pytest.mark.parametrize("service", ["yellow", "green"])
@pytest.mark.parametrize("month", [date(2019, 1, 1), MONTH, date(2025, 3, 1)])
def test_columns_are_those_that_the_registry_requires(tmp_path: Path, service: str, month: date) -> None:
    required = [column.sources[0] for column in SERVICES[service].columns if column.sources and column.required(month)]
    header = read(made(tmp_path, service, month, rows=10)).column_names
    assert header == columns(SERVICES[service], month, "csv")
    assert [name for name in header if name != "ehail_fee"] == required
    parquet = pq.read_schema(made(tmp_path, service, month, "parquet", 10)).names
    assert set(parquet) >= set(header)


@pytest.mark.parametrize("service", ["yellow", "green"])
def test_header_is_that_of_the_published_file(tmp_path: Path, real_months: RealMonths, service: str) -> None:
    real = read(real_months.path(service, "2020-06")).column_names
    assert read(made(tmp_path, service, date(2020, 6, 1), rows=10)).column_names == real


@pytest.mark.parametrize(("service", "blank"), [("yellow", 0.07), ("green", 0.30)])
def test_dirt_of_the_published_files(tmp_path: Path, service: str, blank: float) -> None:
    trips = pq.read_table(made(tmp_path, service, MONTH, "parquet"))
    count = int(ROWS * blank)
    entered = {"VendorID", "passenger_count", "RatecodeID", "store_and_fwd_flag", "payment_type", "trip_type"}
    for name in entered & set(trips.column_names):
        assert trips[name].null_count == trips[name].slice(ROWS - count).null_count == count, name
    assert trips["PULocationID"].null_count == 0
    zeros = pc.sum(pc.equal(trips["passenger_count"], 0)).as_py()
    assert 0 < zeros < 0.05 * ROWS
    assert 0.005 * ROWS < pc.sum(pc.equal(trips["trip_distance"], 0)).as_py() < 0.06 * ROWS
    assert 0 < pc.sum(pc.less(trips["total_amount"], 0)).as_py() < 0.02 * ROWS
    years = pc.year(trips[SERVICES[service].pickup])
    assert pc.sum(pc.not_equal(years, 2021)).as_py() == 2
    if service == "green":
        assert trips["ehail_fee"].null_count == ROWS
        assert trips["congestion_surcharge"].null_count == count


def test_a_service_without_a_profile_gets_values_of_its_types(tmp_path: Path) -> None:
    trips = pq.read_table(made(tmp_path, "fhv", MONTH, "parquet"))
    assert trips.column_names == [column.sources[0] for column in SERVICES["fhv"].columns if column.sources]
    assert trips["pickup_datetime"].null_count == 0
    for name in trips.column_names[2:]:
        assert 0 < trips[name].null_count < 0.05 * ROWS, name
    assert pc.max(trips["PUlocationID"]).as_py() <= 265
    assert set(trips["SR_Flag"].drop_null().to_pylist()) == {1}
    from_csv = read(made(tmp_path, "fhv", MONTH))
    assert from_csv["dispatching_base_num"].equals(trips["dispatching_base_num"])
    assert from_csv["PUlocationID"].cast(pa.int64()).equals(trips["PUlocationID"])


def test_each_service_is_served_from_its_first_month_on(sample: TripSource) -> None:
    assert sample.fetch("fhv", date(2019, 1, 1)).synthetic
    for service, month in (("fhv", date(2018, 12, 1)), ("yelow", MONTH)):
        with pytest.raises(NotPublished):
            sample.fetch(service, month)
