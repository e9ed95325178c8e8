"""Runs the sample source: `python -m taxi_assets.sources.sample --port 8000 --folder .taxi/sample`."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from taxi_assets.sources.sample.server import application


def main() -> None:
    """Serves on loopback until the process ends."""
    parser = argparse.ArgumentParser(prog="python -m taxi_assets.sources.sample", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the generated files")
    options = parser.parse_args()
    uvicorn.run(application(options.folder), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
