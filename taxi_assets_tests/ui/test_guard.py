"""The guard in front of a small application, behind a real web server: who gets in, and by which tricks nobody does."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from taxi_assets.local.service import free_port
from taxi_assets.ui.guard import Guard
from taxi_assets.ui.token import COOKIE_SECONDS, Token

VALUE = "k" * 43
SECRET = "the owner's assets"


@dataclass
class Site:
    """The guarded application; `asked` are the requests that reached it."""

    port: int
    token: Token
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str = "/", method: str = "GET", **headers: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return session.request(method, f"{self.url}{path}", headers=named, timeout=5, allow_redirects=False)

    def raw(self, text: str) -> str:
        """The answer to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(text.replace("\n", "\r\n").encode("latin-1"))
            connection.shutdown(socket.SHUT_WR)
            found = b""
            while chunk := connection.recv(65_536):
                found += chunk
        return found.decode("latin-1")

    def cookie(self) -> str:
        return f"{self.token.cookie_name}={self.token.cookie()}"

    def live(self, **headers: str) -> str:
        """The first message of a WebSocket."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        origin = named.pop("Origin", None)
        with connect(f"ws://127.0.0.1:{self.port}/graphql", origin=origin, additional_headers=named) as opened:  # type: ignore[arg-type]
            return str(opened.recv(timeout=5))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    found = Site(port := free_port(), Token(VALUE, port))

    async def page(request: Request) -> Response:
        found.asked.append(request.url.path)
        return PlainTextResponse(SECRET)

    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(SECRET)
        await websocket.close()

    methods = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]
    app = Starlette(routes=[WebSocketRoute("/graphql", live), Route("/{path:path}", page, methods=methods)])
    options = {"log_level": "warning", "proxy_headers": False, "server_header": False}
    server = uvicorn.Server(uvicorn.Config(Guard(app, found.token, ["Data.example.org ", ""]), port=port, **options))  # type: ignore[arg-type]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    yield found
    server.should_exit = True
    thread.join(10)


@pytest.fixture(autouse=True)
def nobody_else_got_in(site: Site) -> None:
    site.asked.clear()


PATHS = ["/", "/graphql", "//graphql", "/%2fgraphql", "/graphql%0a", "/../graphql", "/server_info", "/logs/a", "/x.js"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", PATHS)
def test_nobody_passes_without_the_token(site: Site, method: str, path: str) -> None:
    answer = site.get(path, method)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (401, "no-store")
    assert "taxi status" in answer.text or method == "HEAD"
    assert SECRET not in answer.text
    assert site.asked == []


def test_the_page_says_where_the_link_is(site: Site) -> None:
    answer = site.get("/runs/1234", Accept="text/html,*/*;q=0.8")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "`taxi status` shows it again" in answer.text
    assert "refresh" not in answer.text


def test_the_link_sets_a_cookie_and_leads_to_the_page_without_the_token(site: Site) -> None:
    answer = site.get(f"/assets/a%20b?view=x%26y&token={VALUE}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/assets/a%20b?view=x%26y")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"taxi_ui_{site.port}=")
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert VALUE not in cookie
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert site.asked == []
    page = site.get(Cookie=cookie.partition(";")[0])
    assert (page.status_code, page.text, page.headers["Referrer-Policy"]) == (200, SECRET, "no-referrer")


@pytest.mark.parametrize("path", ["//evil.example.org", "/\\evil.example.org", "/%5c%5cevil.example.org", "/%2f/evil"])
def test_the_link_leads_to_no_other_host(site: Site, path: str) -> None:
    answer = site.raw(f"GET {path}?token={VALUE} HTTP/1.1\nHost: 127.0.0.1:1\nConnection: close\n\n")
    (location,) = [line.split(": ")[1] for line in answer.split("\r\n") if line.startswith("location")]
    assert location in ("/evil.example.org", "/evil")


@pytest.mark.parametrize("given", ["", VALUE[:-1], VALUE + "k", VALUE.upper(), "%00", "é", "k%2a"])
def test_another_token_sets_no_cookie(site: Site, given: str) -> None:
    answer = site.get(f"/?token={given}")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert site.get(Authorization=f"Bearer {given}".encode().decode("latin-1")).status_code == 401


def test_a_program_sends_the_token_in_a_header(site: Site) -> None:
    for scheme in ("Bearer", "bearer"):
        assert site.get("/graphql", "POST", Authorization=f"{scheme} {VALUE}").text == SECRET
    for wrong in (f"Basic {VALUE}", VALUE, "Bearer", f"Bearer {site.token.cookie()}"):
        assert site.get("/graphql", "POST", Authorization=wrong).status_code == 401


def test_a_token_in_a_body_is_no_token(site: Site) -> None:
    answer = requests.post(f"{site.url}/", data={"token": VALUE}, timeout=5)
    assert answer.status_code == 401
    assert requests.post(f"{site.url}/?token={VALUE}", timeout=5).status_code == 401


def test_a_cookie_counts_on_its_port_until_it_expires(site: Site) -> None:
    name, value = site.token.cookie_name, site.token.cookie()
    assert site.get(Cookie=f"{name}={value}").status_code == 200
    assert site.get(Cookie=f'other=1; {name}={value}; x="').status_code == 200
    other = Token(VALUE, site.port + 1)
    elsewhere = Token("x" * 43, site.port)
    expires, _, signature = value.partition(".")
    for wrong in (
        other.cookie(),
        elsewhere.cookie(),
        f"{int(expires) + 1}.{signature}",
        f"{expires}.",
        f".{signature}",
        f"{expires}.{signature}0",
        VALUE,
        "",
    ):
        assert site.get(Cookie=f"{name}={wrong}").status_code == 401, wrong
    assert site.get(Cookie=f"{other.cookie_name}={other.cookie()}").status_code == 401
    assert time.time() + COOKIE_SECONDS - 60 < int(expires) <= time.time() + COOKIE_SECONDS
    over = str(int(time.time()) - 1)
    assert site.get(Cookie=f"{name}={over}.{site.token._signature(over)}").status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:3000", 200),
        ("LOCALHOST", 200),
        ("[::1]:3000", 200),
        ("data.example.org", 200),
        ("evil.example.org", 400),
        ("127.0.0.1.evil.example.org", 400),
        ("data.example.org.evil.org:80", 400),
        ("evil.example.org:127.0.0.1", 400),
        ("[::2]", 400),
        ("[", 400),
        ("", 400),
    ],
)
def test_the_host_is_one_of_the_allowed_names(site: Site, host: str, status: int) -> None:
    assert site.get(Host=host, Cookie=site.cookie()).status_code == status
    assert site.asked == (["/"] if status == 200 else [])


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.0\nCookie: {cookie}\n\n",
        "GET / HTTP/1.1\nHost: 127.0.0.1\nHost: evil.example.org\nConnection: close\nCookie: {cookie}\n\n",
        "GET http://127.0.0.1/ HTTP/1.1\nHost: evil.example.org\nConnection: close\nCookie: {cookie}\n\n",
        "GET http://evil.example.org/ HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n",
        "GET / HTTP/1.1\nHost: 127.0.0.1\nX-Forwarded-For: ::1\nX-Forwarded-Host: localhost\nConnection: close\n\n",
        "GET / HTTP/1.1\nHost: 127.0.0.1\nX-Original-URL: /\nConnection: close\nCookie: {name}="
        + "a" * 70_000
        + "\n\n",
        "POST / HTTP/1.1\nHost: 127.0.0.1\nTransfer-Encoding: chunked\nContent-Length: 4\nConnection: close\n\n0\n\n",
    ],
)
def test_odd_requests_do_not_pass(site: Site, head: str) -> None:
    answer = site.raw(head.replace("{cookie}", site.cookie()).replace("{name}", site.token.cookie_name))
    assert answer.split(" ")[1] in ("400", "401", "431"), answer[:300]
    assert SECRET not in answer
    assert site.asked == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ],
)
def test_another_sites_page_cannot_use_the_cookie(site: Site, method: str, sent: dict[str, str]) -> None:
    sent = {name: value.replace("{port}", str(site.port)) for name, value in sent.items()}
    assert site.get("/x", method, Cookie=site.cookie(), **sent).status_code in (401, 403)
    assert site.asked == []


def test_the_own_page_may(site: Site) -> None:
    own = {"Origin": site.url, "Sec_Fetch_Site": "same-origin", "Cookie": site.cookie()}
    assert site.get("/graphql", "POST", **own).status_code == 200
    assert site.live(Origin=site.url, Cookie=site.cookie()) == SECRET
    assert site.live(Authorization=f"Bearer {VALUE}") == SECRET


def test_a_link_on_another_page_reloads_once_to_have_the_cookie(site: Site) -> None:
    headers = {"Accept": "text/html", "Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    answer = site.get("/runs/1234", **headers)
    assert (answer.status_code, 'http-equiv="refresh"' in answer.text) == (401, True)
    answer = site.get("/runs/1234", **{**headers, "Sec_Fetch_Site": "same-origin"})
    assert (answer.status_code, "refresh" in answer.text) == (401, False)


def test_a_mutation_in_an_address_is_not_executed_for_a_cookie(site: Site) -> None:
    for path in ("/graphql?query=mutation", "/graphql%0a?query=mutation"):
        assert site.get(path, Cookie=site.cookie()).status_code == 405
    assert site.asked == []
    assert site.get("/graphql", Cookie=site.cookie(), Accept="text/html").status_code == 200


@pytest.mark.parametrize("who", ["nobody", "another site", "another port", "rebound"])
def test_a_websocket_needs_the_cookie_and_the_own_origin(site: Site, who: str) -> None:
    cookie = site.cookie()
    sent = {
        "nobody": {"Origin": site.url},
        "another site": {"Origin": "https://evil.example.org", "Cookie": cookie},
        "another port": {"Origin": "http://127.0.0.1:1", "Cookie": cookie},
        "rebound": {"Origin": "http://evil.example.org", "Host": "evil.example.org", "Cookie": cookie},
    }
    with pytest.raises(InvalidStatus) as refused:
        site.live(**sent[who])
    assert refused.value.response.status_code in (400, 401, 403)
