"""The web server of the UI: Dagster's application behind the guard.

`python -m taxi_assets.ui.server PORT SOCKET WORKSPACE PIPE SINCE` is its process under `taxi dev`: the code server's
socket, the workspace file that names it, the pipe for the news of runs, and when they begin to be new.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taxi_assets.instance.child import join_parent, listens
from taxi_assets.local import lock
from taxi_assets.settings import Settings, settings
from taxi_assets.ui.news import write_news
from taxi_assets.ui.token import Token, ensure_token, read_token

LIVE_DATA_MILLISECONDS = 2000
MARK_SECONDS = 10
CODE_SECONDS = 60
"""Without a code server after this time, the UI comes up all the same and says so."""


def link(port: int, token: str) -> str:
    """The address that logs a browser in."""
    return f"http://127.0.0.1:{port}/?token={token}"


def running_links(home: Path) -> list[str]:
    """The links of the UIs that run on this home."""
    token = read_token(home)
    ports = [int(file.stem.rpartition("-")[2]) for file in sorted((home / "run").glob("ui-*.lock"))]
    return [link(port, token) for port in ports if lock.is_held(_lock_file(home, port))] if token else []


def _lock_file(home: Path, port: int) -> Path:
    """The file that the web server of this port locks as long as it lives."""
    return home / "run" / f"ui-{port}.lock"


@contextmanager
def _marked(home: Path, port: int) -> Iterator[None]:
    until = time.monotonic() + MARK_SECONDS
    while True:
        with lock.taken(_lock_file(home, port)) as held:
            if held is not None or time.monotonic() > until:
                yield
                return
        time.sleep(lock.PAUSE_SECONDS)  # `taxi status` looks


def _wait_for(code: Path) -> None:
    until = time.monotonic() + CODE_SECONDS
    while not listens(code) and time.monotonic() < until:
        time.sleep(lock.PAUSE_SECONDS)


def serve(settings: Settings, port: int, code: Path, workspace_file: Path, pipe: int, since: float) -> None:
    """Serves the UI on loopback until it is interrupted.

    Args:
        settings: The settings.
        port: The port.
        code: The socket of the code server; what comes before is done while that starts.
        workspace_file: Names the code server.
        pipe: The open file for the news of runs.
        since: The time from which runs are new.
    """
    import dagster as dg
    import uvicorn
    from dagster_webserver.app import create_app_from_workspace_process_context

    from taxi_assets.instance.dagster_private import configure_logs, served_workspace
    from taxi_assets.ui.guard import Guard

    configure_logs()
    _wait_for(code)
    token = Token(ensure_token(settings.taxi_home), port)
    with (
        _marked(settings.taxi_home, port),
        dg.DagsterInstance.get() as instance,
        served_workspace(instance, workspace_file) as workspace,
    ):
        threading.Thread(target=write_news, args=(instance, since, pipe), daemon=True).start()
        app = create_app_from_workspace_process_context(workspace, live_data_poll_rate=LIVE_DATA_MILLISECONDS)
        uvicorn.run(
            Guard(app, token, settings.taxi_allowed_hosts.split(",")),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )


if __name__ == "__main__":
    join_parent(Path(sys.argv[2]).parent)
    serve(settings(), int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
