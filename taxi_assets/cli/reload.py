"""Loads the definitions of a running `taxi dev` anew when a YAML file changes, as *Reload* in the UI does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from taxi_assets.cli.screen import escaped
from taxi_assets.instance.runs import LOCATION
from taxi_assets.local.client import request
from taxi_assets.pipelines import FilesVersion, files_version, read_again

SETTLE_SECONDS = 3.0
"""The time without a further change: an editor may write a file several times."""
RETRY_SECONDS = 10.0
_LONGEST_SECONDS = 180
_MUTATION = """mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) {
    ... on WorkspaceLocationEntry { locationOrLoadError { ... on PythonError { message } } } } }"""


@dataclass
class ReloadOnChange:
    """Asks the web server for a reload, once a change: its answer to the same mutation as the UI sends.

    Runs in progress go on with the code that they began with.

    Attributes:
        port: The web server's, on loopback.
        token: The web server's.
        tell: Prints a line for people.
        loaded: The files that the code server has read.
    """

    port: int
    token: str
    tell: Callable[[str], None]
    loaded: FilesVersion = field(default_factory=files_version)
    _seen: FilesVersion = field(default_factory=dict)
    _since: float = 0.0
    _due: float = 0.0
    _request: threading.Thread | None = None

    def look(self) -> None:
        """Begins a reload if files changed and are at rest; returns at once."""
        if self._request and self._request.is_alive():
            return
        version, now = files_version(), time.monotonic()
        if version != self._seen:
            self._seen, self._since = version, now
        if version != self.loaded and now >= max(self._since + SETTLE_SECONDS, self._due):
            self._request = threading.Thread(target=self._reload, args=(version,), daemon=True)
            self._request.start()

    def _reload(self, version: FilesVersion) -> None:
        try:
            found = self._ask()["locationOrLoadError"]
        except (ConnectionError, ValueError, KeyError, TypeError):
            # The web server starts, or has no code server yet.
            self._due = time.monotonic() + RETRY_SECONDS
            return
        self.loaded = version
        if error := (found or {}).get("message"):
            self.tell(f"[bold red]The changed files cannot be loaded[/]: {escaped(error.strip().splitlines()[0])}")
            return
        self.tell("YAML files changed; the definitions are loaded anew.")
        tell_broken(self.tell)

    def _ask(self) -> Any:
        asked = json.dumps({"query": _MUTATION, "variables": {"name": LOCATION}})
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/graphql"
        answer = request("POST", url, headers=headers, body=asked.encode(), timeout=_LONGEST_SECONDS)
        return json.loads(answer.content)["data"]["reloadRepositoryLocation"]


def tell_broken(tell: Callable[[str], None]) -> None:
    """Names each broken file in a line."""
    for error in read_again().broken.values():
        tell(f"[bold red]Broken:[/] {escaped(error.summary)} All others go on. The error: taxi status")
