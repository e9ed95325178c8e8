"""The web server of the sample source: generates a file at its first request, keeps it, and serves it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from taxi_assets.errors import TaxiError
from taxi_assets.files import private_folder
from taxi_assets.sources.http import SAMPLE_HEADER
from taxi_assets.sources.layouts import LAYOUTS, ZONE_LOOKUP
from taxi_assets.sources.sample.files import make_month, make_zones
from taxi_assets.sources.sample.newest import newest_month
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.registry import read_service, service_names

HEALTHY = "sample source"
MAKER = "v1"
"""The folder of the files; raise it with every change of what is generated."""


def application(folder: Path) -> Starlette:
    """The server's application. It keeps its files below the folder, in a folder for each number of rows."""
    root = private_folder(folder / MAKER)
    files = StaticFiles(directory=root)

    async def health(request: Request) -> Response:
        return PlainTextResponse(HEALTHY)

    async def serve(request: Request) -> Response:
        path: str = request.path_params["path"]
        rows: int = request.path_params["rows"]
        name = f"rows-{rows}/{path}"
        if rows < 1 or not await run_in_threadpool(_make, root / name, path, rows):
            raise HTTPException(404, "not published", headers={SAMPLE_HEADER: "synthetic"})
        response = await files.get_response(name, request.scope)
        response.headers[SAMPLE_HEADER] = "synthetic"
        return response

    return Starlette(routes=[Route("/health", health), Route("/rows-{rows:int}/{path:path}", serve)])


def _make(file: Path, path: str, rows: int) -> bool:
    """Generates the file at a path of the source; returns False where nothing is published there."""
    if path == ZONE_LOOKUP:
        make_zones(file)
        return True
    match = re.fullmatch(r"[a-z0-9_-]+/([a-z0-9_]+)_tripdata_([0-9-]+)\.[a-z.]+", path)
    if not match or match[1] not in service_names():
        return False
    service = read_service(match[1])
    try:
        month = parse_month(match[2])
    except TaxiError:
        return False
    layout = next((layout for layout in LAYOUTS if layout.path(service.name, month) == path), None)
    if not layout or not service.first_month <= month <= newest_month(date.today()):
        return False
    make_month(file, service, month, rows, layout.name)
    return True
