"""Fetches yellow 2021-01 in a process of its own: `python -m taxi_assets_tests.sources.fetch_process URL FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from taxi_assets.sources.source import TripSource
from taxi_assets_tests.sources.conftest import MONTH, QUICK

if __name__ == "__main__":
    print(TripSource(sys.argv[1], Path(sys.argv[2]), retry_policy=QUICK).fetch("yellow", MONTH).sha256)
