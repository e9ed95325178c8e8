"""Processes that are killed, and processes that want the same file at once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from taxi_assets.sources.download import sidecar
from taxi_assets.sources.source import TripSource
from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.sources.conftest import CSV_PATH, MONTH, gzipped

SECONDS = 60


def fetching(source: TripSource) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "taxi_assets_tests.sources.fetch_process", source.url, str(source.folder)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root)


def killed_while_fetching(server: FaultyServer, source: TripSource, after: int) -> None:
    server.fails(CSV_PATH, Fault(stall_after=after))
    process = fetching(source)
    try:
        assert server.stalled.wait(SECONDS)
        part = source.folder / "yellow" / (Path(CSV_PATH).name + ".part")
        while not part.exists() or part.stat().st_size == 0:
            assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
        server.go.set()


def test_killed_download_leaves_the_old_file_and_the_next_goes_on(
    server: FaultyServer, source: TripSource, csv_body: bytes
) -> None:
    server.publish(CSV_PATH, gzipped(10, "old"))
    old = source.fetch("yellow", MONTH)
    server.publish(CSV_PATH, csv_body)
    killed_while_fetching(server, source, 300_000)
    assert old.path.read_bytes() == gzipped(10, "old")
    raw = source.fetch("yellow", MONTH)
    assert raw.path.read_bytes() == csv_body
    assert raw.sha256 == hashlib.sha256(csv_body).hexdigest()
    begun = int(server.asked[-1].headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begun <= 300_000


def test_kill_after_the_last_byte_is_no_trouble(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    source.fetch("yellow", MONTH)
    part = source.folder / "yellow" / (Path(CSV_PATH).name + ".part")
    version = {"etag": server.file(CSV_PATH).etag, "last_modified": server.file(CSV_PATH).last_modified}
    part.with_name(part.name + ".json").write_text(json.dumps(version))
    part.write_bytes(csv_body)
    assert source.fetch("yellow", MONTH).path.read_bytes() == csv_body
    assert [asked.headers.get("Range") for asked in server.asked] == [None, f"bytes={len(csv_body)}-", None]
    assert not part.exists()


def test_killed_download_of_a_file_that_changed_starts_over(
    server: FaultyServer, source: TripSource, csv_body: bytes
) -> None:
    server.publish(CSV_PATH, csv_body)
    killed_while_fetching(server, source, 300_000)
    server.publish(CSV_PATH, new := gzipped(70_000, "new"))
    assert source.fetch("yellow", MONTH).path.read_bytes() == new


def test_kill_between_file_and_record_is_noticed(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    first = source.fetch("yellow", MONTH)
    record = sidecar(first.path).read_text()
    server.publish(CSV_PATH, new := gzipped(60_000, "new"))
    source.fetch("yellow", MONTH)
    sidecar(first.path).write_text(record)
    server.asked.clear()
    again = source.fetch("yellow", MONTH)
    assert "If-None-Match" not in server.asked[0].headers
    assert again.sha256 == hashlib.sha256(new).hexdigest()


def test_processes_at_once_fetch_the_file_once(server: FaultyServer, source: TripSource, csv_body: bytes) -> None:
    server.publish(CSV_PATH, csv_body)
    server.fails(CSV_PATH, Fault(stall_after=1000))
    processes = [fetching(source) for _ in range(3)]
    try:
        assert server.stalled.wait(SECONDS)
        server.go.set()
        for process in processes:
            out, err = process.communicate(timeout=SECONDS)
            assert (out.strip(), err) == (hashlib.sha256(csv_body).hexdigest(), "")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    whole = [asked for asked in server.asked if "If-None-Match" not in asked.headers]
    assert len(whole) == 1
    assert len(server.asked) == 3
