"""Generations and preconditions in the embedded Cloud Storage, by Google's client."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket

from taxi_assets.local.preconditions import Generations
from taxi_assets.stores.google.cloud import GoogleCloud

WRITERS, ADDED = 2, 15


def count_up(cloud: GoogleCloud) -> None:
    """Adds to the number in an object, each time in the version that was read."""
    bucket = cloud.storage().bucket(cloud.bucket)
    added = 0
    while added < ADDED:
        seen = bucket.get_blob("counter")
        with suppress(NotFound, PreconditionFailed):
            number = int(bucket.blob("counter", generation=seen.generation).download_as_bytes())
            bucket.blob("counter").upload_from_string(str(number + 1), if_generation_match=seen.generation)
            added += 1


@pytest.fixture
def bucket(cloud: GoogleCloud) -> Bucket:
    return cloud.storage().bucket(cloud.bucket)


def put(blob: Blob, text: str = "x", **conditions: Any) -> int:
    blob.upload_from_string(text, **conditions)
    return int(blob.generation or 0)


def put_in_chunks(blob: Blob, path: Path, **conditions: Any) -> None:
    path.write_bytes(b"x" * 9 * 2**20)
    blob.chunk_size = 2**20
    blob.upload_from_filename(str(path), **conditions)


Change = Callable[[Bucket, Path, dict[str, Any]], Any]
CHANGES: dict[str, Change] = {
    "upload": lambda bucket, path, conditions: put(bucket.blob("a"), **conditions),
    "upload in chunks": lambda bucket, path, conditions: put_in_chunks(bucket.blob("a"), path, **conditions),
    "delete": lambda bucket, path, conditions: bucket.blob("a").delete(**conditions),
    "copy": lambda bucket, path, conditions: bucket.copy_blob(bucket.blob("other"), bucket, "a", **conditions),
    "rewrite": lambda bucket, path, conditions: bucket.blob("a").rewrite(bucket.blob("other"), **conditions),
    "compose": lambda bucket, path, conditions: bucket.blob("a").compose([bucket.blob("other")], **conditions),
}
UNCOMPOSED = {"if_generation_not_match"}  # compose takes no such condition


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_takes_place_only_in_the_version_that_it_names(bucket: Bucket, tmp_path: Path, kind: str) -> None:
    change = CHANGES[kind]
    put(bucket.blob("other"))
    first = put(bucket.blob("a"))
    second = put(bucket.blob("a"), "second", if_generation_match=first)
    assert second > first
    for conditions in ({"if_generation_match": first}, {"if_generation_not_match": second}):
        if kind == "compose" and UNCOMPOSED & conditions.keys():
            continue
        with pytest.raises(PreconditionFailed):
            change(bucket, tmp_path / "x", conditions)
    assert bucket.blob("a").download_as_bytes() == b"second"
    change(bucket, tmp_path / "x", {"if_generation_match": second})
    assert not bucket.blob("a").exists() or bucket.get_blob("a").generation > second


def test_generation_0_is_an_object_that_does_not_exist(bucket: Bucket) -> None:
    put(bucket.blob("a"), if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        put(bucket.blob("a"), if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        put(bucket.blob("b"), if_generation_match=7)


def test_metagenerations_and_sources_are_looked_at_too(bucket: Bucket) -> None:
    generation = put(bucket.blob("a"))
    with pytest.raises(PreconditionFailed):
        bucket.blob("a").delete(if_metageneration_match=99)
    with pytest.raises(PreconditionFailed):
        bucket.copy_blob(bucket.blob("a"), bucket, "b", if_source_generation_match=generation - 1)
    with pytest.raises(NotFound):
        bucket.copy_blob(bucket.blob("a"), bucket, "b", source_generation=generation - 1)


def test_an_old_version_is_not_read_as_the_new_one(bucket: Bucket) -> None:
    first = put(bucket.blob("a"), "first")
    put(bucket.blob("a"), "second")
    with pytest.raises(NotFound):
        bucket.blob("a", generation=first).download_as_bytes()
    with pytest.raises(NotFound):
        bucket.blob("nothing").delete(if_generation_match=first)


def test_two_processes_lose_no_update(cloud: GoogleCloud, bucket: Bucket) -> None:
    put(bucket.blob("counter"), "0")
    processes = multiprocessing.get_context("fork")
    writers = [processes.Process(target=count_up, args=(cloud,)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert bucket.blob("counter").download_as_bytes() == str(WRITERS * ADDED).encode()


def test_generations_rise_across_restarts_and_a_clock_that_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Generations(tmp_path / "generation", 0).next()
    monkeypatch.setattr("time.time_ns", lambda: first // 2)
    again = Generations(tmp_path / "generation", 0)
    second = again.next()
    assert first < second < again.next()
