"""The emulators of Cloud Storage and BigQuery as local services: real processes on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import psutil
import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict

from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import BUCKET, CLOUD_STORAGE
from taxi_assets.stores.google.cloud import GoogleCloud

pytestmark = pytest.mark.servers

BOTH = (BIGQUERY, CLOUD_STORAGE)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleCloud]:
    """Services of this module alone: its tests stop and kill them."""
    home = tmp_path_factory.mktemp("cloud")
    yield GoogleCloud(home=str(home))
    for server in BOTH:
        server.stop(home)


def test_processes_that_ask_at_the_same_time_start_each_server_once(cloud: GoogleCloud) -> None:
    code = f"from taxi_assets.stores.google.cloud import GoogleCloud; GoogleCloud(home={cloud.home!r}).bigquery()"
    asking = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(120) for process in asking] == [0, 0, 0]
    home = str(cloud.home)
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    ours = [line[2] for line in lines if len(line) > 3 and line[1] == "-m" and line[3].startswith(home)]
    assert sorted(ours) == ["taxi_assets.local.bigquery", "taxi_assets.local.cloud_storage"]


def test_they_listen_on_one_port_of_loopback_each(cloud: GoogleCloud) -> None:
    for server in BOTH:
        found = server.ensure(Path(cloud.home))
        listening = [
            tuple(connection.laddr)
            for connection in psutil.Process(found.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == [("127.0.0.1", found.port)]


def test_what_they_hold_outlives_a_stop_and_a_kill(cloud: GoogleCloud) -> None:
    cloud.storage().bucket(BUCKET).blob("kept/by name").upload_from_string("content")
    cloud.bigquery().query("CREATE SCHEMA kept; CREATE TABLE kept.t AS SELECT 7 AS seven").result()
    for server in BOTH:
        assert server.stop(Path(cloud.home))
    assert cloud.storage().bucket(BUCKET).blob("kept/by name").download_as_bytes() == b"content"
    assert [row.seven for row in cloud.bigquery().query("SELECT seven FROM kept.t").result()] == [7]
    for server in BOTH:
        process = psutil.Process(server.ensure(Path(cloud.home)).pid)
        process.kill()
        process.wait(10)
    assert cloud.storage().bucket(BUCKET).blob("kept/by name").download_as_bytes() == b"content"
    assert [row.seven for row in cloud.bigquery().query("SELECT seven FROM kept.t").result()] == [7]


def test_nobody_can_empty_the_storage_with_a_link(cloud: GoogleCloud) -> None:
    bucket = cloud.storage().bucket(BUCKET)
    bucket.blob("stays").upload_from_string("content")
    requests.get(f"{CLOUD_STORAGE.ensure(Path(cloud.home)).url}/wipe", timeout=10)
    assert bucket.blob("stays").exists()


def test_what_is_deleted_takes_no_place(cloud: GoogleCloud) -> None:
    blob = cloud.storage().bucket(BUCKET).blob("deleted")
    blob.upload_from_string("a text that is nowhere else")
    blob.delete()
    files = [path for path in (Path(cloud.home) / "cloud").rglob("*") if path.is_file()]
    assert [path for path in files if b"a text that is nowhere else" in path.read_bytes()] == []


def test_files_are_for_their_owner_alone(cloud: GoogleCloud) -> None:
    cloud.bigquery()
    open_to_others = [path for path in Path(cloud.home).rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert [path for path in open_to_others if path.suffix not in (".lock", ".log")] == []


def test_extensions_of_the_database_are_kept_out_of_the_users_home(cloud: GoogleCloud) -> None:
    cloud.bigquery()
    assert list((Path(cloud.home) / "bigquery").rglob("spatial.duckdb_extension"))


def test_a_failed_transaction_leaves_everything_as_it_was(cloud: GoogleCloud) -> None:
    client = cloud.bigquery()
    client.query("CREATE SCHEMA IF NOT EXISTS whole; CREATE TABLE whole.t AS SELECT 1 AS a").result()
    script = "BEGIN TRANSACTION; DELETE FROM whole.t WHERE TRUE; SELECT ERROR('no'); COMMIT TRANSACTION"
    with pytest.raises(BadRequest, match="no"):
        client.query(script).result(job_retry=None)
    assert [row.a for row in client.query("SELECT a FROM whole.t").result()] == [1]
    client.query("BEGIN TRANSACTION; DELETE FROM whole.t WHERE TRUE; COMMIT TRANSACTION").result()
    assert list(client.query("SELECT a FROM whole.t").result()) == []


def test_a_data_frame_is_taken_as_the_client_sends_it(cloud: GoogleCloud) -> None:
    client = cloud.bigquery()
    client.create_dataset("frames", exists_ok=True)
    client.load_table_from_dataframe(pd.DataFrame({"a": [1, 2]}), f"{client.project}.frames.t").result()
    assert client.get_table(f"{client.project}.frames.t").num_rows == 2


def test_a_job_whose_id_exists_is_refused_also_while_it_runs(cloud: GoogleCloud) -> None:
    client = cloud.bigquery()
    client.query("CREATE SCHEMA ids; CREATE TABLE ids.t (n INT64)").result()

    def run(_: int) -> str:
        try:
            script = "BEGIN TRANSACTION; INSERT INTO ids.t VALUES (1); COMMIT TRANSACTION;"
            client.query(script, job_id="one", job_retry=None).result()
        except Conflict:
            return "refused"
        return "done"

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(run, range(3))) == ["done", "refused", "refused"]
    assert [tuple(row.values()) for row in client.query("SELECT COUNT(*) FROM ids.t").result()] == [(1,)]
