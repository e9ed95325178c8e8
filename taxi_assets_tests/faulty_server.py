"""A real web server on loopback that serves files well, and badly when it is told to.

    with FaultyServer() as server:
        server.publish("/yellow/yellow_tripdata_2021-01.csv.gz", body)
        server.fails("/yellow/yellow_tripdata_2021-01.csv.gz", Fault(status=500), Fault(cut_after=100))

The first request then gets a 500, the second one is cut, and every later one gets the file.
"""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

STALL_SECONDS = 30
CHUNK_BYTES = 100_000


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer.

    Attributes:
        status: Answer with this status and no file.
        headers: Headers sent besides.
        body: The body of such an answer.
        cut_after: Send so many bytes of the body, then close the connection.
        stall_after: Send so many bytes of the body, then wait until the server is told to `go`.
        ignore_range: Send the whole file, whatever was asked for.
        ignore_if_range: Send the rest, even of another version of the file.
        no_length: Do not say how long the body is; its end is that of the connection.
        chunked: Do not say how long the body is; send it in chunks of 100,000 bytes.
        afterwards: Called when the answer is over.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    stall_after: int | None = None
    ignore_range: bool = False
    ignore_if_range: bool = False
    no_length: bool = False
    chunked: bool = False
    afterwards: Callable[[], None] = lambda: None


GOOD = Fault()


@dataclass(frozen=True)
class Published:
    body: bytes
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True)
class Asked:
    """A request that came in; `path` without its query."""

    method: str
    path: str
    headers: Mapping[str, str]


class FaultyServer:
    """The server; `url` is its address, `asked` the requests so far, `stalled` is set while an answer waits."""

    def __init__(self) -> None:
        self._files: dict[str, Published] = {}
        self._faults: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self.asked: list[Asked] = []
        self.stalled = threading.Event()
        self.go = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()

    def publish(
        self,
        path: str,
        body: bytes,
        *,
        etag: str | None = "",
        last_modified: str | None = "Mon, 04 Jan 2021 10:00:00 GMT",
    ) -> None:
        """Serves the body at the path; the ETag comes from it unless another one, or None, is given."""
        made = f'"{hashlib.sha256(body).hexdigest()[:16]}"' if etag == "" else etag
        self._files[path] = Published(body, made, last_modified)

    def file(self, path: str) -> Published:
        """What is served at the path."""
        return self._files[path]

    def fails(self, path: str, *faults: Fault) -> None:
        """The next requests for the path meet these faults, one each."""
        self._faults.setdefault(path, deque()).extend(faults)

    def always_fails(self, path: str, fault: Fault) -> None:
        """Every request for the path meets this fault."""
        self._always[path] = fault

    def heals(self, path: str) -> None:
        """The path is served well again."""
        self._always.pop(path, None)
        self._faults.pop(path, None)

    def of(self, path: str) -> list[Asked]:
        """The requests for a path so far."""
        return [asked for asked in self.asked if asked.path == path]

    def take(self, path: str) -> tuple[Fault, Published | None]:
        """What the next answer for a path is made from."""
        faults = self._faults.get(path)
        fault = faults.popleft() if faults else self._always.get(path, GOOD)
        return fault, self._files.get(path)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that leaves, or is killed, is what these tests are about.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler(faulty: FaultyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = urlsplit(self.path).path
            faulty.asked.append(Asked(self.command, path, dict(self.headers)))
            fault, file = faulty.take(path)
            if fault.status is not None or file is None:
                self._send(fault.status or 404, dict(fault.headers), fault.body, fault)
            else:
                self._send_file(fault, file)
            fault.afterwards()

        def _send_file(self, fault: Fault, file: Published) -> None:
            headers = {"Content-Type": "application/octet-stream", **fault.headers}
            headers |= {"ETag": file.etag} if file.etag else {}
            headers |= {"Last-Modified": file.last_modified} if file.last_modified else {}
            if self._knows(file):
                self._send(304, headers, b"", fault)
                return
            begins = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            condition = self.headers.get("If-Range")
            same = fault.ignore_if_range or condition in (None, file.etag, file.last_modified)
            if not begins or fault.ignore_range or not same:
                self._send(200, headers, file.body, fault)
                return
            start, end = int(begins[1]), int(begins[2] or len(file.body) - 1)
            if start >= len(file.body):
                self._send(416, {**headers, "Content-Range": f"bytes */{len(file.body)}"}, b"", fault)
                return
            headers["Content-Range"] = f"bytes {start}-{end}/{len(file.body)}"
            self._send(206, headers, file.body[start : end + 1], fault)

        def _knows(self, file: Published) -> bool:
            if "If-None-Match" in self.headers:
                return file.etag is not None and self.headers["If-None-Match"] == file.etag
            return file.last_modified is not None and self.headers.get("If-Modified-Since") == file.last_modified

        def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if fault.no_length:
                self.send_header("Connection", "close")
            elif fault.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD" or status == 304:
                return
            self.close_connection = fault.no_length or fault.cut_after is not None
            with suppress(ConnectionError):
                self._send_body(body, fault)

        def _send_body(self, body: bytes, fault: Fault) -> None:
            if fault.stall_after is not None:
                self.wfile.write(body[: fault.stall_after])
                body = body[fault.stall_after :]
                faulty.stalled.set()
                faulty.go.wait(STALL_SECONDS)
            if fault.chunked:
                self._send_chunks(body, fault)
            else:
                self.wfile.write(body if fault.cut_after is None else body[: fault.cut_after])

        def _send_chunks(self, body: bytes, fault: Fault) -> None:
            for start in range(0, len(body), CHUNK_BYTES):
                chunk = body[start : start + CHUNK_BYTES]
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                if fault.cut_after is not None and start + CHUNK_BYTES > fault.cut_after:
                    return
            self.wfile.write(b"0\r\n\r\n")

    return Handler
