"""`dagster dev` alone, in the project's root: it works without anything set, and starts what the YAML files say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from taxi_assets.local.service import free_port
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets_tests.taxi_command import Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

STATES = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
    schedules { name scheduleState { status } } sensors { name sensorState { status } } } } } }"""
DECLARED = {
    "green_taxi_etl_schedule": "RUNNING",
    "yellow_taxi_etl_schedule": "RUNNING",
    "green_publication": "RUNNING",
    "yellow_publication": "RUNNING",
    "alerts": "RUNNING",
    "summaries": "RUNNING",
}


@pytest.fixture
def taxi(tmp_path: Path) -> Iterator[Taxi]:
    command = Taxi(tmp_path / "home", tmp_path, {"TAXI_SAMPLE_ROWS": "1000"})
    yield command
    command.well("down")


@pytest.fixture
def url(taxi: Taxi) -> Iterator[str]:
    port = free_port()
    log = taxi.cwd / "dagster-dev.log"
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "-h", "127.0.0.1", "-p", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=taxi.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as serving,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(serving.pid, signal.SIGINT)
            serving.wait(60)


@retry(
    retry=retry_if_exception_type((requests.RequestException, LookupError)),
    stop=stop_after_delay(120),
    wait=wait_fixed(0.5),
    reraise=True,
)
def _loaded(url: str) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{url}/graphql", json={"query": STATES}, timeout=20)
    answer.raise_for_status()
    repository: dict[str, Any] = answer.json()["data"]["repositoriesOrError"]["nodes"][0]
    return repository


def test_a_first_start_has_every_schedule_and_sensor_as_declared(url: str) -> None:
    repository = _loaded(url)
    found = {item["name"]: item["scheduleState"]["status"] for item in repository["schedules"]}
    found |= {item["name"]: item["sensorState"]["status"] for item in repository["sensors"]}
    assert {name: found.get(name) for name in DECLARED} == DECLARED
    assert set(found.values()) == {"RUNNING"}
