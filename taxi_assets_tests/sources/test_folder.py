"""Sources that are folders: the same guarantees as over HTTP."""

from __future__ import annotations

import hashlib
import itertools
import os
from datetime import date
from pathlib import Path

import pytest

from taxi_assets.errors import TaxiError
from taxi_assets.settings import Settings
from taxi_assets.sources.errors import NotPublished, SourceError, SourceUnavailable
from taxi_assets.sources.folder import FileTransport
from taxi_assets.sources.source import TripSource, source_named
from taxi_assets.sources.transport import CHUNK_BYTES, Resume, Validators
from taxi_assets_tests.real_months import RealMonths
from taxi_assets_tests.sources.conftest import CSV_PATH, MONTH, QUICK, gzipped


@pytest.fixture
def published(tmp_path: Path, csv_body: bytes) -> Path:
    path = tmp_path / "a source" / CSV_PATH.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_bytes(csv_body)
    return path


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> TripSource:
    return TripSource(published.parents[1].as_uri(), tmp_path / "raw", retry_policy=QUICK)


def test_file_is_copied(folder: TripSource, published: Path, csv_body: bytes) -> None:
    seen: list[tuple[int, int | None]] = []
    raw = folder.fetch("yellow", MONTH, progress=lambda done, total: seen.append((done, total)))
    assert raw.path.read_bytes() == csv_body
    assert raw.sha256 == hashlib.sha256(csv_body).hexdigest()
    assert seen[-1] == (len(csv_body), len(csv_body))
    published.write_bytes(b"gone")
    assert raw.path.read_bytes() == csv_body


def test_unchanged_file_is_kept_and_a_changed_one_replaced(folder: TripSource, published: Path) -> None:
    first = folder.fetch("yellow", MONTH)
    assert folder.fetch("yellow", MONTH) == first
    published.write_bytes(gzipped(10))
    second = folder.fetch("yellow", MONTH)
    assert second.etag != first.etag
    assert second.path.read_bytes() == gzipped(10)


def test_probe_and_unpublished_months(folder: TripSource, csv_body: bytes) -> None:
    found = folder.probe("yellow", MONTH)
    assert found
    assert found.bytes == len(csv_body)
    assert folder.fetch("yellow", MONTH).etag == found.etag
    assert folder.probe("yellow", date(2021, 2, 1)) is None
    with pytest.raises(NotPublished, match="yellow 2021-02 is not published yet") as old:
        folder.fetch("yellow", date(2021, 2, 1))
    assert "try again" not in old.value.details["Next"]
    with pytest.raises(NotPublished, match="is not published yet") as young:
        folder.fetch("yellow", date.today().replace(day=1))
    assert "try again" in young.value.details["Next"]


def test_a_gap_in_a_folder_is_no_month_that_comes_later(folder: TripSource) -> None:
    with pytest.raises(NotPublished, match="has no file of yellow 2020-12, but of later months") as raised:
        folder.fetch("yellow", date(2020, 12, 1))
    assert "the newest file there is yellow_tripdata_2021-01.csv.gz" in raised.value.details["Found"]
    assert "try again" not in str(raised.value)


def test_a_folder_that_is_not_there_blames_no_setting_that_a_run_did_not_use(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="folder is not there") as raised:
        source_named((tmp_path / "nope").as_uri(), Settings(taxi_home=tmp_path)).probe("yellow", MONTH)
    assert raised.value.details["Next"].startswith(
        "correct the source's address: --source of the run, or TAXI_SOURCE_URL"
    )


def test_broken_file_is_refused(folder: TripSource, published: Path, csv_body: bytes) -> None:
    published.write_bytes(csv_body[:-100])
    with pytest.raises(SourceError, match="answered, but not with the file") as caught:
        folder.fetch("yellow", MONTH)
    assert "breaks off" in str(caught.value)
    assert not (folder.folder / "yellow" / published.name).exists()


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TaxiError, match="folder is not there"):
        TripSource((tmp_path / "nowhere").as_uri(), tmp_path / "raw").fetch("yellow", MONTH)


def test_folder_in_the_place_of_a_file(folder: TripSource, published: Path) -> None:
    published.unlink()
    published.mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        folder.fetch("yellow", MONTH)


def test_file_that_changes_while_it_is_copied_is_copied_again(folder: TripSource, published: Path) -> None:
    new = gzipped(60_001, "tree")
    changed = False

    def change(done: int, total: int | None) -> None:
        nonlocal changed
        if not changed:
            changed = True
            published.write_bytes(new)

    raw = folder.fetch("yellow", MONTH, progress=change)
    assert raw.path.read_bytes() == new
    assert raw.attempts == 2


def test_file_that_keeps_changing_is_given_up(folder: TripSource, published: Path, csv_body: bytes) -> None:
    seconds = itertools.count()
    with pytest.raises(SourceUnavailable, match="changed while it was copied"):
        folder.fetch("yellow", MONTH, progress=lambda done, total: os.utime(published, (0, next(seconds))))


def test_copy_goes_on_where_it_broke_off_only_in_the_same_version(published: Path, csv_body: bytes) -> None:
    address = published.as_uri()
    transport = FileTransport()
    version = transport.head(address).validators
    with transport.open(address, known=None, resume=Resume(CHUNK_BYTES, version)) as answer:
        assert answer.offset == CHUNK_BYTES
        assert b"".join(answer.chunks or ()) == csv_body[CHUNK_BYTES:]
    with transport.open(address, known=None, resume=Resume(CHUNK_BYTES, Validators("other"))) as answer:
        assert answer.offset == 0


def test_published_months_of_the_tlc(real_months: RealMonths, tmp_path: Path) -> None:
    source = TripSource(real_months.url, tmp_path / "raw")
    lines = (real_months.folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    raw = source.fetch("green", date(2020, 4, 1))
    name = next(name for name in sums if name.endswith("green/green_tripdata_2020-04.csv.gz"))
    assert raw.sha256 == sums[name]
    assert len(source.fetch_lookup().path.read_text().splitlines()) == 266
