"""`taxi dev`: starts the local services, then Dagster's code server, UI and daemon, and restarts what ends."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from taxi_assets.cli.reload import ReloadOnChange, tell_broken
from taxi_assets.cli.screen import escaped, messages
from taxi_assets.cli.services import start_all
from taxi_assets.cli.supervised import CodeServer, Supervised
from taxi_assets.errors import TaxiError
from taxi_assets.files import private_log, write_private
from taxi_assets.instance.child import socket_folder
from taxi_assets.instance.runs import LOCATION
from taxi_assets.local import lock
from taxi_assets.local.service import port_is_free
from taxi_assets.settings import settings
from taxi_assets.ui.news import RunNews
from taxi_assets.ui.server import link, running_links
from taxi_assets.ui.token import ensure_token

CHECK_SECONDS = 0.5
CODE = "taxi_assets.definitions"
_COLORS = {"failed": "bold red", "succeeded": "green", "canceled": "yellow", "not published": "yellow"}


def develop(port: int) -> int:
    """Runs until it is interrupted; returns the exit code.

    Args:
        port: The UI's port on loopback.

    Raises:
        TaxiError: The port is taken, `taxi dev` runs on this home already, or a local service does not start.
    """
    home = settings().taxi_home
    with lock.taken(home / "run" / "dev.lock") as held:
        if held is None:
            raise _runs_already(home)
        if not port_is_free(port):
            raise TaxiError(
                f"Port {port} on loopback is taken.",
                expected="a free port for the UI",
                intact="nothing was started",
                next_step=f"end what listens there, or: taxi dev --port {port + 1}",
            )
        start_all()
        ui = settings().taxi_ui_url.rstrip("/")
        if ui == type(settings()).model_fields["taxi_ui_url"].default:
            ui = os.environ["TAXI_UI_URL"] = f"http://127.0.0.1:{port}"
        token = ensure_token(home)
        # A log is read by others.
        address = link(port, token) if messages().is_terminal else f"http://127.0.0.1:{port} (the link: taxi status)"
        try:
            with socket_folder(home) as sockets, _log(home) as log, _pipe() as (reading, writing):
                say(f"The UI comes up at [bold]{address}[/]")
                if settings().taxi_webhook_token:
                    say(f"The webhook comes up at http://127.0.0.1:{settings().taxi_webhook_port}")
                say(f"What Dagster says goes to {escaped(str(_log_file(home)))}")
                say("Ctrl-C ends it. The services stay up: taxi down")
                reload = ReloadOnChange(port, token, tell)
                tell_broken(tell)
                Development(_processes(port, sockets, log, writing), port, reading, ui, reload).run()
        finally:
            _wipe_heartbeats()
    return 0


def say(text: str) -> None:
    """Prints a line; a terminal that is gone stops nothing."""
    with suppress(OSError):
        messages().print(text, soft_wrap=True)


def tell(text: str) -> None:
    """Prints a line with the time."""
    say(f"{time.strftime('%H:%M:%S')} {text}")


def _runs_already(home: Path) -> TaxiError:
    links = running_links(home)
    return TaxiError(
        "`taxi dev` runs already on this TAXI_HOME.",
        expected="one at a time: two daemons would start each run twice",
        found="its lock is held" + (f"; its UI is at {' and '.join(links).partition('/?')[0]}" if links else ""),
        where=str(home),
        intact="it goes on; nothing was started",
        next_step="open the link that `taxi status` shows, or end the other one with Ctrl-C",
    )


def _log_file(home: Path) -> Path:
    return home / "log" / "dev.log"


@contextmanager
def _log(home: Path) -> Iterator[BinaryIO]:
    """The file of Dagster's output; that of the time before is kept beside it."""
    file = _log_file(home)
    with suppress(FileNotFoundError):
        file.replace(file.with_suffix(".log.1"))
    with private_log(file) as log:
        yield log


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def _processes(port: int, sockets: Path, log: BinaryIO, news: int) -> list[Supervised]:
    """The processes of `taxi dev`: one code server, in the folder of sockets, and those that use it."""
    child = [sys.executable, "-m", "taxi_assets.instance.child", str(sockets)]
    scripts = Path(sysconfig.get_path("scripts"))
    # A name of its own: a server that is ending removes its socket.
    code = sockets / f"s{secrets.token_hex(3)}"
    workspace = str(_write_workspace(code))
    server = [str(scripts / "dagster"), "code-server", "start", "--socket", str(code), "--module-name", CODE]
    options = ["--location-name", LOCATION, "--inject-env-vars-from-instance", "--log-level", "warning"]
    ui = [sys.executable, "-m", "taxi_assets.ui.server", str(port), str(code), workspace, str(news), str(time.time())]
    processes: list[Supervised] = [
        CodeServer("code server", [*child, *server, *options], log, tell=tell, socket=code),
        Supervised("webserver", ui, log, handed=[news], tell=tell),
        Supervised(
            "daemon", [*child, str(scripts / "dagster-daemon"), "run", "-w", workspace], log, needs=code, tell=tell
        ),
    ]
    if settings().taxi_webhook_token:
        processes.append(Supervised("webhook", [*child, str(scripts / "taxi"), "webhook"], log, tell=tell))
    for process in processes:
        process.log = escaped(str(_log_file(settings().taxi_home)))
    return processes


def _write_workspace(code: Path) -> Path:
    """The workspace file of webserver and daemon, which names the socket of their code server; JSON is YAML."""
    server = {"socket": str(code), "host": "localhost", "location_name": LOCATION}
    metadata = {"additional_metadata": {"module_name": CODE}}
    file = settings().taxi_home / "run" / "workspace.yaml"
    write_private(file, json.dumps({"load_from": [{"grpc_server": server | metadata}]}))
    return file


def _wipe_heartbeats() -> None:
    """Removes the daemon's heartbeats: a backfill that starts now must not wait for it."""
    from dagster import DagsterInstance

    with suppress(Exception), DagsterInstance.get() as instance:
        instance.wipe_daemon_heartbeats()


@dataclass
class Development:
    """The processes of `taxi dev`, and the lines about them.

    Attributes:
        processes: What is kept running.
        port: The UI's.
        news: The open file with the news of runs.
        ui: The address in links.
        reload: Loads changed YAML files.
    """

    processes: list[Supervised]
    port: int
    news: int
    ui: str
    reload: ReloadOnChange
    _signals: int = 0
    _ready: bool = False
    _unread: bytes = b""
    _said: set[tuple[str, str]] = field(default_factory=set)

    def run(self) -> None:
        """Keeps all running until a signal; then ends all."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under `nohup`
            signal.signal(signal.SIGHUP, self._interrupt)
        try:
            while not self._signals:
                for process in self.processes:
                    process.keep_running()
                self._tell_ready()
                self._tell_news()
                self.reload.look()
                time.sleep(CHECK_SECONDS)
            end_of_line = "\n" if messages().is_terminal else ""  # after the terminal's ^C
            say(f"{end_of_line}Stopping; Ctrl-C again kills what does not end.")
        finally:
            for process in self.processes:
                process.interrupt()
            for process in self.processes:
                process.stop(at_once=lambda: self._signals > 1)
        say("Stopped. The services stay up: taxi down")

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _tell_ready(self) -> None:
        if not self._ready and all(process.process for process in self.processes):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                self._ready = True
                tell(f"Ready: {', '.join(process.name for process in self.processes)}.")

    def _tell_news(self) -> None:
        with suppress(BlockingIOError):
            while chunk := os.read(self.news, 65_536):
                self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            self._tell_run(RunNews(**json.loads(line)))

    def _tell_run(self, news: RunNews) -> None:
        if (news.run_id, news.status) in self._said:
            return
        self._said.add((news.run_id, news.status))
        for process in self.processes:
            if process.name == "webserver":
                process.command[-1] = str(news.at)  # Another one goes on there.
        color = _COLORS.get(news.status, "none")
        reason = f": {escaped(news.reason)}" if news.reason else ""
        address = "" if news.status == "succeeded" else f" {self.ui}/runs/{news.run_id}"
        tell(f"{escaped(news.what)} [{color}]{news.status}[/]{reason}{address}")
