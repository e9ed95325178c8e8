"""Who may use an embedded emulator: whoever knows the secret of the home, at a known name, and no page in a browser.

All users of a machine reach its loopback, and so does any page in a browser. So both emulators check every request
before they act on it. The secret is a file that only the owner reads. It is on no command line and in no log.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from taxi_assets.files import locked, private_folder, write_private

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ALLOWED_HOSTS = "TAXI_ALLOWED_HOSTS"
"""The environment variable with further names, separated by commas."""

_CHARACTERS = 43  # of 32 random bytes

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


def secret_file(home: Path) -> Path:
    """The file of the secret."""
    return home / "run" / "secret"


def home_secret(home: Path) -> str:
    """The secret of the home, which both emulators ask for."""
    return ensure_secret(secret_file(home))


def ensure_secret(file: Path) -> str:
    """The secret in a file: made at random once, however many processes ask at the same time.

    One that others could read, or that is not whole, is replaced.
    """
    if found := read_secret(file):
        return found
    private_folder(file.parent)
    with locked(file.with_name(f"{file.name}.lock")):
        if not (found := read_secret(file)):
            found = secrets.token_urlsafe(32)
            write_private(file, found)
        return found


def read_secret(file: Path) -> str | None:
    """The secret in a file; None: there is none, or others could read it."""
    with suppress(FileNotFoundError):
        status = file.stat()
        text = file.read_text().strip()
        if status.st_mode & 0o077 == 0 and len(text) >= _CHARACTERS and text.isascii():
            return text
    return None


class Access:
    """The check of a request's headers.

    Args:
        home: The folder of all local state.
        hosts: Further names that the server is asked for by.
    """

    def __init__(self, home: Path, hosts: Iterable[str] = ()) -> None:
        self._home = home
        self._hosts = {*LOOPBACK, *(host.strip().lower().strip("[]") for host in hosts if host.strip())}
        self._secret = home_secret(home)

    def refusal(self, headers: Iterable[tuple[str, str]]) -> tuple[int, str] | None:
        """The status and the reason of a refusal; None: the request may go on.

        Args:
            headers: Name and value of each header of the request.
        """
        found: dict[str, list[str]] = {}
        for name, value in headers:
            found.setdefault(name.lower(), []).append(value.strip())
        host = found.get("host", [])
        if len(host) != 1 or _name(host[0]) not in self._hosts:
            return 403, f"This server does not answer to that Host. {ALLOWED_HOSTS} names further hosts."
        if any(origin != f"http://{host[0]}" for origin in found.get("origin", [])):
            return 403, "This server answers no page of another origin."
        if not self._knows(found.get("authorization", [])):
            return 401, "This server asks for the secret of its home, as a Bearer token: see docs/services.md."
        return None

    def _knows(self, sent: list[str]) -> bool:
        scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            return False
        if _equal(token, self._secret):
            return True
        self._secret = home_secret(self._home)  # it may have been replaced
        return _equal(token, self._secret)


def access_from_environment(home: Path) -> Access:
    """The check with the further hosts that the environment names."""
    return Access(home, os.environ.get(ALLOWED_HOSTS, "").split(","))


def _equal(token: str, secret: str) -> bool:
    return hmac.compare_digest(token.strip().encode(), secret.encode())


def _name(host: str) -> str:
    """The name in `name:port`, `[address]:port` or `name`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def error_body(status: int, reason: str) -> bytes:
    """The body of a refusal, as Google's clients read it."""
    return json.dumps({"error": {"code": status, "message": reason, "errors": [{"message": reason}]}}).encode()


def guarded(application: Application, access: Access) -> Application:
    """The ASGI application, which gets only the requests that the check lets through."""

    async def guard(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await send({"type": f"{scope['type']}.close", "code": 1008})
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        if not (refusal := access.refusal(headers)):
            await application(scope, receive, send)
            return
        status, reason = refusal
        body = error_body(status, reason)
        answer = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        if status == 401:
            answer["www-authenticate"] = "Bearer"
        encoded = [(name.encode(), value.encode()) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    return guard
