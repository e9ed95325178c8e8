"""Files that come as they should: kept, recorded, asked for again only if they changed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.sources.download import sidecar
from taxi_assets.sources.errors import NotPublished, SourceError
from taxi_assets.sources.record import RawFile
from taxi_assets.sources.source import TripSource
from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.sources.conftest import CSV_PATH, MONTH, PARQUET_PATH, gzipped


def test_fetched_file_is_the_published_one(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body, etag='"one"')
    seen: list[tuple[int, int | None]] = []
    raw = source.fetch("yellow", MONTH, progress=lambda done, total: seen.append((done, total)))
    assert raw.path == source.folder / "yellow" / "yellow_tripdata_2021-01.csv.gz"
    assert raw.path.read_bytes() == csv_body
    assert (raw.layout, raw.bytes, raw.sha256) == ("csv", len(csv_body), hashlib.sha256(csv_body).hexdigest())
    assert (raw.etag, raw.last_modified) == ('"one"', "Mon, 04 Jan 2021 10:00:00 GMT")
    assert (raw.url, raw.synthetic, raw.attempts) == (server.url + CSV_PATH, False, 1)
    assert json.loads(raw.model_dump_json())["sample"] is False
    assert seen[-1] == (len(csv_body), len(csv_body))
    assert server.asked[0].headers["Accept-Encoding"] == "identity"
    assert RawFile.model_validate_json(raw.model_dump_json()) == raw
    assert sorted(path.name for path in raw.path.parent.glob("*.part*")) == []


def test_parquet_is_taken_where_there_is_no_csv(server: FaultyServer, source: TripSource, parquet_body: bytes) -> None:
    server.publish(PARQUET_PATH, parquet_body)
    raw = source.fetch("yellow", MONTH)
    assert (raw.layout, raw.path.read_bytes()) == ("parquet", parquet_body)
    assert [asked.path for asked in server.asked] == [CSV_PATH, PARQUET_PATH]


def test_csv_comes_first(server: FaultyServer, source: TripSource, csv_body: bytes, parquet_body: bytes) -> None:
    server.publish(PARQUET_PATH, parquet_body)
    server.publish(CSV_PATH, csv_body)
    assert source.fetch("yellow", MONTH).layout == "csv"


def test_nothing_published_says_where_it_looked(server: FaultyServer, source: TripSource) -> None:
    with pytest.raises(NotPublished) as caught:
        source.fetch("yellow", MONTH)
    text = str(caught.value)
    assert "yellow 2021-01 is not published yet" in text
    assert server.url + CSV_PATH in text
    assert server.url + PARQUET_PATH in text
    assert not caught.value.transient
    assert len(server.asked) == 2


@pytest.mark.parametrize("etag", ['"one"', None])
def test_unchanged_file_is_not_sent_again(
    server: FaultyServer, source: TripSource, csv_body: bytes, etag: str | None
) -> None:
    server.publish(CSV_PATH, csv_body, etag=etag)
    first = source.fetch("yellow", MONTH)
    changed = first.path.stat().st_mtime_ns
    assert source.fetch("yellow", MONTH) == first
    assert first.path.stat().st_mtime_ns == changed
    known = server.asked[-1].headers
    assert ("If-None-Match" in known, "If-Modified-Since" in known) == (etag is not None, True)


def test_changed_file_replaces_the_old_one(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    first = source.fetch("yellow", MONTH)
    server.publish(CSV_PATH, new := gzipped(100, "new"))
    second = source.fetch("yellow", MONTH)
    assert second.sha256 != first.sha256
    assert second.path.read_bytes() == new


def test_force_asks_for_the_whole_file(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    source.fetch("yellow", MONTH)
    source.fetch("yellow", MONTH, force=True)
    assert "If-None-Match" not in server.asked[-1].headers


def test_file_that_someone_changed_here_is_fetched_anew(
    server: FaultyServer, source: TripSource, csv_body: bytes
) -> None:
    server.publish(CSV_PATH, csv_body)
    path = source.fetch("yellow", MONTH).path
    path.write_bytes(b"x" * len(csv_body))
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body
    path.write_bytes(csv_body)
    os.utime(path, (0, 0))
    source.fetch("yellow", MONTH)
    assert "If-None-Match" not in server.asked[-1].headers


def test_unreadable_record_is_no_record(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    path = source.fetch("yellow", MONTH).path
    sidecar(path).write_text("{}")
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body


def test_probe_sends_no_body_and_keeps_no_file(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body, etag='"one"')
    found = source.probe("yellow", MONTH)
    assert found
    assert (found.url, found.layout, found.etag, found.bytes) == (server.url + CSV_PATH, "csv", '"one"', len(csv_body))
    assert [asked.method for asked in server.asked] == ["HEAD"]
    assert not source.folder.exists()


def test_probe_asks_for_a_byte_where_head_is_refused(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body, etag='"one"')
    server.fails(CSV_PATH, Fault(status=405))
    found = source.probe("yellow", MONTH)
    assert found
    assert (found.etag, found.bytes) == ('"one"', len(csv_body))
    assert server.asked[-1].headers["Range"] == "bytes=0-0"


def test_probe_finds_parquet_or_nothing(server: FaultyServer, source: TripSource, parquet_body: bytes) -> None:
    assert source.probe("yellow", MONTH) is None
    server.publish(PARQUET_PATH, parquet_body)
    found = source.probe("yellow", MONTH)
    assert found
    assert found.layout == "parquet"


def test_zone_lookup(server: FaultyServer, source: TripSource) -> None:
    with pytest.raises(NotPublished, match=r"no misc/taxi_zone_lookup\.csv"):
        source.fetch_lookup()
    server.publish("/misc/taxi_zone_lookup.csv", b'"LocationID","Borough"\n1,"EWR"\n')
    assert source.fetch_lookup().path.read_text().startswith('"LocationID"')
    server.publish("/misc/taxi_zone_lookup.csv", b"<!DOCTYPE html><html>")
    with pytest.raises(SourceError, match="answered, but not with the file"):
        source.fetch_lookup()
    assert (source.folder / "misc" / "taxi_zone_lookup.csv").read_text().startswith('"LocationID"')


def test_credentials_go_to_the_server_and_nowhere_else(
    server: FaultyServer, source: TripSource, csv_body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url.replace("http://", "http://ann:pw1@") + "?token=pw2"
    secret = replace(source, url=url)
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(status=503))
    raw = secret.fetch("yellow", MONTH)
    assert server.asked[-1].headers["Authorization"].startswith("Basic ")
    told = [repr(secret), repr(raw), raw.model_dump_json(), sidecar(raw.path).read_text()]
    told += [record.getMessage() for record in caplog.records if record.name.startswith("taxi_assets")]
    assert any("503" in text for text in told)
    for fault in (Fault(status=403), Fault(status=500), Fault(status=404), Fault(body=b"", cut_after=0)):
        server.always_fails(CSV_PATH, fault)
        with pytest.raises(TaxiError) as caught:
            secret.fetch("yellow", MONTH, force=True)
        told.append(str(caught.value))
    unreachable = replace(secret, url="http://ann:pw1@127.0.0.1:1?token=pw2")
    with pytest.raises(TaxiError) as caught:
        unreachable.fetch("yellow", MONTH)
    told.append(str(caught.value))
    assert not any("pw1" in text or "pw2" in text or "ann" in text for text in told)


def test_tlc_host_answers_403_for_an_unpublished_month(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server stands in as the proxy through which the TLC's host is reached.
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for path in (CSV_PATH, PARQUET_PATH):
        server.always_fails(path, Fault(status=403))
    tlc = TripSource("http://d37ci6vzurychx.cloudfront.net", tmp_path)
    with pytest.raises(NotPublished):
        tlc.fetch("yellow", MONTH)
    assert tlc.probe("yellow", MONTH) is None
    assert server.asked[0].headers["Host"] == "d37ci6vzurychx.cloudfront.net"
