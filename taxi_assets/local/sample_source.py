"""The sample source as a local server: one process, whatever the number of rows that is asked of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from taxi_assets.local.service import LocalServer


def _command(home: Path, port: int) -> Sequence[str]:
    folder = str(home / "sample")
    return [sys.executable, "-m", "taxi_assets.sources.sample", "--port", str(port), "--folder", folder]


def _answers(url: str) -> bool:
    import requests

    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{url}/health", timeout=2).text == "sample source"


SAMPLE_SOURCE = LocalServer("sample source", _command, _answers)
"""The server that makes trips up; its files are kept in `{home}/sample`."""


def sample_url(home: Path, rows: int) -> str:
    """The address of made-up months of that many rows; starts the server where it does not run."""
    return f"{SAMPLE_SOURCE.ensure(home).url}/rows-{rows}"
