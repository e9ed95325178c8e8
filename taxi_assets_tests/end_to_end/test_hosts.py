"""`dagster dev`, `dg dev` and `taxi dev`, each alone in the project's root, without anything set but a source.

The image's command is the fourth host: `taxi_assets_tests/deploy/test_compose.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from taxi_assets.local.service import free_port
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets.sources.layouts import CSV
from taxi_assets.sources.sample.files import make_month
from taxi_assets.stores.postgres.connection import connect
from taxi_assets.trips.months import month_name
from taxi_assets.ui.token import read_token
from taxi_assets_tests.host_output import worrying_lines
from taxi_assets_tests.registry import GREEN
from taxi_assets_tests.taxi_command import SCRIPT, Taxi
from taxi_assets_tests.webhook.webhook_process import Webhook, webhook

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HOSTS = {
    "dagster": (["dagster", "dev", "--host", "127.0.0.1", "--port"], date(2021, 1, 1)),
    "dg": (["dg", "dev", "--host", "127.0.0.1", "--port"], date(2021, 2, 1)),
    "taxi": (["taxi", "dev", "--port"], date(2021, 3, 1)),
}
"""Host → its command up to the port, and the month that it loads."""
REAL = date(2021, 4, 1)
"""A month that stands in PostgreSQL from a file, while the host reads synthetic trips."""

DECLARED = {
    "green_taxi_etl_schedule": "RUNNING",
    "yellow_taxi_etl_schedule": "RUNNING",
    "green_publication": "RUNNING",
    "yellow_publication": "RUNNING",
    "alerts": "RUNNING",
    "summaries": "RUNNING",
}
STATES = """{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name }
    schedules { name scheduleState { status } } sensors { name sensorState { status } } } } } }"""
RUN = """query ($id: ID!) { runOrError(runId: $id) { ... on Run {
    status repositoryOrigin { repositoryName repositoryLocationName } } } }"""

STORED = [{"path": ["green", name]} for name in ("raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table")]
LAUNCH = """mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
BACKFILL = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILLED = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
    status runs { id } } } }"""


@dataclass(frozen=True)
class Ui:
    """The address of a UI, and the home whose token it wants; None: it wants none."""

    url: str
    home: Path | None


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """`taxi webhook`, which runs before, beside and after each host."""
    folder = tmp_path_factory.mktemp("hosts")
    for month in [REAL, *(month for _, month in HOSTS.values())]:
        make_month(folder / "published" / CSV.path("green", month), GREEN, month, 300, CSV.name)
    (folder / "dg.toml").write_text("[cli.telemetry]\nenabled = false\n")
    taxi = Taxi(folder / "home", folder).having(TAXI_SOURCE_URL=(folder / "published").as_uri())
    with webhook(taxi) as found:
        yield found
    taxi.well("down")


@contextmanager
def serving(taxi: Taxi, command: list[str]) -> Iterator[tuple[Ui, Path]]:
    """Runs the host as long as the block: its UI, and its output."""
    port = free_port()
    log = taxi.cwd / f"{command[0]}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(SCRIPT.with_name(command[0])), *command[1:], str(port)],
            cwd=PROJECT_ROOT,
            env={**taxi.environment(), "TAXI_WEBHOOK_TOKEN": "", "DG_CLI_CONFIG": str(taxi.cwd / "dg.toml")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Ui(f"http://127.0.0.1:{port}", taxi.home if command[0] == "taxi" else None), log
        finally:
            servers = [child for child in psutil.Process(process.pid).children(recursive=True) if _serves_code(child)]
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
            # One that still runs a step outlives its host.
            for survivor in psutil.wait_procs(servers, timeout=5)[1]:
                survivor.kill()


def _serves_code(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "grpc" in process.cmdline()
    return False


@retry(
    retry=retry_if_exception_type((requests.RequestException, LookupError)),
    stop=stop_after_delay(120),
    wait=wait_fixed(0.5),
    reraise=True,
)
def _loaded(ui: Ui) -> dict[str, Any]:
    repository: dict[str, Any] = _ask(ui, STATES)["repositoriesOrError"]["nodes"][0]
    return repository


@retry(retry=retry_if_exception_type(LookupError), stop=stop_after_delay(120), wait=wait_fixed(0.5), reraise=True)
def _ended(ui: Ui, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = _ask(ui, RUN, id=run_id)["runOrError"]
    if run["status"] not in ("SUCCESS", "FAILURE", "CANCELED"):
        raise LookupError(run["status"])
    return run


def _ask(ui: Ui, query: str, **variables: Any) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        if ui.home:
            session.headers["Authorization"] = f"Bearer {read_token(ui.home)}"
        answer = session.post(f"{ui.url}/graphql", json={"query": query, "variables": variables}, timeout=20)
    answer.raise_for_status()
    return answer.json()["data"]


@pytest.mark.long
@pytest.mark.parametrize("host", ["dagster", "dg", "taxi"])
def test_a_first_start_has_everything_as_declared_and_runs_what_the_webhook_queues(outside: Webhook, host: str) -> None:
    command, month = HOSTS[host]
    _forget_all_runs(outside.taxi)
    with serving(outside.taxi, command) as (ui, log):
        repository = _loaded(ui)
        answer = outside.post("/runs", {"pipeline": "green", "month": month_name(month)})
        assert answer.status_code == 202, answer.text
        run = _ended(ui, answer.json()["run_id"])
        output = log.read_text()
    assert repository["location"] == {"name": "taxi_assets"}
    found = {item["name"]: item["scheduleState"]["status"] for item in repository["schedules"]}
    found |= {item["name"]: item["sensorState"]["status"] for item in repository["sensors"]}
    assert {name: found.get(name) for name in DECLARED} == DECLARED
    assert set(found.values()) == {"RUNNING"}
    origin = {"repositoryName": "__repository__", "repositoryLocationName": "taxi_assets"}
    assert run == {"status": "SUCCESS", "repositoryOrigin": origin}, output[-3000:]
    assert worrying_lines(output) == []


@pytest.mark.long
def test_synthetic_trips_do_not_replace_real_ones_whoever_starts_the_run(outside: Webhook) -> None:
    """The UI's *Materialize*, a backfill of the UI, and `dagster asset materialize`."""
    month = month_name(REAL)
    outside.taxi.well("run", "green", "--months", month, "--only", "postgres")
    count = ("sql", f"select count(*), sum(total_amount) from mage.green_taxi where source_month = '{REAL}'")
    held = outside.taxi.well(*count).out
    synthetic = outside.taxi.having(TAXI_SOURCE_URL="", TAXI_SAMPLE_ROWS="200")
    with serving(synthetic, HOSTS["taxi"][0]) as (ui, _):
        _loaded(ui)
        started = {"by the UI": _materialize(ui, month), "by a backfill of the UI": _backfill(ui, month)}
        ends = {who: _ended(ui, run)["status"] for who, run in started.items()}
    command = [str(SCRIPT.with_name("dagster")), "asset", "materialize", "-m", "taxi_assets.definitions"]
    selected = ["--select", '+key:"green/postgres_table"', "--partition", month]
    environment = {**synthetic.environment(), "DAGSTER_HOME": str(PROJECT_ROOT)}
    done = subprocess.run(
        command + selected, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert ends == {"by the UI": "FAILURE", "by a backfill of the UI": "FAILURE"}
    assert done.returncode != 0
    failed = "SELECT count(DISTINCT run_id) FROM dagster.event_logs WHERE event LIKE %s"
    with connect(outside.taxi.database()) as connection:
        assert connection.execute(failed, ["%2021-04 stands there from a real file%"]).fetchone() == (3,)
    assert outside.taxi.well(*count).out == held


def _materialize(ui: Ui, month: str) -> str:
    origin = {"repositoryName": "__repository__", "repositoryLocationName": "taxi_assets"}
    params = {
        "selector": {**origin, "jobName": "__ASSET_JOB", "assetSelection": STORED},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": month}]},
    }
    answer = _ask(ui, LAUNCH, params=params)["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["id"])


def _backfill(ui: Ui, month: str) -> str:
    answer = _ask(ui, BACKFILL, params={"assetSelection": STORED, "partitionNames": [month]})["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return _first_run(ui, answer["backfillId"])


@retry(retry=retry_if_exception_type(LookupError), stop=stop_after_delay(120), wait=wait_fixed(0.5), reraise=True)
def _first_run(ui: Ui, backfill: str) -> str:
    found = _ask(ui, BACKFILLED, id=backfill)["partitionBackfillOrError"]
    if not found["runs"]:
        raise LookupError(found["status"])
    return str(found["runs"][0]["id"])


def _forget_all_runs(taxi: Taxi) -> None:
    """Whatever the host before left half done: this is the first start in a new home."""
    with connect(taxi.database()) as connection:
        connection.execute("DROP SCHEMA dagster CASCADE")
