"""The sample source as a local server: one process for any number of rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from taxi_assets.local.service import LocalServer


def _command(home: Path, port: int) -> Sequence[str]:
    folder = str(home / "sample")
    return [sys.executable, "-m", "taxi_assets.sources.sample", "--port", str(port), "--folder", folder]


SAMPLE_SOURCE = LocalServer("sample source", "sample", _command)
"""The server of synthetic trips. Its files are in `{home}/sample`."""


def sample_url(home: Path, rows: int) -> str:
    """The address of synthetic months with that many rows. Starts the server where it does not run."""
    return f"{SAMPLE_SOURCE.ensure(home).url}/rows-{rows}"
