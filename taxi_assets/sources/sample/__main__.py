"""Runs the sample source: `python -m taxi_assets.sources.sample --port 8000 --folder .taxi/sample`."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import uvicorn

from taxi_assets.files import private_process
from taxi_assets.local.service import publish
from taxi_assets.sources.sample.server import application


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        publish(self.servers[0].sockets[0].getsockname()[1])


def main() -> None:
    """Serves on loopback until the process ends."""
    parser = argparse.ArgumentParser(prog="python -m taxi_assets.sources.sample", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the port; 0: any")
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the generated files")
    options = parser.parse_args()
    private_process()
    _Server(uvicorn.Config(application(options.folder), "127.0.0.1", options.port, log_level="warning")).run()


if __name__ == "__main__":
    main()
