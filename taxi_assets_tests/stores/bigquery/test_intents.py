"""Loads into BigQuery that lose an answer, come late, or meet another load of the month."""

from __future__ import annotations

import json
import multiprocessing
import re
from pathlib import Path
from typing import Any

import pytest

from taxi_assets.errors import TransientError
from taxi_assets.stores.bigquery import month as bigquery_month
from taxi_assets.stores.bigquery.intents import Intent
from taxi_assets.stores.bigquery.load import load_month
from taxi_assets.stores.bigquery.query import query
from taxi_assets.stores.bigquery.replace import run_transaction
from taxi_assets.stores.bigquery.verify import count_month
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.table import TableRef
from taxi_assets_tests.proxy import Answer, Forward, Proxy, Request, lost
from taxi_assets_tests.stores.clouds import killed_at, logged, names, store
from taxi_assets_tests.stores.months import JANUARY, cleaned

Proxied = tuple[GoogleCloud, Proxy, Proxy]
TRIPS = TableRef(namespace="unused", name="trips")


def rows(cloud: GoogleCloud, sql: str) -> list[tuple[Any, ...]]:
    with query(cloud, sql) as answer:
        return list(answer.rows)


def counted(cloud: GoogleCloud) -> tuple[int, int, int]:
    """Kept rows, rejected rows, and loads in the log."""
    tables = ("trips", "trips_rejected", "taxi_assets_load_log")
    kept, rejected, loads = (rows(cloud, f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables)
    return kept, rejected, loads


def refused(request: Request, forward: Forward) -> Answer:
    """The request is lost on its way."""
    return Answer(None)


def behind(cloud: GoogleCloud) -> GoogleCloud:
    """The services behind their proxies."""
    return GoogleCloud(home=cloud.home, bucket=cloud.bucket, dataset=cloud.dataset)


@pytest.mark.parametrize("kind", ['"load"', "BEGIN TRANSACTION"])
def test_who_lost_an_answer_asks_for_that_job(proxied: Proxied, tmp_path: Path, kind: str) -> None:
    cloud, _, bigquery = proxied
    load = store(cloud, cleaned(tmp_path, kept=5, rejected=4)).load
    jobs = f"/jobs.*{kind}"
    bigquery.on("POST", jobs, lost)
    bigquery.on("POST", jobs, refused, always=True)
    with pytest.raises(TransientError, match="does not answer"):
        load_month(cloud, load, TRIPS)
    sent = {_job_id(request) for request in bigquery.seen("POST", jobs)}
    done = load_month(behind(cloud), load, TRIPS)
    assert counted(cloud) == (5, 4, 1)
    assert (done.replace_job if "BEGIN" in kind else done.load_job) in sent
    assert names(cloud, "_intents/taxi-local") == []


def _job_id(request: Request) -> str:
    return str(json.loads(request.body)["jobReference"]["jobId"])


def test_a_late_old_load_never_replaces_a_newer_one(cloud: GoogleCloud, tmp_path: Path) -> None:
    old = store(cloud, cleaned(tmp_path, kept=3)).load
    original = run_transaction

    def newer_first(*given: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bigquery_month, "run_transaction", original)
            patch.setattr(bigquery_month, "_sweep", lambda *given: None)  # the fence alone decides
            load_month(cloud, store(cloud, cleaned(tmp_path, kept=7, rejected=6)).load, TRIPS)
        return original(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bigquery_month, "run_transaction", newer_first)
        with pytest.raises(TransientError, match="was faster than this one"):
            load_month(cloud, old, TRIPS)
    assert counted(cloud) == (7, 6, 1)


def test_the_transaction_of_an_older_month_is_fenced(cloud: GoogleCloud, tmp_path: Path) -> None:
    old = store(cloud, cleaned(tmp_path, kept=3)).load
    new = store(cloud, cleaned(tmp_path, kept=7, rejected=6)).load
    load_month(cloud, new, TRIPS)
    again = store(cloud, cleaned(tmp_path / "again", kept=3)).load
    late = LakeLoad(**{**vars(again), "generation": old.generation})
    with pytest.raises(TransientError, match="was faster than this one"):
        load_month(cloud, late, TRIPS)
    assert counted(cloud) == (7, 6, 1)


def test_an_older_load_that_is_recorded_is_ended_and_a_newer_one_is_left_alone(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    first, second = cleaned(tmp_path, kept=3), cleaned(tmp_path, kept=5)
    store(cloud, first)
    killed_at("run_transaction", cloud, first, "month")
    assert len(names(cloud, "_intents/taxi-local")) == 1
    newer = store(cloud, second).load
    load_month(cloud, newer, TRIPS)
    assert count_month(cloud, TRIPS, JANUARY)[0] == 5
    assert names(cloud, "_intents/taxi-local") == []
    killed_at("run_transaction", cloud, second, "month")
    older = LakeLoad(**{**vars(newer), "generation": newer.generation - 1})
    with pytest.raises(TransientError, match="Another load of yellow_2021-01 into BigQuery is under way"):
        load_month(cloud, older, TRIPS)
    assert load_month(cloud, newer, TRIPS).rows == 5


def test_a_running_job_of_an_older_load_is_cancelled(proxied: Proxied, tmp_path: Path) -> None:
    cloud, _, bigquery = proxied
    old = cleaned(tmp_path, kept=3)
    store(cloud, old)
    killed_at("run_transaction", behind(cloud), old, "month")
    states = iter(["RUNNING", "RUNNING", "DONE"])

    def running(request: Request, forward: Forward) -> Answer:
        job_id = re.findall("taxi_replace_[^/?]*", request.path)[0]
        reference = {"projectId": cloud.project, "jobId": job_id, "location": "US"}
        job = {"kind": "bigquery#job", "id": job_id, "jobReference": reference, "configuration": {"query": {}}}
        state = {"state": next(states, "DONE")}
        body = {**job, "status": state} if request.method == "GET" else {"job": {**job, "status": state}}
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    bigquery.on("GET", "/jobs/taxi_replace_.*_0", running, running)
    bigquery.on("POST", "/cancel", running)
    load_month(cloud, store(cloud, cleaned(tmp_path, kept=5)).load, TRIPS)
    assert len(bigquery.seen("POST", "/cancel")) == 1
    assert counted(cloud)[0] == 5


def _load_once(cloud: GoogleCloud, month: CleanedMonth) -> None:
    while True:
        try:
            load_month(cloud, store(cloud, month).load, TRIPS)
            return
        except TransientError:
            continue


def test_two_processes_load_a_month_and_it_is_that_of_the_lake(cloud: GoogleCloud, tmp_path: Path) -> None:
    months = [cleaned(tmp_path, kept=kept, rejected=kept - 1) for kept in (3, 5, 7)]
    load_month(cloud, store(cloud, months[0]).load, TRIPS)
    processes = multiprocessing.get_context("fork")
    loads = [processes.Process(target=_load_once, args=(cloud, month)) for month in months[1:]]
    for load in loads:
        load.start()
    seen = set()
    while any(load.is_alive() for load in loads):
        seen.add(count_month(cloud, TRIPS, JANUARY)[0])
    assert [load.exitcode for load in loads] == [0, 0]
    assert seen <= {3, 5, 7}
    newest = logged(cloud, months[0])
    assert counted(cloud)[:2] == (newest.entry.rows_kept, newest.entry.rows_rejected)
    newest_logged = rows(cloud, "SELECT generation FROM taxi_assets_load_log ORDER BY loaded_at DESC LIMIT 1")
    assert newest_logged == [(newest.generation,)]


def test_ids_of_jobs_come_from_table_month_and_content(cloud: GoogleCloud, tmp_path: Path) -> None:
    load = store(cloud, cleaned(tmp_path, kept=3)).load
    intent = Intent.of(TRIPS, load)
    assert intent == Intent.of(TRIPS, load)
    other = Intent.of(TRIPS, store(cloud, cleaned(tmp_path, kept=5)).load)
    elsewhere = Intent.of(TableRef(namespace="other", name="trips"), load)
    assert len({next(each.transactions) for each in (intent, other, elsewhere)}) == 3
    assert next(intent.transactions).startswith("taxi_replace_yellow_2021-01_")
