"""HTTP by the standard library, against servers that answer, fail, and stay silent."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from taxi_assets.local.client import request
from taxi_assets_tests.proxy import Proxy, answer


@pytest.fixture
def server() -> Iterator[Proxy]:
    with Proxy("http://127.0.0.1:9") as proxy:
        yield proxy


def test_what_is_sent_and_answered(server: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.on("POST", "/a", answer(201, name="x"))
    found = request("POST", f"{server.url}/a?b=c%20d", headers={"X-One": "1"}, body=b"{}", timeout=5)
    assert (found.status, found.content) == (201, b'{"name": "x"}')
    assert found.headers["content-length"] == "13"
    sent = server.requests[0]
    assert (sent.path, sent.body, sent.headers["X-One"]) == ("/a?b=c%20d", b"{}", "1")


def test_an_error_of_the_server_is_an_answer(server: Proxy) -> None:
    server.on("GET", "/", answer(503, "backendError"))
    assert request("GET", server.url, headers={}, timeout=5).status == 503


def test_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ConnectionError, match="timed out"):
            request("GET", f"http://127.0.0.1:{port}/", headers={}, timeout=0.2)
    with pytest.raises(ConnectionError, match="refused"):
        request("GET", f"http://127.0.0.1:{port}/", headers={}, timeout=0.2)
