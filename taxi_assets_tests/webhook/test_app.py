"""The web application in a process of its own, on real records: who may ask, what it takes, and what it queues."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from taxi_assets.components.taxi_pipeline.scaffolder import scaffold
from taxi_assets.local.service import free_port
from taxi_assets.pipelines import PIPELINE
from taxi_assets.stores.postgres.connection import connect
from taxi_assets_tests.project_copy import copy_project, of_copy
from taxi_assets_tests.taxi_command import Taxi
from taxi_assets_tests.webhook.webhook_process import TOKEN, Webhook, webhook

pytestmark = pytest.mark.servers

RUN = {"pipeline": "green", "month": "2020-04"}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    taxi = Taxi(tmp_path_factory.mktemp("webhook") / "home", tmp_path_factory.mktemp("elsewhere"))
    with webhook(of_copy(taxi, copy_project(tmp_path_factory.mktemp("checkout")))) as found:
        yield found
    taxi.well("down")


def records(outside: Webhook, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What stands in Dagster's records."""
    with connect(outside.taxi.database()) as connection:
        return connection.execute(query.encode(), values).fetchall()


def runs(outside: Webhook) -> int:
    return int(records(outside, "SELECT count(*) FROM dagster.runs")[0][0])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \u00e4\u00f6"},
    ],
)
@pytest.mark.parametrize("path", ["/runs", "/materializations", "/elsewhere"])
def test_nothing_is_done_without_the_token(outside: Webhook, headers: dict[str, str], path: str) -> None:
    before = runs(outside)
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = outside.post(path, RUN, token=None, headers=encoded)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="taxi_assets"'
    assert answer.json() == {
        "summary": "The token is missing or wrong.",
        "expected": "the header Authorization: Bearer and the token of TAXI_WEBHOOK_TOKEN",
        "intact": "nothing was started or reported",
        "next": "ask whoever runs the platform for the token",
    }
    assert runs(outside) == before


def test_a_run_is_queued_for_the_daemon_with_who_asked(outside: Webhook) -> None:
    answer = outside.post("/runs", {**RUN, "force": True, "caller": "airflow"})
    assert answer.status_code == 202
    run_id = answer.json()["run_id"]
    assert answer.json() == {
        "run_id": run_id,
        "job": "green_taxi_etl",
        "month": "2020-04",
        "link": f"http://127.0.0.1:3000/runs/{run_id}",
        "repeated": False,
    }
    assert records(outside, "SELECT status, pipeline_name FROM dagster.runs WHERE run_id = %s", run_id) == [
        ("QUEUED", "green_taxi_etl")
    ]
    tags = dict(records(outside, "SELECT key, value FROM dagster.run_tags WHERE run_id = %s", run_id))
    assert tags["dagster/partition"] == "2020-04"
    assert tags["taxi/started_by"] == "webhook (airflow)"
    body = records(outside, "SELECT run_body FROM dagster.runs WHERE run_id = %s", run_id)[0][0]
    assert '"green__raw_taxi": {"config": {"force": true}}' in body
    assert '"source": {"address": "sample"' in body, "the run carries the environment of the webhook"


def test_the_same_key_starts_one_run_however_often_and_at_once_it_comes(outside: Webhook) -> None:
    before = runs(outside)

    def ask(_: int) -> requests.Response:
        return outside.post("/runs", RUN, headers={"Idempotency-Key": "monday"})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 202]
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert runs(outside) == before + 1
    assert ask(0).json()["repeated"] is True

    other = outside.post("/runs", {**RUN, "month": "2020-05"}, headers={"Idempotency-Key": "monday"})
    assert other.status_code == 409
    assert other.json()["summary"] == "This Idempotency-Key stands for another request."
    # `service` is the name of the field in requests to earlier versions.
    assert outside.post("/runs", {"service": "green", "month": "2020-04"}).status_code == 202
    assert runs(outside) == before + 2


@pytest.mark.parametrize(
    ("body", "status", "summary", "expected"),
    [
        (
            {**RUN, "pipeline": "gren"},
            404,
            "There is no pipeline 'gren'. Do you mean 'green'?",
            "one of: green, yellow",
        ),
        ({**RUN, "month": "2020-13"}, 422, "There is no month '2020-13'.", "one of: 2019-01 to "),
        ({**RUN, "month": "2098-01"}, 422, "There is no month '2098-01'.", "one of: 2019-01 to "),
        ({**RUN, "month": "2018-12"}, 422, "There is no month '2018-12'.", "one of: 2019-01 to "),
        ({"pipeline": "green"}, 422, "The body is not what this request takes.", "pipeline, month, force (optional)"),
        ({**RUN, "forse": True}, 422, "The body is not what this request takes.", "force (optional)"),
        ({**RUN, "force": "yes"}, 422, "The body is not what this request takes.", "force (optional)"),
        ({**RUN, "caller": "a\nb"}, 422, "The body is not what this request takes.", "caller (optional)"),
        ([], 422, "The body is not what this request takes.", "a JSON object"),
    ],
)
def test_what_cannot_be_started_is_refused_with_the_right_names(
    outside: Webhook, body: Any, status: int, summary: str, expected: str
) -> None:
    before = runs(outside)
    answer = outside.post("/runs", body)
    assert (answer.status_code, answer.json()["summary"]) == (status, summary)
    assert expected in answer.json()["expected"]
    assert answer.json()["intact"] == "nothing was started or reported"
    assert runs(outside) == before


def test_a_month_that_is_not_published_is_refused(tmp_path: Path, outside: Webhook) -> None:
    before = runs(outside)
    with webhook(outside.taxi.having(TAXI_SOURCE_URL=tmp_path.as_uri())) as empty:
        answer = empty.post("/runs", RUN)
    assert answer.status_code == 404
    assert answer.json()["summary"] == "green 2020-04 is not published yet."
    assert f"nothing at {tmp_path.as_uri()}/green/" in answer.json()["found"]
    assert answer.json()["intact"] == "nothing was started or reported"
    assert runs(outside) == before


def test_a_month_that_the_sample_source_has_not_published_is_refused(outside: Webhook) -> None:
    month = f"{date.today().replace(day=1) - timedelta(days=1):%Y-%m}"
    before = runs(outside)
    answer = outside.post("/runs", {**RUN, "month": month})
    assert (answer.status_code, answer.json()["summary"]) == (404, f"green {month} is not published yet.")
    assert runs(outside) == before


def test_what_is_no_json_or_too_much_or_no_request_is_refused(outside: Webhook) -> None:
    assert outside.post("/runs", data=b"{").status_code == 400
    too_much = outside.post("/runs", data=b" " * 70_000)
    assert (too_much.status_code, too_much.json()["expected"]) == (413, "at most 65,536 bytes")
    assert outside.post("/run", RUN).status_code == 404
    wrong = requests.get(f"{outside.url}/runs", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")
    assert "POST /runs" in wrong.json()["expected"]
    assert outside.post("/runs", RUN, headers={"Idempotency-Key": "x" * 201}).status_code == 422


def test_a_materialization_elsewhere_is_recorded(outside: Webhook) -> None:
    body = {"asset": "green/clean_taxi", "partition": "2020-06", "metadata": {"rows": 7, "where": "spark"}}
    answer = outside.post("/materializations", {**body, "caller": "spark"})
    assert answer.status_code == 201
    assert answer.json() == {
        "asset": "green/clean_taxi",
        "partition": "2020-06",
        "link": "http://127.0.0.1:3000/assets/green/clean_taxi",
    }
    ((event,),) = records(
        outside,
        "SELECT event FROM dagster.event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition = %s",
        "2020-06",
    )
    for word in ('"reported_by"', '"webhook (spark)"', '"rows"', '"spark"'):
        assert word in event


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"asset": "green/clean", "partition": "2020-04"}, 404, "green/clean_taxi"),
        ({"asset": "green/clean_taxi", "partition": "2098-01"}, 422, "one of: 2019-01 to "),
        ({"asset": "green/clean_taxi"}, 422, "one of: 2019-01 to "),
        ({"asset": "green/clean_taxi", "partition": "2020-04", "metadata": {"a": [1]}}, 422, "metadata (optional)"),
    ],
)
def test_what_cannot_be_reported_is_refused(outside: Webhook, body: Any, status: int, expected: str) -> None:
    answer = outside.post("/materializations", body)
    assert answer.status_code == status
    assert expected in answer.json()["expected"]


def test_without_a_token_it_does_not_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    taxi = Taxi(tmp_path_factory.mktemp("none") / "home", tmp_path_factory.mktemp("elsewhere"))
    said = taxi.having(TAXI_WEBHOOK_PORT=str(free_port()))("webhook")
    assert said.code == 2
    assert "The webhook does not start without a token." in said.err
    assert "TAXI_WEBHOOK_TOKEN" in said.err


def test_where_its_port_is_taken_it_does_not_start(outside: Webhook) -> None:
    said = outside.taxi("webhook")
    assert said.code == 1
    assert "is taken" in said.err
    assert TOKEN not in said.err


def test_the_pipeline_of_a_broken_file_is_refused_with_the_error_until_it_is_mended(outside: Webhook) -> None:
    folder = Path(outside.taxi.settings["PYTHONPATH"]) / "taxi_assets" / "defs" / "green"
    before, report = runs(outside), {"asset": "green/clean_taxi", "partition": "2020-04"}
    right = (folder / "defs.yaml").read_text()
    (folder / "defs.yaml").write_text(right.replace("shape: date", "shape: dates"))
    for answer in (outside.post("/runs", RUN), outside.post("/materializations", report)):
        assert answer.status_code == 503
        said = answer.json()
        assert said["summary"] == f"{folder / 'defs.yaml'} has a mistake in attributes.lake.shape."
        assert said["next"] == "correct the file: did you mean 'date'?"
        assert said["intact"] == "nothing was started or reported"
    assert outside.post("/runs", {**RUN, "pipeline": "yellow"}).status_code == 202
    (folder / "defs.yaml").write_text(right)
    assert outside.post("/runs", RUN).status_code == 202
    assert outside.post("/materializations", report).status_code == 201
    assert runs(outside) == before + 2


def test_a_new_pipeline_is_started_without_a_restart(outside: Webhook) -> None:
    folder = Path(outside.taxi.settings["PYTHONPATH"]) / "taxi_assets" / "defs" / "third"
    assert outside.post("/runs", {**RUN, "pipeline": "third"}).status_code == 404
    folder.mkdir()
    (folder / "defs.yaml").write_text(scaffold(PIPELINE, "third", "green"))
    answer = outside.post("/runs", {**RUN, "pipeline": "third"})
    shutil.rmtree(folder)
    assert (answer.status_code, answer.json()["job"]) == (202, "third_etl")
    assert outside.post("/runs", {**RUN, "pipeline": "third"}).status_code == 404
