"""The record of a file is of the bytes that are read, whatever happens to the file meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from taxi_assets.sources import download
from taxi_assets.sources.download import PartialFile, held_file, read_record
from taxi_assets.sources.record import RawFile
from taxi_assets.sources.source import TripSource

MONTH = date(2021, 1, 1)


class Killed(BaseException):
    """As SIGKILL ends a process: nothing after it happens."""


@pytest.fixture
def source(tmp_path: Path) -> TripSource:
    (tmp_path / "published" / "yellow").mkdir(parents=True)
    return TripSource((tmp_path / "published").as_uri(), tmp_path / "raw")


def publish(source: TripSource, rows: int) -> None:
    path = Path(source.url.removeprefix("file://")) / "yellow" / "yellow_tripdata_2021-01.csv.gz"
    path.write_bytes(gzip.compress(b"VendorID\n" + b"1\n" * rows, mtime=0))
    os.utime(path, (rows, rows))


def fetch(source: TripSource) -> RawFile:
    return source.fetch("yellow", MONTH)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def before(step: Callable[..., object]) -> Callable[..., object]:
    def killed(*arguments: object) -> object:
        raise Killed

    return killed


def after(step: Callable[..., object]) -> Callable[..., object]:
    def killed(*arguments: object) -> object:
        step(*arguments)
        raise Killed

    return killed


@pytest.mark.parametrize("moment", [before, after])
@pytest.mark.parametrize("step", ["_write_record", "move_to_target"])
def test_a_kill_between_record_and_file_leaves_a_record_of_the_file(
    source: TripSource, monkeypatch: pytest.MonkeyPatch, moment: Callable[..., object], step: str
) -> None:
    publish(source, 3)
    old = fetch(source)
    publish(source, 5)
    with monkeypatch.context() as patch:
        owner = PartialFile if step == "move_to_target" else download
        patch.setattr(owner, step, moment(getattr(owner, step)))
        with pytest.raises(Killed):
            fetch(source)
    record = read_record(old.path)
    assert record
    assert record.sha256 == sha256(old.path)
    healed = fetch(source)
    assert healed.sha256 == sha256(healed.path) != old.sha256


def test_bytes_that_are_read_keep_their_record_while_others_replace_the_file(
    source: TripSource, tmp_path: Path
) -> None:
    publish(source, 3)
    old = fetch(source)
    folder = tmp_path / "work"
    folder.mkdir()
    with held_file(old.path, folder) as (path, record):
        publish(source, 5)
        new = fetch(source)
        assert record
        assert record.sha256 == old.sha256 == sha256(path)
    assert not list(folder.iterdir())
    with held_file(old.path, folder) as (path, record):
        assert record
        assert record.sha256 == new.sha256 == sha256(path)


def test_a_reader_beside_fetches_always_finds_the_record_of_its_bytes(source: TripSource, tmp_path: Path) -> None:
    publish(source, 1)
    path = fetch(source).path
    over = threading.Event()

    def replace() -> None:
        for rows in range(2, 60):
            publish(source, rows)
            fetch(source)
        over.set()

    folder = tmp_path / "work"
    folder.mkdir()
    writer = threading.Thread(target=replace)
    writer.start()
    seen = set()
    while not over.is_set():
        with held_file(path, folder) as (link, record):
            assert record
            assert record.sha256 == sha256(link)
            seen.add(record.sha256)
    writer.join()
    assert len(seen) > 3


def test_a_file_that_someone_edited_has_no_record(source: TripSource) -> None:
    publish(source, 3)
    file = fetch(source)
    file.path.write_bytes(b"edited")
    assert read_record(file.path) is None
    assert fetch(source).sha256 == file.sha256 == sha256(file.path)
