"""Google's JSON APIs without Google's clients, for the quick look at what is loaded.

The clients take a second to import, that of BigQuery with pandas. Here are the same addresses, credentials, errors and
conditions of a retry. `google.auth` is imported for Google itself; an emulator needs the standard library alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from taxi_assets.local.access import home_secret
from taxi_assets.local.client import request
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.errors import clear_errors, is_passing

STORAGE = "https://storage.googleapis.com"
BIGQUERY = "https://bigquery.googleapis.com"
REQUEST_SECONDS = 60
"""How long an answer may take."""


Send = Callable[[str, str, bytes | None], tuple[int, bytes]]
"""Sends a request of a method to a URL with a body, with the credentials; returns the status and what is answered."""


@dataclass(frozen=True)
class JsonApi:
    """One of the APIs.

    Attributes:
        url: Its address.
        project: The project.
        cloud: Where it is.
        send: Sends a request.
    """

    url: str
    project: str
    cloud: GoogleCloud
    send: Send

    def get(self, path: str, **parameters: Any) -> Any | None:
        """The JSON at a path; None: there is no such thing. Raises what Google's clients raise."""
        content = self.content(path, **parameters)
        return None if content is None else json.loads(content)

    def content(self, path: str, **parameters: Any) -> bytes | None:
        """The bytes at a path; None: there is no such thing."""
        given = urlencode({name: value for name, value in parameters.items() if value is not None})
        return self._request("GET", f"{path}?{given}" if given else path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any | None:
        """The answer to a request that changes nothing; None: there is no such thing."""
        content = self._request("POST", path, json.dumps(body).encode())
        return None if content is None else json.loads(content)

    def _request(self, method: str, path: str, body: bytes | None) -> bytes | None:
        def ask() -> bytes | None:
            status, content = self.send(method, f"{self.url}{path}", body)
            if status == 404:
                return None
            if not 200 <= status < 300:
                raise _refused(status, content, method, f"{self.url}{path}")
            return content

        retrying = Retrying(
            stop=stop_after_delay(self.cloud.retry_seconds),
            wait=wait_random_exponential(max=REQUEST_SECONDS),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        return retrying(ask)


def _refused(status: int, content: bytes, method: str, url: str) -> Exception:
    """The error that Google's clients raise for an answer."""
    from google.api_core.exceptions import format_http_response_error

    try:
        payload = json.loads(content)
    except ValueError:
        payload = {"error": {"message": content.decode(errors="replace") or "unknown error"}}
    error: Exception = format_http_response_error(SimpleNamespace(status_code=status), method, url, payload)
    return error


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Exception) and is_passing(error)


@contextmanager
def storage_api(cloud: GoogleCloud, doing: str, intact: str = "the lake") -> Iterator[JsonApi]:
    """The API of Cloud Storage; errors in the block become clear ones: see `clear_errors`."""
    with clear_errors(doing, f"gs://{cloud.bucket}", intact), _api(cloud, cloud.storage_address, STORAGE) as api:
        yield api


@contextmanager
def bigquery_api(cloud: GoogleCloud, doing: str, where: str, intact: str = "every table") -> Iterator[JsonApi]:
    """The API of BigQuery; errors in the block become clear ones: see `clear_errors`."""
    with clear_errors(doing, where, intact), _api(cloud, cloud.bigquery_address, BIGQUERY) as api:
        yield api


@contextmanager
def _api(cloud: GoogleCloud, address: Callable[[], str | None], google: str) -> Iterator[JsonApi]:
    credentials, project = cloud.credentials()
    url = address() or google
    if cloud.kind != "google":
        yield JsonApi(url, str(project), cloud, partial(_send, cloud))
        return
    from google.auth.transport.requests import AuthorizedSession

    with AuthorizedSession(credentials) as session:  # type: ignore[no-untyped-call]

        def send(method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
            answer = session.request(  # type: ignore[no-untyped-call]
                method, url, data=body, headers=_headers(body), timeout=REQUEST_SECONDS
            )
            return answer.status_code, answer.content

        yield JsonApi(url, str(project), cloud, send)


def _send(cloud: GoogleCloud, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
    """Sends a request to an emulator."""
    headers = _headers(body)
    if cloud.secret_home:
        headers["Authorization"] = f"Bearer {home_secret(Path(cloud.secret_home))}"
    answer = request(method, url, headers=headers, body=body, timeout=REQUEST_SECONDS)
    return answer.status, answer.content


def _headers(body: bytes | None) -> dict[str, str]:
    return {} if body is None else {"Content-Type": "application/json"}
