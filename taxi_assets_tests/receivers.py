"""Who gets alerts in tests: a real HTTP server and a real SMTP server, on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from taxi_assets.local.service import free_port


@dataclass
class HttpReceiver:
    """Keeps what was posted; answers with the next of `statuses`, then 200."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""

    def bodies(self, path: str) -> list[Any]:
        """What was posted to a path."""
        return [body for where, body in self.got if where == path]


@contextmanager
def http_receiver(statuses: Sequence[int] = ()) -> Iterator[HttpReceiver]:
    """A server that runs as long as the block."""
    receiver = HttpReceiver(list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.got.append((self.path, body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@dataclass
class MailReceiver:
    """Keeps mails; answers the next ones with `refusals` before it takes any."""

    user: str
    password: str
    refusals: list[str] = field(default_factory=list)
    got: list[tuple[list[str], Message]] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Takes a mail, or refuses it."""
        if self.refusals:
            return self.refusals.pop(0)
        assert session.authenticated
        assert isinstance(envelope.content, bytes)
        self.got.append((list(envelope.rcpt_tos), message_from_bytes(envelope.content)))
        return "250 taken"

    def log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        """Whether it is the known user."""
        assert isinstance(data, LoginPassword)
        known = (data.login, data.password) == (self.user.encode(), self.password.encode())
        return AuthResult(success=known, handled=False)


@contextmanager
def mail_receiver(
    user: str, password: str, refusals: Sequence[str] = (), **encrypted: SSLContext
) -> Iterator[MailReceiver]:
    """A server that runs as long as the block, and wants a login.

    `ssl_context` encrypts from the first byte, `tls_context` after STARTTLS, which it then wants.
    """
    receiver = MailReceiver(user, password, list(refusals))
    controller = Controller(
        receiver,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=receiver.log_in,
        auth_required=True,
        auth_require_tls="tls_context" in encrypted,
        require_starttls="tls_context" in encrypted,
        ready_timeout=30,
        **encrypted,  # type: ignore[arg-type]
    )
    receiver.port = controller.port
    controller.start()
    try:
        yield receiver
    finally:
        controller.stop()
