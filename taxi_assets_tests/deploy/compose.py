"""`docker-compose.yml` without containers: its services' own commands, as processes on loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psutil
import yaml

from taxi_assets.local import postgres_files
from taxi_assets.settings import PROJECT_ROOT

FILE = PROJECT_ROOT / "docker-compose.yml"
HEALTHY_SECONDS = 120
PROGRAMS = (Path(sys.executable).parent, postgres_files.programs())

Service = dict[str, Any]


def services() -> dict[str, Service]:
    """The services of the file, each after those that it waits for."""
    found = yaml.safe_load(FILE.read_text())["services"]
    order = TopologicalSorter({name: set(service.get("depends_on", ())) for name, service in found.items()})
    return {name: found[name] for name in order.static_order()}


def interpolated(text: str, shell: Mapping[str, str]) -> str:
    """The text with each `${NAME:-default}` as Compose fills it in."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: shell.get(found[1]) or found[2], text)


@dataclass
class Processes:
    """Services that run as processes.

    Attributes:
        folder: Where their output goes.
        environment: What each gets over what the file says: addresses on loopback, the password.
        addresses: What else is replaced in commands: text → text.
    """

    folder: Path
    environment: Mapping[str, str]
    addresses: Mapping[str, str]
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, service: Service) -> None:
        """Starts a service, and waits until its health check passes."""
        settings = self.settings(service)
        with self.log(name).open("wb") as log:
            self.started[name] = subprocess.Popen(
                self.here(service["command"]),
                cwd=PROJECT_ROOT,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + HEALTHY_SECONDS
        while not self.healthy(service):
            assert self.started[name].poll() is None, self.log(name).read_text()
            assert time.monotonic() < until, self.log(name).read_text()
            time.sleep(0.5)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def settings(self, service: Service) -> dict[str, str]:
        """The environment of a service, with nothing of the developer's."""
        path = os.pathsep.join([*map(str, PROGRAMS), os.environ["PATH"]])
        said = {name: interpolated(value, self.environment) for name, value in service["environment"].items()}
        return {"PATH": path, "HOME": str(self.folder), **said, **self.environment}

    def here(self, command: Sequence[str]) -> list[str]:
        """A command with the addresses of this machine."""
        replaced = []
        for word in command:
            for theirs, ours in self.addresses.items():
                word = word.replace(theirs, ours)
            replaced.append(word)
        return replaced

    def healthy(self, service: Service) -> bool:
        """Whether the service's health check passes."""
        kind, *command = service["healthcheck"]["test"]
        assert kind == "CMD"
        checked = subprocess.run(
            self.here(command), cwd=PROJECT_ROOT, env=self.settings(service), capture_output=True, timeout=60
        )
        return checked.returncode == 0

    def command_lines(self) -> list[list[str]]:
        """The command lines of the processes and of all that they started."""
        lines = []
        for process in self.started.values():
            with suppress(psutil.Error):
                parent = psutil.Process(process.pid)
                family = [parent, *parent.children(recursive=True)]
                lines += [member.cmdline() for member in family]
        return lines

    def stop(self) -> None:
        """Ends them as `docker compose down` does: the last first, politely, then for good."""
        for process in reversed(self.started.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
