"""What is wrong with a month's file, a source, a server or a word: said clearly, and every store as before."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from taxi_assets.local.service import free_port
from taxi_assets_tests.external_postgres import PASSWORD, external_postgres
from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.taxi_command import Said, Taxi
from taxi_assets_tests.trips.made import HEADER, arrow_trips, line

pytestmark = pytest.mark.e2e

MONTH = "2021-01"
CSV = f"/yellow/yellow_tripdata_{MONTH}.csv.gz"
PARQUET = f"/trip-data/yellow_tripdata_{MONTH}.parquet"
TABLE = '"bad input".yellow_cab_data'
DETAILS = ("Found:", "Intact:", "Next:")


def packed(*lines: str, header: str = HEADER, end: str = "\n") -> bytes:
    return gzip.compress(("\n".join([header, *lines]) + end).encode())


def parquet() -> bytes:
    into = io.BytesIO()
    pq.write_table(arrow_trips(YELLOW, 2000), into)
    return into.getvalue()


GOOD = packed(*[line()] * 3, line(passenger_count="0"))
MANY = packed(*(line(total_amount=f"{number}.5") for number in range(4000)))


@dataclass(frozen=True)
class State:
    """What must not change: rows, loads, and the files between the assets."""

    rows: list[tuple[Any, ...]]
    loads: list[tuple[Any, ...]]
    files: dict[str, bytes]


def state(taxi: Taxi) -> State:
    files = {
        str(path.relative_to(taxi.home)): path.read_bytes()
        for folder in ("clean", "rejected", "tmp")
        for path in sorted((taxi.home / folder).rglob("*"))
        if path.is_file()
    }
    rows = taxi.asks(f"SELECT source_month, count(*), sum(total_amount) FROM {TABLE} GROUP BY 1")
    return State(rows, taxi.asks("SELECT * FROM taxi_assets.load_log ORDER BY id"), files)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        server.publish(CSV, GOOD)
        yield server


@pytest.fixture(scope="module")
def fed(platform: Taxi, server: FaultyServer) -> Taxi:
    """A good month is loaded from that server."""
    found = platform.having(TAXI_SOURCE_URL=server.url, POSTGRES_SCHEMA="bad input", TAXI_SOURCE_ATTEMPTS="2")
    found.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    return found


@pytest.fixture
def web(server: FaultyServer) -> Iterator[FaultyServer]:
    """That server, well again afterwards."""
    yield server
    server.heals(CSV)
    server.heals(PARQUET)
    server.publish(CSV, GOOD)


@pytest.fixture
def loaded(fed: Taxi, web: FaultyServer) -> Taxi:
    """What the source of the good month serves from now on is not good; a test before may have loaded another one."""
    for part in (fed.home / "raw").rglob("*.part*"):
        part.unlink()
    if fed.stored(TABLE)[MONTH] != 3:
        fed.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert fed.asks(f"SELECT count(*) FROM {TABLE} WHERE source_month = '2021-01-01'") == [(3,)]
    return fed


def refused(taxi: Taxi, *expected: str) -> Said:
    before = state(taxi)
    said = taxi("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert said.code == 1
    for text in (*expected, *DETAILS):
        assert text in said.err, said.err
    assert state(taxi) == before
    assert not list((taxi.home / "raw").rglob("*.part*")), "a part of a file stayed"
    return said


def test_a_month_that_is_gone(loaded: Taxi, web: FaultyServer) -> None:
    web.always_fails(CSV, Fault(status=404))
    web.always_fails(PARQUET, Fault(status=404))
    refused(loaded, "yellow 2021-01 is not published yet.", f"{web.url}{CSV} and {web.url}{PARQUET}")


def test_a_500_that_stays(loaded: Taxi, web: FaultyServer) -> None:
    web.asked.clear()
    web.always_fails(CSV, Fault(status=500))
    refused(loaded, "The source does not deliver the file now.", "500 Internal Server Error, after 2 attempts")
    assert len(web.of(CSV)) == 2


def test_a_500_that_stays_for_a_month_that_is_new(platform: Taxi, web: FaultyServer) -> None:
    path = CSV.replace(MONTH, "2021-02")
    web.always_fails(path, Fault(status=500))
    new = platform.having(TAXI_SOURCE_URL=web.url, TAXI_SOURCE_ATTEMPTS="2")
    said = new("run", "yellow", "--months", "2021-02", "--only", "postgres")
    assert said.code == 1
    assert "500 Internal Server Error, after 2 attempts" in said.err
    asked = [request.method for request in web.of(path)]
    assert asked == ["HEAD", "HEAD", "GET", "GET"], "before the run and in it; the step is not tried again"


def test_a_connection_cut_in_the_middle(loaded: Taxi, web: FaultyServer) -> None:
    web.publish(CSV, MANY, etag=None, last_modified=None)
    web.always_fails(CSV, Fault(cut_after=len(MANY) // 2, ignore_range=True))
    before = state(loaded)
    said = loaded("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert said.code == 1
    assert "the connection was cut" in said.err
    assert "after 2 attempts" in said.err
    assert state(loaded) == before


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            GOOD[:-20], ["not with the file that belongs there", "one that breaks off after"], marks=pytest.mark.long
        ),
        pytest.param(GOOD[:40] + bytes(9) + GOOD[49:], ["an intact gzip file", "damaged data"], marks=pytest.mark.long),
        (b"<!DOCTYPE html><html><body>Please sign in</body></html>", ["a gzip file", "Please sign in"]),
        pytest.param(b"", ["a gzip file", "empty"], marks=pytest.mark.long),
        pytest.param(gzip.compress(b""), ["The file is empty."], marks=pytest.mark.long),
        pytest.param(packed(), ["no row"], marks=pytest.mark.long),
        pytest.param(
            packed(line(), header=HEADER.replace("trip_distance", "distance")),
            ["lacks the column trip_distance"],
            marks=pytest.mark.long,
        ),
        (
            packed(line(), line(), line(fare_amount="eight")),
            ["does not fit the column fare_amount", "'eight'", f"{CSV}, line 4, column fare_amount"],
        ),
        pytest.param(
            packed(line(), line()[:70], end=""),
            ["The last line of the file breaks off.", "line 3"],
            marks=pytest.mark.long,
        ),
    ],
    ids=["gzip cut", "gzip damaged", "HTML", "empty", "empty in gzip", "header alone", "column", "word", "last line"],
)
def test_a_file_that_is_none(loaded: Taxi, web: FaultyServer, body: bytes, expected: list[str]) -> None:
    web.publish(CSV, body)
    refused(loaded, *expected)


def test_a_month_without_a_row_to_keep_is_blocked(loaded: Taxi, web: FaultyServer) -> None:
    web.publish(CSV, packed(*[line(passenger_count="0")] * 7))
    before = loaded.asks(f"SELECT source_month, count(*) FROM {TABLE} GROUP BY 1")
    said = loaded("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert said.code == 1
    assert "month_not_empty: 0 rows kept" in said.err
    assert "A check that must be passed was not, so nothing was loaded." in said.err
    assert loaded.asks(f"SELECT source_month, count(*) FROM {TABLE} GROUP BY 1") == before


@pytest.mark.parametrize(
    "damage", [lambda body: body[: len(body) // 2], lambda body: body[:-300] + bytes(296) + b"PAR1"]
)
def test_a_broken_parquet_file(loaded: Taxi, web: FaultyServer, damage: Callable[[bytes], bytes]) -> None:
    web.always_fails(CSV, Fault(status=404))
    web.heals(PARQUET)
    web.publish(PARQUET, damage(parquet()))
    refused(loaded, "a complete Parquet file" if damage(b"PAR1" * 99)[-4:] != b"PAR1" else "an intact Parquet file")


def test_a_new_column_is_left_out_and_named(loaded: Taxi, web: FaultyServer) -> None:
    lines = [f"{line(tpep_pickup_datetime='2021-03-02 10:00:00')},7"] * 4
    web.publish(CSV.replace(MONTH, "2021-03"), packed(*lines, header=f"{HEADER},surge_factor"))
    said = loaded.well("run", "yellow", "--months", "2021-03", "--only", "postgres")
    assert "yellow/clean_taxi, check columns_known: left out, " in said.err
    assert "surge_factor" in said.err
    assert loaded.stored(TABLE) == {MONTH: 3, "2021-03": 4}


def test_the_mended_file_is_loaded(loaded: Taxi, web: FaultyServer) -> None:
    web.publish(CSV, packed(*[line()] * 5))
    loaded.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert loaded.stored(TABLE)[MONTH] == 5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["yelow", "--months", MONTH], ["'yelow'", "green, yellow"]),
        (["yellow", "--months", "2021-13"], ["'2021-13' is not a month", "like 2021-01"]),
        (["yellow", "--months", "2021-03:2021-01"], ["run backwards", "2021-01:2021-03"]),
        (["yellow", "--months", "2018-12"], ["does not know yellow 2018-12", "2019-01 or a later month"]),
        (["yellow", "--months", "2098-01"], ["is not published yet: the month is not over"]),
        (["yellow", "--months", MONTH, "--only", "mysql"], ["no store 'mysql'", "one of: postgres"]),
    ],
)
def test_a_wrong_word(platform: Taxi, words: list[str], expected: list[str]) -> None:
    said = platform("run", *words)
    assert said.code == 2
    for text in ("Error:", "Expected:", *expected):
        assert text in said.err


def test_a_source_that_is_none(platform: Taxi, tmp_path: Path) -> None:
    none = (tmp_path / "none").as_uri()
    for url, expected, code in (("ftp://me:s3cret@host/x", "ftp://host/x", 2), (none, "is not there", 1)):
        said = platform.having(TAXI_SOURCE_URL=url)("run", "yellow", "--months", "2021-03", "--only", "postgres")
        assert said.code == code
        assert expected in said.err
        assert "s3cret" not in said.err + said.out


def test_synthetic_trips_are_kept_from_a_real_store(platform: Taxi) -> None:
    said = platform.having(POSTGRES_HOST="127.0.0.1")("doctor")
    assert said.code == 1
    assert "synthetic trips are not loaded into a real store" in said.err
    assert "POSTGRES_HOST (set in: shell)" in said.err
    assert all(word in said.err for word in ("`tlc`", "`mirror`"))


def test_a_postgres_that_is_down(platform: Taxi, tmp_path: Path) -> None:
    port = str(free_port())
    down = platform.having(POSTGRES_HOST="127.0.0.1", POSTGRES_PORT=port, TAXI_SOURCE_URL=tmp_path.as_uri())
    for words in (["run", "yellow", "--months", MONTH], ["sql", "select 1"], ["verify"]):
        said = down(*words)
        assert said.code == 1
        for text in ("PostgreSQL cannot be reached.", f"port {port}", "POSTGRES_HOST (from: shell)", *DETAILS):
            assert text in said.err


@pytest.fixture(scope="module")
def locked(platform: Taxi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    """`taxi` with a server that asks for a password."""
    with external_postgres(tmp_path_factory.mktemp("locked")) as address:
        yield platform.having(
            POSTGRES_HOST=address.host,
            POSTGRES_PORT=str(address.port),
            POSTGRES_PASSWORD=PASSWORD,
            TAXI_SOURCE_URL=tmp_path_factory.mktemp("source").as_uri(),
        )


def test_a_refused_password(locked: Taxi) -> None:
    wrong = locked.having(POSTGRES_PASSWORD="wrong-s3cret")
    for words in (["run", "yellow", "--months", MONTH], ["sql", "select 1"], ["doctor"]):
        said = wrong(*words)
        assert said.code == 1
        assert "PostgreSQL refuses the user or the password." in said.err
        assert "POSTGRES_PASSWORD (from: shell)" in said.err
        assert "wrong-s3cret" not in said.err + said.out


def test_a_server_of_ones_own(locked: Taxi, web: FaultyServer) -> None:
    web.publish(CSV, GOOD)
    own = locked.having(TAXI_SOURCE_URL=web.url)
    said = own.well("run", "yellow", "--months", MONTH, "--only", "postgres")
    assert own.sql("SELECT source_month, count(*) FROM ny_taxi.yellow_cab_data GROUP BY 1") == f"{MONTH}-01,3"
    doctor = own.well("doctor")
    assert PASSWORD not in said.err + doctor.out + doctor.err
    assert "**********" in doctor.out
