"""The web application: who may ask, what is too much, and the answers."""

from __future__ import annotations

import hmac
import logging
from hashlib import sha256
from typing import Any

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from taxi_assets.errors import TaxiError
from taxi_assets.webhook.bodies import ReportMaterialization, StartRun, read_body
from taxi_assets.webhook.errors import RequestRefused, as_json
from taxi_assets.webhook.service import RunService

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024
MOST_KEY = 200


class TokenNeeded:
    """Lets nobody through without the token, except to `/health`; compares in constant time."""

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._expected = sha256(b"Bearer " + token.get_secret_value().encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401, or hands the request on."""
        allowed = scope["type"] != "http" or scope["path"] == "/health" or self._shown(scope)
        await (self._app if allowed else _UNKNOWN)(scope, receive, send)

    def _shown(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(sha256(scheme.capitalize() + b" " + token.strip()).digest(), self._expected)


_UNKNOWN = JSONResponse(
    as_json(
        RequestRefused(
            401,
            "The token is missing or wrong.",
            expected="the header Authorization: Bearer and the token of TAXI_WEBHOOK_TOKEN",
            next_step="ask whoever runs the platform for the token",
        )
    ),
    401,
    {"WWW-Authenticate": 'Bearer realm="taxi_assets"'},
)


def application(dagster: RunService, token: SecretStr, ui: str) -> Starlette:
    """The application.

    Args:
        dagster: What it works on.
        token: What callers must show.
        ui: The address of the UI, for links.
    """

    async def runs(request: Request) -> Response:
        body = read_body(StartRun, await _body(request))
        key = _key(request)
        queued = await run_in_threadpool(dagster.start, body, key)
        answer = {
            "run_id": queued.run.run_id,
            "job": queued.run.job_name,
            "month": queued.run.tags["dagster/partition"],
            "link": f"{ui}/runs/{queued.run.run_id}",
            "repeated": queued.repeated,
        }
        return JSONResponse(answer, 200 if queued.repeated else 202)

    async def materializations(request: Request) -> Response:
        body = read_body(ReportMaterialization, await _body(request))
        await run_in_threadpool(dagster.report, body)
        link = f"{ui}/assets/{body.asset}"
        return JSONResponse({"asset": body.asset, "partition": body.partition, "link": link}, 201)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    # Starlette's types know no handler of one kind of error alone.
    handlers: Any = {TaxiError: _refused, HTTPException: _no_such, DBAPIError: _no_database, Exception: _broken}
    return Starlette(
        routes=[
            Route("/runs", runs, methods=["POST"]),
            Route("/materializations", materializations, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ],
        middleware=[Middleware(TokenNeeded, token=token)],
        exception_handlers=handlers,
    )


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise RequestRefused(413, "The body is too large.", expected=f"at most {MOST_BYTES:,} bytes")
    return body


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key.strip()) <= MOST_KEY:
        raise RequestRefused(422, "The Idempotency-Key cannot be used.", expected=f"1 to {MOST_KEY} characters")
    return key.strip() if key else None


async def _refused(request: Request, error: TaxiError) -> Response:
    status = error.status if isinstance(error, RequestRefused) else 503 if error.transient else 422
    return JSONResponse(as_json(error), status)


async def _no_such(request: Request, error: HTTPException) -> Response:
    refused = RequestRefused(
        error.status_code,
        f"{request.method} {request.url.path} is not a request of this application.",
        expected="POST /runs, POST /materializations or GET /health",
    )
    return JSONResponse(as_json(refused), error.status_code, error.headers)


async def _no_database(request: Request, error: Exception) -> Response:
    log.error("The database did not answer.", exc_info=error)
    refused = RequestRefused(503, "The database with Dagster's records does not answer.", next_step="try again later")
    return JSONResponse(as_json(refused), 503, {"Retry-After": "10"})


async def _broken(request: Request, error: Exception) -> Response:
    refused = RequestRefused(500, "The request could not be done.", next_step="look into the output of `taxi webhook`")
    refused.details.pop("Intact")
    return JSONResponse(as_json(refused), 500)
