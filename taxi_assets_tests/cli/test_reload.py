"""A changed YAML file is loaded anew once, when it is at rest and the web server answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copytree
from threading import Thread
from typing import Any

import pytest

from taxi_assets import pipelines
from taxi_assets.cli import reload
from taxi_assets.cli.reload import ReloadOnChange
from taxi_assets.local.service import free_port

LOADED = "YAML files changed; the definitions are loaded anew."


class WebServer:
    """A web server that answers the mutation, and keeps what it was asked."""

    def __init__(self, port: int) -> None:
        self.asked: list[Any] = []
        self.answer: Any = {"locationOrLoadError": {}}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Authorization"] == "Bearer a-token"
                server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                body = json.dumps({"data": {"reloadRepositoryLocation": server.answer}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pipeline's file in a copy of the folder."""
    monkeypatch.setattr(pipelines, "FOLDER", copytree(pipelines.FOLDER, tmp_path / "defs"))
    monkeypatch.setattr(reload, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(reload, "RETRY_SECONDS", 0.2)
    yield pipelines.FOLDER / "green" / "defs.yaml"
    pipelines.read_files.cache_clear()


def look(watch: ReloadOnChange, holds: Callable[[], object], seconds: float = 20) -> None:
    """Looks as `taxi dev` does, until it holds."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        watch.look()
        time.sleep(0.02)


def test_a_change_is_loaded_once_when_the_web_server_is_there(file: Path) -> None:
    said: list[str] = []
    port = free_port()
    watch = ReloadOnChange(port, "a-token", said.append)
    right = file.read_text()
    file.write_text(right.replace("shape: date", "shape: dates"))
    look(watch, lambda: False, 1)
    assert said == [], "the web server does not listen yet"
    server = WebServer(port)
    try:
        look(watch, lambda: len(said) == 2)
        look(watch, lambda: False, 1)
        assert len(server.asked) == 1
        assert server.asked[0]["variables"] == {"name": "taxi_assets"}
        assert said[0] == LOADED
        assert f"{file} has a mistake in attributes.lake.shape." in said[1]
        file.write_text(right)
        look(watch, lambda: len(said) == 3)
        assert (said[2], len(server.asked)) == (LOADED, 2)
    finally:
        server.http.shutdown()


def test_no_reload_before_the_file_is_at_rest_and_none_for_other_files(file: Path) -> None:
    said: list[str] = []
    server = WebServer(port := free_port())
    watch = ReloadOnChange(port, "a-token", said.append)
    try:
        file.with_name("defs.yaml~").write_text("an editor's")
        file.with_name("notes.txt").write_text("a person's")
        look(watch, lambda: False, 0.5)
        end, text = time.monotonic() + 1, file.read_text()
        while time.monotonic() < end:
            file.write_text(text)
            look(watch, lambda: False, 0.05)
        assert server.asked == []
        look(watch, lambda: said)
        assert said == [LOADED]
    finally:
        server.http.shutdown()


def test_an_error_of_the_code_is_said_once_and_not_tried_again(file: Path) -> None:
    said: list[str] = []
    server = WebServer(port := free_port())
    server.answer = {"locationOrLoadError": {"message": "ImportError: no module\nStack Trace:\n  here"}}
    watch = ReloadOnChange(port, "a-token", said.append)
    try:
        file.write_text(file.read_text() + "\n")
        look(watch, lambda: said)
        look(watch, lambda: False, 0.7)
        assert len(server.asked) == 1
        assert said == ["[bold red]The changed files cannot be loaded[/]: ImportError: no module"]
    finally:
        server.http.shutdown()
