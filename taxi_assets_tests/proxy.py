"""A proxy on loopback in front of a real server, for the errors that the server cannot make.

    with Proxy(server_url) as proxy:
        proxy.on("POST", "/upload/", answer(503), answer(503))

The first two uploads then get a 503, and later ones reach the server. Each request is remembered.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from taxi_assets.local.access import home_secret
from taxi_assets.local.service import LocalServer

_NOT_FORWARDED = {"connection", "transfer-encoding", "content-encoding", "content-length", "server", "date"}


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the client gets; None: nothing, the connection is closed."""

    status: int | None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Forward = Callable[[Request], Answer]
Rule = Callable[[Request, Forward], Answer]


def passes(request: Request, forward: Forward) -> Answer:
    """A rule that forwards the request."""
    return forward(request)


def answer(code: int, reason: str = "made up", message: str = "made up", **fields: Any) -> Rule:
    """Google's way to say an error; with fields, a JSON object of them instead."""
    error = {"code": code, "message": message, "errors": [{"reason": reason, "message": message}]}
    body = json.dumps(fields or {"error": error}).encode()
    return lambda request, forward: Answer(code, body, {"Content-Type": "application/json"})


def lost(request: Request, forward: Forward) -> Answer:
    """The server does what it is asked, and its answer is lost."""
    forward(request)
    return Answer(None)


class Proxy:
    """The proxy; listens while its block runs."""

    def __init__(self, target: str, secret: str | None = None) -> None:
        self._secret = {"Authorization": f"Bearer {secret}"} if secret else {}
        self.target = target.rstrip("/")
        self.requests: list[Request] = []
        self._rules: list[tuple[str, str, list[Rule], bool]] = []
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._session.trust_env = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, method: str, pattern: str, *rules: Rule, always: bool = False) -> None:
        """The next requests of that method, whose path or body the pattern is found in, go through these rules."""
        self._rules.append((method, pattern, list(rules), always))

    def seen(self, method: str, pattern: str) -> list[Request]:
        """The requests of that method with the pattern in path or body."""
        return [request for request in self.requests if _fits(request, method, pattern)]

    def _forward(self, request: Request) -> Answer:
        found = self._session.request(
            request.method,
            self.target + request.path,
            data=request.body,
            headers={**request.headers, "Host": self.url.removeprefix("http://"), **self._secret},
            allow_redirects=False,
            timeout=60,
        )
        kept = {name: value for name, value in found.headers.items() if name.lower() not in _NOT_FORWARDED}
        return Answer(found.status_code, found.content, kept)

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            rule = self._next_rule(request)
        return rule(request, self._forward) if rule else self._forward(request)

    def _next_rule(self, request: Request) -> Rule | None:
        for method, pattern, rules, always in self._rules:
            if rules and _fits(request, method, pattern):
                return rules[0] if always else rules.pop(0)
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                found = proxy._answer(Request(self.command, self.path, dict(self.headers), body))
                if found.status is None:
                    self.close_connection = True
                    return
                self.send_response(found.status)
                for name, value in found.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                self.wfile.write(found.body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        return Handler

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._session.close()


def in_front_of(server: LocalServer, home: Path) -> Proxy:
    """A proxy of an embedded server, which its clients take for a server of the user's own: they know no secret."""
    return Proxy(server.ensure(home).url, home_secret(home))


def _fits(request: Request, method: str, pattern: str) -> bool:
    text = request.path + "\n" + request.body[:20_000].decode("utf-8", "replace")
    return request.method == method and re.search(pattern, text, re.DOTALL) is not None
