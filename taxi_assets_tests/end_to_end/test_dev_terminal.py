"""`taxi dev` in a terminal: what a person sees, what starts again, and that nothing of it is left."""

from __future__ import annotations

import os
import pty
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from taxi_assets.components.taxi_pipeline.scaffolder import scaffold
from taxi_assets.local.service import free_port
from taxi_assets.pipelines import PIPELINE
from taxi_assets.ui.token import read_token
from taxi_assets_tests.project_copy import copy_project, of_copy
from taxi_assets_tests.taxi_command import SCRIPT, Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LONGEST_SECONDS = 120.0
KINDS = {
    "webserver": "taxi_assets.ui.server",
    "daemon": "/dagster-daemon run",
    "code server": " code-server start",
    "under it": " api grpc",
}


@dataclass
class Terminal:
    """A terminal of 80 columns in which `taxi dev` runs."""

    taxi: Taxi
    process: psutil.Popen
    port: int
    screen: int
    shown: list[str] = field(default_factory=list)

    def read(self) -> None:
        with suppress(OSError):
            while chunk := os.read(self.screen, 65_536):
                self.shown.append(chunk.decode(errors="replace"))

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "".join(self.shown))

    def until(self, what: str, holds: Callable[[], object]) -> None:
        end = time.monotonic() + LONGEST_SECONDS
        while not holds():
            assert time.monotonic() < end, f"not in time: {what}\n{self.text}"
            time.sleep(0.2)

    def of(self, kind: str) -> psutil.Process | None:
        """The process of that kind."""
        for one in self.process.children(recursive=True):
            with suppress(psutil.Error):
                if KINDS[kind] in " ".join(one.cmdline()) and one.status() != psutil.STATUS_ZOMBIE:
                    return one
        return None

    def has_another(self, kind: str, than: psutil.Process) -> bool:
        return self.of(kind) not in (None, than)

    def graphql(self, query: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {read_token(self.taxi.home)}"}
        url = f"http://127.0.0.1:{self.port}/graphql"
        found: dict[str, Any] = requests.post(url, json={"query": query}, headers=headers, timeout=60).json()
        return found

    def jobs(self) -> int:
        """How many jobs the UI knows; 0 while it has no code server."""
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } jobs { name } } } } }"
        with suppress(requests.RequestException, KeyError, TypeError, ValueError):
            nodes = self.graphql(query)["data"]["repositoriesOrError"]["nodes"]
            assert {node["location"]["name"] for node in nodes} <= {"taxi_assets"}
            return sum(len(node["jobs"]) for node in nodes)
        return 0


@contextmanager
def in_terminal(taxi: Taxi, until: str = "Ready: ") -> Iterator[Terminal]:
    """`taxi dev` in a terminal that shows this text, as long as the block; its services end, too."""
    port = free_port()
    ours, theirs = pty.openpty()
    environment = {**taxi.environment(), "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40"}
    process = psutil.Popen(
        [str(SCRIPT), "dev", "--port", str(port)],
        cwd=taxi.cwd,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    found = Terminal(taxi, process, port, ours)
    threading.Thread(target=found.read, daemon=True).start()
    try:
        found.until(until, lambda: until in found.text)
        yield found
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        with suppress(OSError):
            os.close(ours)
        taxi("down")


def processes_of(terminal: Terminal) -> list[psutil.Process]:
    """`taxi dev` and its own processes, without the services that stay up."""
    found = [one for kind in KINDS if (one := terminal.of(kind))]
    assert len(found) == len(KINDS)
    return [terminal.process, *found]


@pytest.mark.long
def test_it_shows_what_a_person_needs_reloads_the_code_and_ends(tmp_path: Path) -> None:
    taxi = Taxi(tmp_path / "a home, of 'one'", tmp_path)
    with in_terminal(taxi) as terminal:
        token = read_token(taxi.home)
        assert f"http://127.0.0.1:{terminal.port}/?token={token}" in terminal.text
        log = taxi.home / "log" / "dev.log"
        assert str(log) in terminal.text
        assert log.stat().st_mode & 0o777 == 0o600
        assert "Ready: code server, webserver, daemon." in terminal.text
        assert "dagster.daemon" not in terminal.text
        terminal.until("the daemon's lines", lambda: "dagster.daemon" in log.read_text())
        assert str(token) not in log.read_text()
        again = taxi("dev", "--port", str(free_port()))
        assert again.code == 1
        assert "`taxi dev` runs already on this TAXI_HOME." in again.err
        assert f"http://127.0.0.1:{terminal.port}" in again.err
        assert str(token) not in again.err
        terminal.until("the jobs", terminal.jobs)
        before = terminal.of("under it")
        reload = 'mutation { reloadRepositoryLocation(repositoryLocationName: "taxi_assets") { __typename } }'
        done = terminal.graphql(reload)
        assert done["data"]["reloadRepositoryLocation"]["__typename"] == "WorkspaceLocationEntry"
        assert before
        terminal.until("the old code is gone", lambda: not before.is_running())
        assert terminal.of("under it")
        assert terminal.jobs()
        said = taxi("run", "yellow", "--months", "2021-01", "--only", "postgres", "--limit", "10")
        assert said.code == 0, said.err
        terminal.until("the run", lambda: "yellow_taxi_etl 2021-01 succeeded" in terminal.text)
        processes = processes_of(terminal)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(60) == 0
        assert psutil.wait_procs(processes, timeout=2)[1] == []
        assert "Traceback" not in terminal.text
        end = terminal.text.partition("Stopping")[2].splitlines()
        assert end[1:] == ["Stopped. The services stay up: taxi down"]


@pytest.mark.long
def test_each_part_starts_again_when_it_is_killed(tmp_path: Path) -> None:
    with in_terminal(Taxi(tmp_path / "home", tmp_path)) as terminal:
        terminal.until("the jobs", terminal.jobs)
        for kind in KINDS:
            terminal.until(kind, partial(terminal.of, kind))
            victim = terminal.of(kind)
            assert victim
            victim.kill()
            terminal.until(f"another {kind}", partial(terminal.has_another, kind, victim))
            terminal.until("the jobs", terminal.jobs)
        for name in ("webserver", "daemon", "code server"):
            assert f"The {name} ended with -9; it starts again in " in terminal.text
            assert f" s. Its last lines: {terminal.taxi.home / 'log' / 'dev.log'}" in terminal.text
            assert f"The {name} started again." in terminal.text
        processes = processes_of(terminal)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(60) == 0
        assert psutil.wait_procs(processes, timeout=2)[1] == []


@pytest.mark.long
def test_a_schedule_goes_on_when_its_broken_file_is_mended(tmp_path: Path) -> None:
    """Nobody reloads anything: neither when the file is broken nor when it is mended."""
    defs = copy_project(tmp_path)
    file = defs / "third" / "defs.yaml"
    file.parent.mkdir()
    text = scaffold(PIPELINE, "third", "green")
    right = re.sub(r"schedule: {.*}", 'schedule: {cron: "* * * * *", timezone: UTC, state: running}', text)
    assert right != text
    file.write_text(right)
    with in_terminal(of_copy(Taxi(tmp_path / "home", tmp_path), defs)) as terminal:
        log = terminal.taxi.home / "log" / "dev.log"

        def ticks(line: str) -> int:
            return log.read_text().count(line)

        asked, named = "Schedule third_etl_schedule skipped: third: ", f"{file} has a mistake in attributes.lake.shape."
        terminal.until("a tick", lambda: ticks(asked))
        server, loaded = terminal.of("code server"), "YAML files changed; the definitions are loaded anew."
        file.write_text(right.replace("shape: month", "shape: moth"))
        terminal.until("the error in the terminal", lambda: f"Broken: {named}" in terminal.text)
        terminal.until("the error in the log", lambda: ticks(f"Sensor third_file_is_valid skipped: {named}"))
        asset = terminal.graphql('{ assetNodes(assetKeys: [{path: ["third", "defs_yaml"]}]) { description } }')
        assert named in str(asset)
        file.write_text(right)
        terminal.until("the second reload", lambda: terminal.text.count(loaded) == 2)
        before = ticks(asked)
        terminal.until("the next tick", lambda: ticks(asked) > before)
        assert terminal.text.count(loaded) == 2
        assert terminal.of("code server") == server
        assert "Traceback" not in terminal.text


@pytest.mark.long
def test_an_interrupt_while_it_starts_ends_it(tmp_path: Path) -> None:
    with in_terminal(Taxi(tmp_path / "home", tmp_path), until="Ctrl-C ends it.") as terminal:
        terminal.until("the processes", lambda: terminal.of("code server") and terminal.of("webserver"))
        processes = [one for kind in KINDS if (one := terminal.of(kind))]
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(60) == 0
        assert psutil.wait_procs(processes, timeout=2)[1] == []
        assert "Ready: " not in terminal.text
        assert terminal.text.rstrip().endswith("Stopped. The services stay up: taxi down")
        assert "Traceback" not in terminal.text


@pytest.mark.long
def test_closing_the_terminal_ends_it(tmp_path: Path) -> None:
    with in_terminal(Taxi(tmp_path / "home", tmp_path)) as terminal:
        processes = processes_of(terminal)
        os.close(terminal.screen)
        terminal.process.send_signal(signal.SIGHUP)  # as the system does to the terminal's session
        assert terminal.process.wait(60) == 0
        assert psutil.wait_procs(processes, timeout=2)[1] == []
