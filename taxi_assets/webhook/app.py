"""The web application: authentication, limits, routes and answers."""

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
from taxi_assets.webhook.schemas import ReportMaterialization, RequestRefused, StartRun, error_body, parse_body
from taxi_assets.webhook.service import RunService

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MAX_KEY_CHARACTERS = 200


class TokenMiddleware:
    """Refuses requests without the token, except those to `/health`; compares in constant time."""

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._expected = sha256(b"Bearer " + token.get_secret_value().encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401, or passes the request to the application."""
        allowed = scope["type"] != "http" or scope["path"] == "/health" or self._has_token(scope)
        await (self._app if allowed else _UNAUTHORIZED)(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(sha256(scheme.capitalize() + b" " + token.strip()).digest(), self._expected)


_UNAUTHORIZED = JSONResponse(
    error_body(
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


def create_app(service: RunService, token: SecretStr, ui: str) -> Starlette:
    """Creates the application.

    Args:
        service: Starts runs and records materializations.
        token: The token of callers.
        ui: The address of the UI, for links.
    """

    async def runs(request: Request) -> Response:
        body = parse_body(StartRun, await _read_body(request))
        key = _idempotency_key(request)
        queued = await run_in_threadpool(service.start, body, key)
        answer = {
            "run_id": queued.run.run_id,
            "job": queued.run.job_name,
            "month": queued.run.tags["dagster/partition"],
            "link": f"{ui}/runs/{queued.run.run_id}",
            "repeated": queued.repeated,
        }
        return JSONResponse(answer, 200 if queued.repeated else 202)

    async def materializations(request: Request) -> Response:
        body = parse_body(ReportMaterialization, await _read_body(request))
        await run_in_threadpool(service.report, body)
        link = f"{ui}/assets/{body.asset}"
        return JSONResponse({"asset": body.asset, "partition": body.partition, "link": link}, 201)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    # Starlette's types take only handlers of any Exception.
    handlers: Any = {
        TaxiError: _answer_refused,
        HTTPException: _answer_unknown_path,
        DBAPIError: _answer_no_database,
        Exception: _answer_failure,
    }
    return Starlette(
        routes=[
            Route("/runs", runs, methods=["POST"]),
            Route("/materializations", materializations, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ],
        middleware=[Middleware(TokenMiddleware, token=token)],
        exception_handlers=handlers,
    )


async def _read_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RequestRefused(413, "The body is too large.", expected=f"at most {MAX_BODY_BYTES:,} bytes")
    return body


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key.strip()) <= MAX_KEY_CHARACTERS:
        raise RequestRefused(
            422, "The Idempotency-Key cannot be used.", expected=f"1 to {MAX_KEY_CHARACTERS} characters"
        )
    return key.strip() if key else None


async def _answer_refused(request: Request, error: TaxiError) -> Response:
    status = error.status if isinstance(error, RequestRefused) else 503 if error.transient else 422
    return JSONResponse(error_body(error), status)


async def _answer_unknown_path(request: Request, error: HTTPException) -> Response:
    refused = RequestRefused(
        error.status_code,
        f"{request.method} {request.url.path} is not a request of this application.",
        expected="POST /runs, POST /materializations or GET /health",
    )
    return JSONResponse(error_body(refused), error.status_code, error.headers)


async def _answer_no_database(request: Request, error: Exception) -> Response:
    log.error("The database did not answer.", exc_info=error)
    refused = RequestRefused(503, "The database with Dagster's records does not answer.", next_step="try again later")
    return JSONResponse(error_body(refused), 503, {"Retry-After": "10"})


async def _answer_failure(request: Request, error: Exception) -> Response:
    refused = RequestRefused(500, "The request could not be done.", next_step="look into the output of `taxi webhook`")
    refused.details.pop("Intact")
    return JSONResponse(error_body(refused), 500)
