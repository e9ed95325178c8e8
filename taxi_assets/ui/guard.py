"""The check before Dagster's web application: host, origin, then token or cookie."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taxi_assets.local.access import LOOPBACK
from taxi_assets.ui.token import COOKIE_SECONDS, Token

_HOW = (
    "This is the Dagster UI of taxi_assets, for the person who started it.",
    "`taxi dev` printed a link with a token; `taxi status` shows it again. Open this link once in this browser.",
    "A program sends the header `Authorization: Bearer` with the token.",
)
_RELOAD = '<meta http-equiv="refresh" content="0">'


class Guard:
    """Lets only requests pass that come from the owner: ASGI middleware for HTTP and WebSockets.

    - The Host header has an allowed name. A page of another site that has its name resolved to loopback has not.
    - Origin and Sec-Fetch-Site, where a browser sends them, name the UI itself.
    - The request has the token in the Authorization header, or the cookie. `?token=` in the address sets the cookie.

    Args:
        app: The application.
        token: The token.
        hosts: Further names, besides those of loopback.
    """

    def __init__(self, app: ASGIApp, token: Token, hosts: Iterable[str] = ()) -> None:
        self._app, self._token = app, token
        self._hosts = {*LOOPBACK, *(host.strip().lower().strip("[]") for host in hosts if host.strip())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself, or passes the request to the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_private(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Frame-Options"] = "SAMEORIGIN"
            await send(message)

        answer = self._answer(HTTPConnection(scope)) or self._app
        await answer(scope, receive, send_private)

    def _answer(self, request: HTTPConnection) -> Response | None:
        """The answer to a request that does not pass."""
        headers = request.headers
        if _host(headers) not in self._hosts:
            return _refused(400, "This name is not one of the UI's. TAXI_ALLOWED_HOSTS can name it.")
        if not _has_own_origin(headers):
            return _refused(403, "Another site's page sent this request.")
        given = _query_token(request)
        if given is not None:
            return self._log_in(request) if self._token.is_token(given) else _unauthorized(request)
        if self._has_bearer(headers):
            return None
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # A link on another page. Browsers leave a strict cookie out then, and send it when the page itself reloads.
            return _unauthorized(request, reload=headers.get("sec-fetch-mode") == "navigate")
        if not self._token.is_cookie(request.cookies.get(self._token.cookie_name, "")):
            return _unauthorized(request)
        return _refused(405, "A browser asks GraphQL with POST.") if _is_graphql_by_get(request) else None

    def _has_bearer(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._token.is_token(given.strip())

    def _log_in(self, request: HTTPConnection) -> Response:
        """Sets the cookie and leads to the same page, without the token."""
        query = urlencode([(name, value) for name, value in _query(request) if name != "token"])
        # One slash: an address that begins with two names another host.
        path = "/" + quote(request.scope["path"].lstrip("/\\"))
        answer = RedirectResponse(f"{path}?{query}" if query else path, 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            self._token.cookie_name, self._token.cookie(), COOKIE_SECONDS, httponly=True, samesite="strict"
        )
        return answer


def _host(headers: Headers) -> str | None:
    """The name in the Host header; Starlette's TrustedHostMiddleware does not know `[::1]`."""
    hosts = headers.getlist("host")
    try:
        return urlsplit(f"//{hosts[0]}").hostname if len(hosts) == 1 else None
    except ValueError:
        return None


def _has_own_origin(headers: Headers) -> bool:
    origins = headers.getlist("origin")
    return not origins or origins in ([f"http://{headers['host']}"], [f"https://{headers['host']}"])


def _query(request: HTTPConnection) -> list[tuple[str, str]]:
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _query_token(request: HTTPConnection) -> str | None:
    """The token in the address of a page."""
    if request.scope["type"] != "http" or request.scope["method"] not in ("GET", "HEAD"):
        return None
    return next((value for name, value in _query(request) if name == "token"), None)


def _is_graphql_by_get(request: HTTPConnection) -> bool:
    """Whether Dagster would execute the query in the address; a mutation, too, which any page could name."""
    if request.scope["type"] != "http" or request.scope["method"] not in ("GET", "HEAD"):
        return False
    return "/graphql" in request.scope["path"] and "text/html" not in request.headers.get("accept", "")


def _refused(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status, {"Cache-Control": "no-store"})


def _unauthorized(request: HTTPConnection, *, reload: bool = False) -> Response:
    """The page that says where the link is."""
    headers = {"Cache-Control": "no-store", "WWW-Authenticate": 'Bearer realm="taxi_assets"'}
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse("\n".join(_HOW) + "\n", 401, headers)
    text = "".join(f"<p>{escape(line)}</p>" for line in _HOW)
    head = f'<meta charset="utf-8"><title>taxi_assets</title>{_RELOAD if reload else ""}'
    return HTMLResponse(f"<!doctype html><html><head>{head}</head><body>{text}</body></html>", 401, headers)
