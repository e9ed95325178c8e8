"""What is wrong with a bucket, a key, a load job or an emulator: said clearly, and the lake and BigQuery as before."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.manifest import read_manifests
from taxi_assets_tests.end_to_end.cloud_stores import google, in_bigquery, objects
from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.proxy import Answer, Forward, Proxy, Request, answer, in_front_of
from taxi_assets_tests.published import csv_body
from taxi_assets_tests.taxi_command import Said, Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]

MONTH = "2021-01"
CSV = f"/yellow/yellow_tripdata_{MONTH}.csv.gz"
FEBRUARY = "2021-02"
OTHER = f"yellow/yellow_{FEBRUARY}.parquet"
DATASET = "bad_input"
TABLE = f"{DATASET}.yellow_cab_data"
OLD, NEW = 3, 5


@pytest.fixture(scope="module")
def loaded(cloud_platform: Taxi) -> Iterator[Taxi]:
    """A month is loaded; its source has a new version of it."""
    with FaultyServer() as server:
        server.publish(CSV, csv_body(OLD))
        found = cloud_platform.having(TAXI_SOURCE_URL=server.url, POSTGRES_SCHEMA=DATASET, BIGQUERY_DATASET=DATASET)
        found.well("run", "yellow", "--months", MONTH)
        server.publish(CSV, csv_body(NEW))
        server.publish(CSV.replace(MONTH, FEBRUARY), csv_body(NEW))
        yield found


@pytest.fixture(scope="module", autouse=True)
def dying(loaded: Taxi) -> Iterator[subprocess.Popen[str]]:
    """A run of the next month whose BigQuery was killed in the middle; it hopes for half a minute."""
    killed = threading.Event()
    with in_front_of(CLOUD_STORAGE, loaded.home) as storage, in_front_of(BIGQUERY, loaded.home) as bigquery:
        server = psutil.Process(BIGQUERY.ensure(loaded.home).pid)

        def dies(request: Request, forward: Forward) -> Answer:
            server.kill()
            server.wait(10)
            killed.set()
            return Answer(None)

        bigquery.on("POST", '"load"', dies)
        addresses = {"STORAGE_EMULATOR_HOST": storage.url, "BIGQUERY_EMULATOR_HOST": bigquery.url}
        process = loaded.having(**addresses).start("run", "yellow", "--months", FEBRUARY)
        while not killed.wait(0.1):
            assert process.poll() is None, f"the run ended first: {process.communicate()}"
    # Not by this process, as whose child it would stay when it is stopped.
    loaded.well("up")
    with process:
        yield process
        process.kill()


@pytest.fixture
def proxies(loaded: Taxi) -> Iterator[tuple[Taxi, Proxy, Proxy]]:
    """The same platform, behind a proxy of each emulator."""
    with in_front_of(CLOUD_STORAGE, loaded.home) as storage, in_front_of(BIGQUERY, loaded.home) as bigquery:
        yield loaded.having(STORAGE_EMULATOR_HOST=storage.url, BIGQUERY_EMULATOR_HOST=bigquery.url), storage, bigquery


def refused(taxi: Taxi, *expected: str, words: tuple[str, ...] = ()) -> Said:
    said = taxi("run", "yellow", "--months", MONTH, *words)
    assert said.code == 1
    for text in (*expected, "Found:", "Intact:", "Next:"):
        assert text in said.err, said.err
    assert in_bigquery(taxi, TABLE) == {MONTH: OLD}
    return said


def test_no_such_bucket(proxies: tuple[Taxi, Proxy, Proxy]) -> None:
    taxi, _, _ = proxies
    before = objects(taxi)
    refused(taxi.having(GCS_BUCKET="nowhere"), "There is no bucket nowhere.", "gs://nowhere", "404 from Cloud Storage")
    assert objects(taxi) == before


def test_a_bucket_without_permission(proxies: tuple[Taxi, Proxy, Proxy]) -> None:
    taxi, storage, _ = proxies
    before = objects(taxi)
    message = "loader@p does not have storage.objects.create access"
    storage.on("POST", "/upload/", answer(403, "forbidden", message), always=True)
    refused(taxi, "is not permitted.", "Storage Object User", message)
    assert objects(taxi) == before


@pytest.mark.parametrize(("content", "found"), [(None, "No such file"), ("s3cret", "no JSON object")])
def test_a_key_file_that_is_none(loaded: Taxi, tmp_path: Path, content: str | None, found: str) -> None:
    key = tmp_path / "key.json"
    if content:
        key.write_text(content)
    before = objects(loaded)
    real = loaded.having(GCS_BUCKET="somewhere", GCP_PROJECT="p", GOOGLE_APPLICATION_CREDENTIALS=str(key))
    said = refused(real, "The key file for Google Cloud cannot be used.", found, "GOOGLE_APPLICATION_CREDENTIALS")
    assert "s3cret" not in said.err + said.out
    assert objects(loaded) == before


def named(cloud: GoogleCloud) -> str:
    """The object that the manifest of the month names."""
    return next(load.objects[0].name for load in read_manifests(cloud, "yellow") if load.month == MONTH)


def test_a_load_job_that_fails(proxies: tuple[Taxi, Proxy, Proxy]) -> None:
    taxi, _, bigquery = proxies

    def failed(request: Request, forward: Forward) -> Answer:
        (uri,) = json.loads(request.body)["configuration"]["load"]["sourceUris"]
        cause = {"reason": "invalid", "message": "Error while reading data: bad footer", "location": uri}
        job = {
            "kind": "bigquery#job",
            "id": "failed",
            "jobReference": {"projectId": "taxi-local", "jobId": "failed", "location": "US"},
            "configuration": {"load": {}},
            "status": {"state": "DONE", "errorResult": cause, "errors": [cause]},
        }
        return Answer(200, json.dumps(job).encode(), {"Content-Type": "application/json"})

    bigquery.on("POST", '"load"', failed)
    where = f"Where:    gs://{google(taxi).bucket}/_objects/yellow/yellow_{MONTH}-"
    refused(taxi, "The load job", "bad footer", where)
    assert bigquery.seen("POST", f'"load".*{named(google(taxi))}')


def test_an_object_that_others_overwrite_on_the_way(proxies: tuple[Taxi, Proxy, Proxy]) -> None:
    taxi, _, bigquery = proxies
    cloud = google(taxi)
    bucket = cloud.storage().bucket(cloud.bucket)
    other = bucket.blob(OTHER).download_as_bytes()

    def overwritten(request: Request, forward: Forward) -> Answer:
        bucket.blob(named(cloud)).upload_from_string(other)
        return forward(request)

    bigquery.on("GET", "/datasets/", overwritten)
    refused(taxi, "Another program changed yellow 2021-01 in the lake", f"gs://{cloud.bucket}/_objects/yellow/")


def test_an_emulator_that_dies_in_the_middle(dying: subprocess.Popen[str], loaded: Taxi) -> None:
    _, err = dying.communicate(timeout=120)
    assert dying.returncode == 1
    for text in ("yellow 2021-02 failed.", "the service does not answer.", "Intact:", "taxi doctor"):
        assert text in err, err
    assert "Traceback" not in err
    assert in_bigquery(loaded, TABLE) == {MONTH: OLD}


def test_what_was_refused_is_loaded_when_all_is_well(loaded: Taxi) -> None:
    loaded.well("run", "yellow", "--months", f"{MONTH}:{FEBRUARY}")
    assert loaded.stored(TABLE) == in_bigquery(loaded, TABLE) == {MONTH: NEW, FEBRUARY: NEW}
    loaded.well("verify", "yellow", "--months", f"{MONTH}:{FEBRUARY}")
