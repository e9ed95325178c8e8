"""The platform under `taxi dev`, with nobody at hand: a real daemon, a real source, and processes that are killed."""

from __future__ import annotations

import getpass
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from taxi_assets.automation.run_requests import newest_months
from taxi_assets.local import postgres as embedded
from taxi_assets.local.service import free_port
from taxi_assets.pipelines import pipeline_for
from taxi_assets.stores.postgres.connection import PostgresAddress, connect
from taxi_assets.trips.months import month_name, parse_month
from taxi_assets.ui.token import read_token
from taxi_assets_tests.faulty_server import Fault, FaultyServer
from taxi_assets_tests.nobody import answers, listening
from taxi_assets_tests.published import csv_body, csv_path
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import SCRIPT, Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LONGEST_SECONDS = 240.0
STORES = ["bigquery", "lake", "postgres"]
MONTHS = [month_name(month) for month in newest_months(pipeline_for("yellow"), 3)]
# What lies behind a pipeline follows in runs of its own.
OF_THE_MONTH = "pipeline_name = 'yellow_taxi_etl'"
# From its launch, as the run queue counts it. On a busy machine, the start of a process takes longer than its run.
MOST_AT_ONCE = """
    WITH spans AS (
        SELECT min(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_STARTING') AS began,
               max(timestamp) FILTER (WHERE dagster_event_type IN ('PIPELINE_SUCCESS', 'PIPELINE_FAILURE')) AS ended
        FROM dagster.event_logs JOIN dagster.run_tags USING (run_id) WHERE key = 'dagster/backfill' GROUP BY run_id
    ),
    counted AS (
        SELECT count(*) AS runs FROM spans one JOIN spans other
        ON other.began <= one.began AND other.ended > one.began GROUP BY one.began
    )
    SELECT max(runs) FROM counted
"""
UNDER_WAY = "status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"


@dataclass
class Development:
    """`taxi dev`, its source and its log."""

    taxi: Taxi
    server: FaultyServer
    process: psutil.Popen
    log: Path
    url: str

    def publish(self, month: str, rows: int) -> None:
        self.server.publish(path_of(month), csv_body(rows))

    def daemon(self) -> psutil.Process | None:
        """The daemon's process."""
        for child in self.process.children():
            with suppress(psutil.Error):
                if any(word.endswith("/dagster-daemon") for word in child.cmdline()):
                    return child
        return None

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Waits until it holds."""
        end = time.monotonic() + LONGEST_SECONDS
        while not holds():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, f"not in time: {what}\n{self.log.read_text()[-3000:]}"
            time.sleep(1)

    def ask(self, query: str) -> list[str]:
        """What PostgreSQL says, Dagster's records included: the first column."""
        server = embedded.running(self.taxi.home)
        assert server
        with connect(PostgresAddress(str(server.folder), server.port, server.database, server.user)) as connection:
            return [str(row[0]) for row in connection.execute(query.encode())]

    def runs(self, where: str = "true") -> list[str]:
        return self.ask(f"SELECT run_id FROM dagster.runs WHERE {where} ORDER BY id")

    def process_of(self, run: str) -> psutil.Process:
        """The process that the daemon's code server started for a run."""
        said = "SELECT substring(event from 'Started process for run .pid: ([0-9]+)') FROM dagster.event_logs"
        (pid,) = self.ask(f"{said} WHERE run_id = '{run}' AND event LIKE '%Started process for run%' LIMIT 1")
        return psutil.Process(int(pid))

    def loads(self, month: str) -> list[str]:
        """The stores into which a month was loaded, one entry a load."""
        if self.ask("SELECT to_regclass('taxi_assets.load_log')") == ["None"]:
            return []
        log = "SELECT store FROM taxi_assets.load_log WHERE service = 'yellow'"
        return sorted(self.ask(f"{log} AND source_month = '{month}-01'"))

    def rows(self, month: str) -> int:
        """The month's rows in the pipeline's own table; 0 where there is no table."""
        if self.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'ny_taxi'") == ["0"]:
            return 0
        return int(self.ask(f"SELECT count(*) FROM ny_taxi.yellow_cab_data WHERE source_month = '{month}-01'")[0])

    def shows(self, line: str) -> bool:
        """Whether its output has this line."""
        return line in self.log.read_text()

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        """What the UI's GraphQL answers."""
        headers = {"Authorization": f"Bearer {read_token(self.taxi.home)}"}
        asked = {"query": query, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=asked, headers=headers, timeout=60).json()
        assert "errors" not in answer, answer
        found: dict[str, Any] = answer["data"]
        return found

    def stall(self, month: str) -> None:
        """Publishes the month; no download of it comes to its end until `heal`."""
        self.server.stalled.clear()
        self.server.go.clear()
        self.publish(month, 4)
        self.server.always_fails(path_of(month), Fault(stall_after=100))

    def heal(self, month: str) -> None:
        self.server.heals(path_of(month))
        self.server.go.set()


def path_of(month: str) -> str:
    return csv_path(parse_month(month))


@contextmanager
def developing(taxi: Taxi, server: FaultyServer) -> Iterator[Development]:
    """`taxi dev` as long as the block, or until it ends."""
    log, port = taxi.cwd / "dev.log", free_port()
    with log.open("wb") as output:
        process = psutil.Popen(
            [str(SCRIPT), "dev", "--port", str(port)],
            cwd=taxi.cwd,
            env=taxi.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            umask=0,  # Nothing but the folders keeps others out.
        )
    try:
        found = Development(taxi, server, process, log, f"http://127.0.0.1:{port}")
        found.until("a first look of the sensor", lambda: bool(server.asked))
        yield found
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
@starts_server
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """`taxi dev` for the tests below, one after the other; ended and its services stopped at the end."""
    with FaultyServer() as server:
        taxi = Taxi(tmp_path_factory.mktemp("dev") / "home", tmp_path_factory.mktemp("elsewhere"))
        taxi = taxi.having(TAXI_SOURCE_URL=server.url, TAXI_PUBLICATION_SECONDS="5", TAXI_SAMPLE_ROWS="2000")
        with developing(taxi, server) as found:
            yield found
        taxi.well("down")


@pytest.mark.root
def test_another_user_is_refused_by_the_ui_and_the_code_servers(dev: Development) -> None:
    def ours() -> dict[str, str]:
        found = listening(dev.process)
        kinds = ("taxi_assets.ui.server", " code-server ", " grpc ")
        return {address: of for address, of in found.items() if any(kind in of for kind in kinds)}

    dev.until("the web server, the code server and the process under it", lambda: len(ours()) == 3)
    (*sockets, port) = sorted(ours())
    refused = answers([port, *sockets])
    assert refused.pop(port) == "HTTP/1.1 401 Unauthorized"
    assert set(refused.values()) == {"PermissionError"}
    assert {Path(path).parent.stat().st_mode & 0o777 for path in sockets} == {0o700}
    # With the token, the same request is executed.
    token = read_token(dev.taxi.home)
    asked = {"query": "{ version }"}
    for headers, status in (({"Authorization": f"Bearer {token}"}, 200), ({"Authorization": "Bearer x"}, 401)):
        answer = requests.post(f"http://127.0.0.1:{port}/graphql", json=asked, headers=headers, timeout=30)
        assert (answer.status_code, "version" in answer.text) == (status, status == 200)
    assert token is not None
    assert f"http://127.0.0.1:{port}/?token={token}" in dev.taxi.well("status").out
    assert token not in dev.log.read_text()
    for one in (dev.process, *dev.process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a zombie is one, too
            assert token not in " ".join([*one.cmdline(), *one.environ().values()])


def test_a_new_month_is_loaded_a_changed_one_replaced_and_an_unchanged_one_left_alone(dev: Development) -> None:
    month = MONTHS[0]
    dev.publish(month, 3)
    dev.until("the month in every store", lambda: dev.loads(month) == STORES)
    assert dev.rows(month) == 3
    dev.publish(month, 5)
    dev.until("the changed month in every store", lambda: dev.loads(month) == sorted(2 * STORES))
    assert dev.rows(month) == 5
    dev.until("the end of its run", lambda: not dev.runs(UNDER_WAY))
    runs, asked = dev.runs(OF_THE_MONTH), len(dev.server.of(path_of(month)))
    dev.until("three more looks", lambda: len(dev.server.of(path_of(month))) >= asked + 3)
    assert dev.runs(OF_THE_MONTH) == runs
    assert "sensor yellow_publication" in dev.taxi.well("log", "yellow", "--csv").out


STATE = """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
    assetMaterializations(limit: 100) { partition }
    definition { partitionStats { numMaterialized numFailed } assetChecksOrError { ... on AssetChecks { checks {
        name executionForLatestMaterialization { status } } } } } } } }"""


def test_an_absent_month_leaves_the_checks_of_the_others_passed(dev: Development) -> None:
    """Asked for by `taxi run`, the sensor, and a backfill of the UI."""
    loaded, absent = "2023-11", MONTHS[2]

    def state(asset: str) -> tuple[dict[str, int], set[str], set[str]]:
        node = dev.graphql(STATE, key={"path": ["yellow", asset]})["assetOrError"]
        checks = [
            check["executionForLatestMaterialization"] for check in node["definition"]["assetChecksOrError"]["checks"]
        ]
        months = {made["partition"] for made in node["assetMaterializations"]}
        return node["definition"]["partitionStats"], months, {check["status"] for check in checks if check}

    dev.publish(loaded, 3)
    dev.taxi.well("run", "yellow", "--months", loaded)
    dev.until("the end of other runs", lambda: not dev.runs(UNDER_WAY))
    assets = ("clean_taxi", "postgres_table", "gcs_parquet", "bigquery_table")
    before, runs = {asset: state(asset) for asset in assets}, dev.runs(OF_THE_MONTH)
    said = dev.taxi("run", "yellow", "--months", absent)
    assert (said.code, f"yellow {absent} is not published yet." in said.err) == (1, True)
    assert dev.runs(OF_THE_MONTH) == runs
    selector = {"repositoryName": "__repository__", "repositoryLocationName": "taxi_assets"}
    backfill = {"partitionSetName": "yellow_taxi_etl_partition_set", "repositorySelector": selector}
    launch = "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename } }"
    done = dev.graphql(launch, p={"partitionNames": [absent], "selector": backfill})
    assert done["launchPartitionBackfill"] == {"__typename": "LaunchBackfillSuccess"}
    dev.until("the run of the backfill", lambda: bool(dev.runs(f"partition = '{absent}' AND status = 'SUCCESS'")))
    assert dev.loads(absent) == []
    for asset in assets:
        stats, months, checks = state(asset)
        assert (stats, months) == before[asset][:2], asset
        assert checks <= {"SUCCEEDED", "SKIPPED"}, asset
    dev.until("its line", partial(dev.shows, f"yellow_taxi_etl {absent} not published"))


@pytest.mark.long
def test_a_run_whose_process_is_killed_is_retried(dev: Development) -> None:
    month = MONTHS[1]
    dev.stall(month)
    dev.until("the download", dev.server.stalled.is_set)
    (run,) = dev.runs(f"status = 'STARTED' AND {OF_THE_MONTH}")
    dev.process_of(run).kill()
    dev.heal(month)
    dev.until("the month in every store", lambda: dev.loads(month) == STORES)
    assert dev.runs(f"run_id = '{run}' AND status = 'FAILURE'") == [run]
    assert dev.rows(month) == 4
    dev.until("the end of the retry", lambda: not dev.runs(UNDER_WAY))


@pytest.mark.long
def test_a_taxi_run_that_is_killed_is_found_and_retried_where_it_was_to_load(dev: Development) -> None:
    """The daemon has neither the schema nor the dataset of the shell."""
    month = "2024-05"
    dev.stall(month)
    process = dev.taxi.having(POSTGRES_SCHEMA="try1", BIGQUERY_DATASET="try1").start(
        "run", "yellow", "--months", month, "--only", "postgres"
    )
    dev.until("the download", dev.server.stalled.is_set)
    (run,) = dev.runs(f"status = 'STARTED' AND {OF_THE_MONTH}")
    process.kill()
    process.communicate()
    dev.heal(month)
    dev.until("the month", lambda: dev.loads(month) == ["postgres"])
    assert dev.runs(f"run_id = '{run}' AND status = 'FAILURE'") == [run]
    dev.until("the end of the retry", lambda: not dev.runs(UNDER_WAY))
    assert dev.ask("SELECT count(*) FROM try1.yellow_cab_data") == ["4"]
    assert dev.rows(month) == 0
    assert f"taxi run by {getpass.getuser()}, retry 1" in dev.taxi.well("log", "yellow", "--months", month, "--csv").out


def test_a_run_beside_the_daemon_is_executed_here(dev: Development) -> None:
    taxi = dev.taxi.having(POSTGRES_SCHEMA="beside")
    command = ("run", "yellow", "--months", "2022-01:2022-02", "--only", "postgres", "--source", "sample")
    said = taxi.well(*command).err
    assert "2 loaded, 0 loaded already, 0 failed" in said
    assert sum(line.startswith("2 of 2: ") for line in said.splitlines()) == 1
    tags = "SELECT run_id FROM dagster.run_tags WHERE key = '{}'"
    here = f"run_id IN ({tags.format('taxi/process')}) AND run_id NOT IN ({tags.format('.dagster/grpc_info')})"
    assert len(dev.runs(f"{here} AND partition IN ('2022-01', '2022-02') AND status = 'SUCCESS'")) == 2


@pytest.mark.long
def test_a_run_that_is_interrupted_is_not_started_again(dev: Development) -> None:
    month = "2024-06"
    dev.stall(month)
    with dev.taxi.start("run", "yellow", "--months", month, "--only", "postgres") as process:
        dev.until("the download", dev.server.stalled.is_set)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 130, said
    dev.heal(month)
    (run,) = dev.runs(f"partition = '{month}'")
    assert dev.runs(f"run_id = '{run}' AND status = 'CANCELED'") == [run]
    # The daemon looks for runs to retry every few seconds.
    time.sleep(20)
    assert dev.runs(f"partition = '{month}'") == [run]
    followed = dev.taxi("run", "--follow", run[:8])
    assert (followed.code, f"Run {run} {month} canceled" in followed.err) == (1, True), followed.err


@pytest.mark.long
def test_a_run_of_the_ui_is_terminated_though_its_code_server_was_killed(dev: Development) -> None:
    month = "2024-07"
    dev.stall(month)
    job = {"repositoryName": "__repository__", "repositoryLocationName": "taxi_assets", "jobName": "yellow_taxi_etl"}
    tags = [{"key": "dagster/partition", "value": month}]
    launch = "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"
    done = dev.graphql(launch, p={"selector": job, "runConfigData": {}, "executionMetadata": {"tags": tags}})
    assert done["launchRun"] == {"__typename": "LaunchRunSuccess"}
    dev.until("the download", dev.server.stalled.is_set)
    (run,) = dev.runs(f"partition = '{month}' AND status = 'STARTED'")
    process = dev.process_of(run)
    for one, command in list(commands(dev.process)):
        if " code-server start" in command or " api grpc" in command:
            one.kill()
    assert process.is_running()
    terminate = "mutation($run: String!) { terminateRun(runId: $run) { __typename } }"
    assert dev.graphql(terminate, run=run)["terminateRun"] == {"__typename": "TerminateRunSuccess"}
    assert psutil.wait_procs([process], timeout=30)[1] == []
    assert dev.runs(f"run_id = '{run}' AND status = 'CANCELED'") == [run]
    dev.heal(month)
    dev.until("another code server", lambda: dev.shows("The code server started again."))
    assert dev.loads(month) == []


@pytest.mark.long
def test_a_detached_backfill_of_twelve_months_survives_the_death_of_the_daemon(dev: Development) -> None:
    months = [f"2021-{number:02}" for number in range(1, 13)]
    # Synthetic trips do not stand beside the real months of the tests above.
    taxi = dev.taxi.having(POSTGRES_SCHEMA="twelve")
    command = ("run", "yellow", "--months", "2021-01:2021-12", "--only", "postgres", "--source", "sample")
    said = taxi.well(*command, "--detach").err
    (backfill,) = re.findall(r"Backfill (\w+), 12 months: the daemon runs it", said)
    with taxi.start("run", "--follow", backfill) as process:
        dev.until("some months", lambda: sum(bool(dev.loads(month)) for month in months) >= 3)
        daemon = dev.daemon()
        assert daemon
        daemon.kill()
        dev.until("another daemon", lambda: dev.daemon() not in (None, daemon))
        _, followed = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 0, followed
    assert [line.partition(":")[0] for line in followed.splitlines()] == [f"{n} of 12" for n in range(1, 13)]
    assert {month: dev.loads(month) for month in months} == {month: ["postgres"] for month in months}
    assert 1 < int(dev.ask(MOST_AT_ONCE)[0]) <= 4
    assert dev.ask("SELECT count(DISTINCT source_month) FROM twelve.yellow_cab_data") == ["12"]
    again = taxi.well(*command)
    assert "0 loaded, 12 loaded already, 0 failed" in again.err


def commands(process: psutil.Process) -> Iterator[tuple[psutil.Process, str]]:
    """The descendants of a process, with their command lines."""
    for one in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield one, " ".join(one.cmdline())


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_it_ends_during_a_run(tmp_path: Path, number: signal.Signals) -> None:
    month, killed = MONTHS[0], number == signal.SIGKILL
    with FaultyServer() as server:
        taxi = Taxi(tmp_path / "home", tmp_path).having(TAXI_SOURCE_URL=server.url, TAXI_PUBLICATION_SECONDS="5")
        try:
            with developing(taxi, server) as dev:
                dev.stall(month)
                dev.until("the download", server.stalled.is_set)
                sockets = str(taxi.home / "run" / "code")
                ours = [one for one, command in commands(dev.process) if sockets in command or "spawn_main" in command]
                assert len(ours) == 5  # the web server, the daemon, the code server and the process under it, the run
                dev.process.send_signal(number)
                dev.process.wait(60)
                if killed:
                    # The run ends by itself, and its code server after it.
                    dev.heal(month)
                assert psutil.wait_procs(ours, timeout=60 if killed else 1)[1] == []
                dev.heal(month)
            with developing(taxi, server) as dev:
                dev.until("the month in every store", lambda: dev.loads(month) == STORES)
        finally:
            taxi("down")
