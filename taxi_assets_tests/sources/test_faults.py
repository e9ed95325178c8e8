"""Servers that fail: what passes is tried again, what does not is said clearly, and the old file stays."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.sources.download import read_record
from taxi_assets.sources.errors import SourceError, SourceUnavailable
from taxi_assets.sources.record import RawFile
from taxi_assets.sources.retry import parse_retry_after
from taxi_assets.sources.source import TripSource
from taxi_assets_tests.faulty_server import GOOD, Fault, FaultyServer
from taxi_assets_tests.sources.conftest import CSV_PATH, MONTH, PARQUET_PATH, QUICK, gzipped

HTML = b"<!DOCTYPE html><html><body>Please sign in</body></html>"


def ranges(server: FaultyServer) -> list[str | None]:
    return [asked.headers.get("Range") for asked in server.of(CSV_PATH)]


@pytest.fixture
def old(server: FaultyServer, source: TripSource) -> RawFile:
    """An older version of the file, fetched before."""
    server.publish(CSV_PATH, gzipped(10, "old"))
    raw = source.fetch("yellow", MONTH)
    server.asked.clear()
    return raw


@pytest.fixture
def assert_old_stays(old: RawFile) -> Callable[[], None]:
    body = old.path.read_bytes()

    def check() -> None:
        assert old.path.read_bytes() == body
        found = read_record(old.path)
        assert found
        assert found.sha256 == old.sha256

    return check


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_what_passes_is_tried_again(server: FaultyServer, source: TripSource, csv_body: bytes, status: int) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(status=status), Fault(status=status))
    raw = source.fetch("yellow", MONTH)
    assert raw.path.read_bytes() == csv_body
    assert raw.attempts == 3
    assert len(server.asked) == 3


def test_error_that_stays(server: FaultyServer, source: TripSource, assert_old_stays: Callable[[], None]) -> None:
    server.always_fails(CSV_PATH, Fault(status=500))
    with pytest.raises(SourceUnavailable) as caught:
        source.fetch("yellow", MONTH)
    assert caught.value.transient
    assert "500 Internal Server Error, after 5 attempts" in str(caught.value)
    assert server.url + CSV_PATH in str(caught.value)
    assert len(server.of(CSV_PATH)) == 5
    assert_old_stays()


@pytest.mark.parametrize("status", [400, 401, 403, 451, 501])
def test_refusal_is_not_tried_again(
    server: FaultyServer, source: TripSource, assert_old_stays: Callable[[], None], status: int
) -> None:
    server.always_fails(CSV_PATH, Fault(status=status))
    with pytest.raises(SourceError, match="refuses") as caught:
        source.fetch("yellow", MONTH)
    assert str(status) in str(caught.value)
    assert len(server.asked) == 1
    assert_old_stays()


def test_server_that_is_down(source: TripSource) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        replace(source, url="http://127.0.0.1:1").fetch("yellow", MONTH)
    assert "Connection refused, after 5 attempts" in str(caught.value)


def test_server_that_does_not_answer_in_time(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(stall_after=10))
    impatient = replace(source, retry_policy=replace(QUICK, read_timeout=0.2))
    raw = impatient.fetch("yellow", MONTH)
    assert raw.path.read_bytes() == csv_body
    assert ranges(server) == [None, "bytes=10-"]


def test_retry_after_is_obeyed_up_to_a_limit(
    server: FaultyServer, source: TripSource, csv_body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(status=429, headers={"Retry-After": "9999"}))
    source.fetch("yellow", MONTH)
    assert "429 Too Many Requests; trying again in 0.3 s (attempt 1 of 5)" in caplog.text


def test_retry_after_in_both_forms() -> None:
    assert parse_retry_after("7") == 7
    soon = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < (parse_retry_after(format_datetime(soon, usegmt=True)) or 0) <= 60
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert parse_retry_after("soon") is None
    assert parse_retry_after(None) is None


def test_cut_download_goes_on_where_it_broke_off(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body, etag='"one"')
    server.fails(CSV_PATH, Fault(cut_after=300_000), Fault(cut_after=50_000))
    raw = source.fetch("yellow", MONTH)
    assert raw.path.read_bytes() == csv_body
    assert ranges(server) == [None, "bytes=300000-", "bytes=350000-"]
    assert server.asked[-1].headers["If-Range"] == '"one"'


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_last_modified_serves_where_there_is_no_strong_etag(
    server: FaultyServer, source: TripSource, csv_body: bytes, etag: str | None
) -> None:
    server.publish(CSV_PATH, csv_body, etag=etag)
    server.fails(CSV_PATH, Fault(cut_after=1000))
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body
    assert server.asked[-1].headers["If-Range"] == "Mon, 04 Jan 2021 10:00:00 GMT"


def test_without_validators_it_starts_over(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body, etag=None, last_modified=None)
    server.fails(CSV_PATH, Fault(cut_after=1000))
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body
    assert ranges(server) == [None, None]


def test_server_without_ranges_starts_over(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(cut_after=1000), Fault(ignore_range=True))
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body
    assert len(server.asked) == 2


@pytest.mark.parametrize("second", [GOOD, Fault(ignore_if_range=True)])
def test_file_that_changed_meanwhile_starts_over(
    server: FaultyServer, source: TripSource, csv_body: bytes, second: Fault
) -> None:
    new = gzipped(50_000, "new")
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(cut_after=1000, afterwards=lambda: server.publish(CSV_PATH, new)), second)
    raw = source.fetch("yellow", MONTH)
    assert raw.path.read_bytes() == new
    assert raw.etag == server.file(CSV_PATH).etag


def test_file_that_shrank_meanwhile_starts_over(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body, etag='"same"')
    small = gzipped(10)
    server.fails(CSV_PATH, Fault(cut_after=10_000, afterwards=lambda: server.publish(CSV_PATH, small, etag='"same"')))
    assert source.fetch("yellow", MONTH).path.read_bytes() == small


def test_parts_of_two_versions_put_together_are_found_and_fetched_anew(
    server: FaultyServer, source: TripSource, csv_body: bytes
) -> None:
    new = gzipped(60_000, "tree")
    server.publish(CSV_PATH, csv_body, etag='"same"')
    server.fails(CSV_PATH, Fault(cut_after=10_000, afterwards=lambda: server.publish(CSV_PATH, new, etag='"same"')))
    raw = source.fetch("yellow", MONTH)
    assert raw.path.read_bytes() == new
    assert ranges(server) == [None, "bytes=10000-", None]


def test_cut_that_stays(
    server: FaultyServer, source: TripSource, csv_body: bytes, assert_old_stays: Callable[[], None]
) -> None:
    server.publish(CSV_PATH, csv_body)
    server.always_fails(CSV_PATH, Fault(cut_after=0))
    with pytest.raises(SourceUnavailable, match="does not deliver") as caught:
        source.fetch("yellow", MONTH)
    assert "after 5 attempts" in str(caught.value)
    assert_old_stays()
    server.heals(CSV_PATH)
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body


def test_next_fetch_goes_on_with_the_part_of_a_failed_one(
    server: FaultyServer, source: TripSource, csv_body: bytes
) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(cut_after=1000), *[Fault(status=500)] * 4)
    with pytest.raises(SourceUnavailable):
        source.fetch("yellow", MONTH)
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body
    assert ranges(server)[-1] == "bytes=1000-"


def broken(kind: str, csv_body: bytes) -> tuple[bytes, str]:
    """A broken body and what the error says of it."""
    flipped = bytearray(csv_body)
    flipped[-6] ^= 1
    return {
        "truncated": (csv_body[:-5000], "one that breaks off after"),
        "crc": (bytes(flipped), "damaged data"),
        "html": (HTML, "an HTML page, beginning with '<!DOCTYPE html><html><body>Please sign in"),
        "text": (b"no such thing", "something else"),
        "empty": (b"", "an empty file"),
        "trailing": (csv_body + b"garbage", "damaged data"),
    }[kind]


@pytest.mark.parametrize("kind", ["truncated", "crc", "html", "text", "empty", "trailing"])
def test_broken_gzip_is_refused(
    server: FaultyServer, source: TripSource, csv_body: bytes, assert_old_stays: Callable[[], None], kind: str
) -> None:
    body, found = broken(kind, csv_body)
    server.publish(CSV_PATH, body)
    with pytest.raises(SourceError, match="answered, but not with the file") as caught:
        source.fetch("yellow", MONTH)
    assert found in str(caught.value)
    assert server.url + CSV_PATH in str(caught.value)
    assert len(server.asked) == 1
    assert_old_stays()
    assert list((source.folder / "yellow").glob("*.part*")) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda body: body[:-2000], "the footer is missing"),
        (lambda body: body[:-2000] + b"PAR1", "a damaged footer"),
        (lambda body: HTML, "an HTML page"),
        (lambda body: b"", "an empty file"),
    ],
    ids=["truncated", "footer", "html", "empty"],
)
def test_broken_parquet_is_refused(
    server: FaultyServer, source: TripSource, parquet_body: bytes, change: Callable[[bytes], bytes], found: str
) -> None:
    server.publish(PARQUET_PATH, change(parquet_body))
    with pytest.raises(SourceError) as caught:
        source.fetch("yellow", MONTH)
    assert found in str(caught.value)
    assert [path.suffix for path in (source.folder / "yellow").iterdir() if path.suffix != ".lock"] == []


def test_gzip_of_several_members_and_padding(server: FaultyServer, source: TripSource) -> None:
    body = gzipped(5) + gzipped(50_000) + gzip.compress(b"") + b"\0" * 512
    server.publish(CSV_PATH, body)
    assert source.fetch("yellow", MONTH).path.read_bytes() == body


def test_length_that_is_not_said(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(no_length=True, cut_after=1000), Fault(no_length=True))
    seen: list[int | None] = []
    raw = source.fetch("yellow", MONTH, progress=lambda done, total: seen.append(total))
    assert raw.path.read_bytes() == csv_body
    assert raw.attempts == 2
    assert seen[0] is None


def test_folder_that_cannot_be_written(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    (source.folder / "yellow" / "yellow_tripdata_2021-01.csv.gz.part").mkdir(parents=True)
    with pytest.raises(TaxiError, match="cannot be written"):
        source.fetch("yellow", MONTH)


@pytest.mark.parametrize("cut_after", [None, 250_000])
def test_body_in_chunks(server: FaultyServer, source: TripSource, csv_body: bytes, cut_after: int | None) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(chunked=True, cut_after=cut_after))
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body
    assert ranges(server)[1:] == ([] if cut_after is None else ["bytes=300000-"])


def test_redirect_keeps_the_range_and_its_target_is_not_shown(
    server: FaultyServer, source: TripSource, csv_body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server.publish("/signed", csv_body)
    server.always_fails(CSV_PATH, Fault(status=302, headers={"Location": f"{server.url}/signed?signature=pw"}))
    server.fails("/signed", Fault(cut_after=300_000), Fault(status=503))
    raw = source.fetch("yellow", MONTH)
    assert raw.path.read_bytes() == csv_body
    assert raw.url == server.url + CSV_PATH
    assert server.of("/signed")[-1].headers["Range"] == "bytes=300000-"
    server.always_fails("/signed", Fault(status=403))
    with pytest.raises(SourceError) as caught:
        source.fetch("yellow", MONTH, force=True)
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("taxi_assets"))
    assert "503" in ours
    assert "signature" not in ours + str(caught.value) + raw.model_dump_json()
