"""`docker-compose.yml`: it fits Compose's schema, and what it starts makes a platform that runs a month."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
import yaml

from taxi_assets.local import postgres_files
from taxi_assets.local.service import free_port
from taxi_assets.pipelines import pipeline_for
from taxi_assets.settings import PROJECT_ROOT, SOURCES, Settings
from taxi_assets.sources.layouts import LAYOUTS
from taxi_assets.sources.sample.files import make_month
from taxi_assets_tests.deploy.compose import FILE, Processes, interpolated, services
from taxi_assets_tests.host_output import worrying_lines
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.taxi_command import Taxi
from taxi_assets_tests.webhook.webhook_process import webhook

MONTH = date(2021, 1, 1)
ROWS = 2_000
RUN_SECONDS = 120
POSTGRES_CHAIN = ("raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table")
OURS = ("code-server", "webserver", "daemon")

LOCATION = {"repositoryLocationName": "taxi_assets"}
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"
LAUNCH = """mutation ($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } } ... on InvalidSubsetError { message }
  }
}"""
STATUS = """query ($id: ID!) { runOrError(runId: $id) { ... on Run {
    status repositoryOrigin { repositoryLocationName } } } }"""


def test_it_fits_the_schema_of_compose() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_ports_are_open_on_loopback_only_and_every_service_comes_back_and_is_watched() -> None:
    for service in services().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]
        assert all(waited["condition"] == "service_healthy" for waited in service.get("depends_on", {}).values())


def test_every_variable_of_the_platform_is_a_setting_and_the_password_stands_elsewhere() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for name in OURS:
        service = services()[name]
        assert set(service["environment"]) <= known
        assert service["env_file"] == ".env.local"
    assert "PASSWORD" not in re.sub(r"#.*", "", FILE.read_text())


def test_a_source_is_named_and_the_shell_can_name_another() -> None:
    said = services()["code-server"]["environment"]["TAXI_SOURCE_URL"]
    assert interpolated(said, {}) in SOURCES
    assert interpolated(said, {"TAXI_SOURCE_URL": "mirror"}) == "mirror"


def test_make_writes_a_password_once_and_leaves_what_is_there(tmp_path: Path) -> None:
    shutil.copy(PROJECT_ROOT / "Makefile", tmp_path)
    secrets_file = tmp_path / ".env.local"
    secrets_file.write_text("GCP_PROJECT=mine\n")
    make = ["make", "password", f"PYTHON={sys.executable}"]
    texts = []
    for _ in range(2):
        subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
        texts.append(secrets_file.read_text())
    assert re.fullmatch(r"GCP_PROJECT=mine\n#[^\n]*\nPOSTGRES_PASSWORD=[\w-]{32}\n", texts[0])
    assert texts[0] == texts[1]
    secrets_file.unlink()
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    assert secrets_file.stat().st_mode & 0o777 == 0o600


def test_the_image_copies_what_is_there_and_only_that_is_sent_to_its_builder() -> None:
    lines = (PROJECT_ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    copies = [[word for word in line.split()[1:] if not word.startswith("--")] for line in lines if "COPY" in line]
    copied = {source for *sources, _ in copies for source in sources}
    assert all((PROJECT_ROOT / source).exists() for source in copied)
    sent = {line[1:] for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == copied


@dataclass(frozen=True)
class Platform:
    """The services of the file, up and healthy."""

    processes: Processes
    web: str
    password: str
    postgres_port: int

    def ask(self, query: str, **variables: Any) -> Any:
        answer = requests.post(f"{self.web}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def ended(self, run_id: str) -> Any:
        """The run at its end; until then, no command line holds the password."""
        until = time.monotonic() + RUN_SECONDS
        while (run := self.ask(STATUS, id=run_id)["runOrError"])["status"] not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < until, run
            assert not any(self.password in word for line in self.processes.command_lines() for word in line)
            time.sleep(0.2)
        return run

    def output(self) -> str:
        """What the services printed."""
        return "\n".join(self.processes.log(name).read_text() for name in OURS)

    def connect(self, user: str = "taxi") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.postgres_port, dbname="taxi", user=user, password=self.password
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compose")


@pytest.fixture(scope="module")
def password() -> str:
    return secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def postgres_port(folder: Path, password: str) -> Iterator[int]:
    """What the image `postgres` makes: a server with a superuser, whose first act is the folder's script."""
    data, port = folder / "data", free_port()
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, 65534, 65534)
    (folder / "password").write_text(password)
    programs = postgres_files.programs()
    make = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=scram-sha-256"]
    make += [f"--pwfile={folder / 'password'}", "--locale=C", "--encoding=UTF8", "--no-sync"]
    subprocess.run(postgres_files.as_server(make), check=True, capture_output=True)
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    command += ["-c", "unix_socket_directories=", "-c", "fsync=off"]
    with (folder / "postgres.log").open("wb") as log:
        server = subprocess.Popen(postgres_files.as_server(command), stdout=log, stderr=log)
    try:
        _create(port, password)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def _create(port: int, password: str) -> None:
    script = PROJECT_ROOT / "deploy" / "compose" / "create.sql"
    address = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", "postgres"]
    environment = {"PGPASSWORD": password, "POSTGRES_PASSWORD": password}
    until = time.monotonic() + 60
    while subprocess.run([str(postgres_files.programs() / "pg_isready"), "-q", *address[:4]]).returncode:
        assert time.monotonic() < until
        time.sleep(0.1)
    psql = [str(postgres_files.programs() / "psql"), "-X", "-v", "ON_ERROR_STOP=1", *address, "-f", str(script)]
    subprocess.run(psql, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def platform(folder: Path, password: str, postgres_port: int) -> Iterator[Platform]:
    web, code = free_port(), free_port()
    workspace = yaml.safe_load((PROJECT_ROOT / "deploy" / "workspace.yaml").read_text())
    server = workspace["load_from"][0]["grpc_server"]
    assert (server["host"], server["port"]) == ("code-server", 4000)
    server.update(host="127.0.0.1", port=code)
    (folder / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    shutil.copy(PROJECT_ROOT / "dagster.yaml", folder)
    csv = LAYOUTS[0]
    make_month(folder / "published" / csv.path("yellow", MONTH), YELLOW, MONTH, ROWS, csv.name)
    environment = {
        "DAGSTER_HOME": str(folder),
        "TAXI_HOME": str(folder / "home"),
        "TAXI_SOURCE_URL": (folder / "published").as_uri(),
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(postgres_port),
        "POSTGRES_PASSWORD": password,
    }
    addresses = {
        "0.0.0.0": "127.0.0.1",
        "4000": str(code),
        "3000": str(web),
        "deploy/workspace.yaml": str(folder / "workspace.yaml"),
    }
    processes = Processes(folder, environment, addresses)
    try:
        for name, service in services().items():
            if name in OURS:
                processes.start(name, service)
        yield Platform(processes, f"http://127.0.0.1:{web}", password, postgres_port)
    finally:
        processes.stop()
        # Lake and BigQuery are emulators that the runs started.
        Taxi(folder / "home", folder, processes.settings(services()["daemon"])).well("down")


@pytest.mark.e2e
def test_a_month_that_is_launched_in_the_web_goes_through_the_queue_into_postgres(platform: Platform) -> None:
    entries = platform.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    assert [(entry["name"], entry["locationOrLoadError"]["__typename"]) for entry in entries] == [
        ("taxi_assets", "RepositoryLocation")
    ]
    run = {
        "selector": {
            "repositoryLocationName": "taxi_assets",
            "repositoryName": "__repository__",
            "jobName": pipeline_for("yellow").job,
            "assetSelection": [{"path": ["yellow", name]} for name in POSTGRES_CHAIN],
        },
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "2021-01"}]},
    }
    launched = platform.ask(LAUNCH, run=run)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]
    assert platform.ended(run_id) == {"status": "SUCCESS", "repositoryOrigin": LOCATION}, platform.output()
    with platform.connect() as connection:
        kept = connection.execute("SELECT count(*) FROM ny_taxi.yellow_cab_data").fetchone()
        rejected = connection.execute("SELECT count(*) FROM ny_taxi.yellow_cab_data_rejected").fetchone()
        queued = "SELECT FROM dagster.event_logs WHERE run_id = %s AND dagster_event_type = 'PIPELINE_ENQUEUED'"
        assert connection.execute(queued, [run_id]).rowcount == 1
    assert kept
    assert rejected
    assert kept[0] + rejected[0] == ROWS
    assert kept[0] > rejected[0] > 0


@pytest.mark.e2e
def test_the_webhook_starts_a_run_and_no_service_warns(platform: Platform, folder: Path) -> None:
    settings = platform.processes.settings(services()["daemon"])
    taxi = Taxi(folder / "home", folder, settings)
    with webhook(taxi) as outside:
        answer = outside.post("/runs", {"pipeline": "yellow", "month": "2021-01"})
    assert answer.status_code == 202, answer.text
    assert platform.ended(answer.json()["run_id"]) == {"status": "SUCCESS", "repositoryOrigin": LOCATION}
    assert worrying_lines(platform.output()) == []


@pytest.mark.e2e
def test_the_password_is_that_of_a_login_without_special_rights(platform: Platform) -> None:
    with platform.connect() as connection:
        rights = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(rights).fetchone() == (False, False, False)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        platform.connect("postgres")
