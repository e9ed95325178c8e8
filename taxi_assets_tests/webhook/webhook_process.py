"""`taxi webhook` as a process of its own, and requests to it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from taxi_assets.local.service import free_port
from taxi_assets_tests.taxi_command import Taxi

TOKEN = "a-word-that-nobody-guesses"
LONGEST_SECONDS = 90


@dataclass(frozen=True)
class Webhook:
    """The running application."""

    url: str
    taxi: Taxi

    def post(self, path: str, body: Any = None, *, token: str | None = TOKEN, **more: Any) -> requests.Response:
        """One request; `headers` and `data` may be given besides."""
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
        return requests.post(f"{self.url}{path}", json=body, headers=headers, timeout=60, **more)


@contextmanager
def webhook(taxi: Taxi) -> Iterator[Webhook]:
    """Runs as long as the block; nothing that it prints shows the token."""
    port = free_port()
    taxi = taxi.having(TAXI_WEBHOOK_TOKEN=TOKEN, TAXI_WEBHOOK_PORT=str(port))
    process = taxi.start("webhook")
    try:
        found = Webhook(f"http://127.0.0.1:{port}", taxi)
        _wait_for(found, process)
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert TOKEN not in out + err
    assert "Traceback" not in err, err


def _wait_for(found: Webhook, process: Any) -> None:
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            assert requests.get(f"{found.url}/health", timeout=5).json() == {"status": "ok"}
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("taxi webhook did not come up")
