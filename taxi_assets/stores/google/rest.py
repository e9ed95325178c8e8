"""Google's JSON APIs without Google's clients, for the quick look at what is loaded.

The clients take a second to import, that of BigQuery with pandas. Here are the same addresses, credentials, errors and
conditions of a retry. `requests` alone reaches an emulator; `google.auth` is imported for Google itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from taxi_assets.local.access import home_secret
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.errors import clear_errors, is_passing

STORAGE = "https://storage.googleapis.com"
BIGQUERY = "https://bigquery.googleapis.com"
REQUEST_SECONDS = 60
"""How long an answer may take."""


@dataclass(frozen=True)
class JsonApi:
    """One of the APIs.

    Attributes:
        url: Its address.
        project: The project.
        cloud: Where it is.
        session: The session, with the credentials.
    """

    url: str
    project: str
    cloud: GoogleCloud
    session: requests.Session

    def get(self, path: str, **parameters: Any) -> Any | None:
        """The JSON at a path; None: there is no such thing. Raises what Google's clients raise."""
        response = self._request("GET", path, params=parameters)
        return None if response is None else response.json()

    def content(self, path: str, **parameters: Any) -> bytes | None:
        """The bytes at a path; None: there is no such thing."""
        response = self._request("GET", path, params=parameters)
        return None if response is None else response.content

    def post(self, path: str, body: Mapping[str, Any]) -> Any | None:
        """The answer to a request that changes nothing; None: there is no such thing."""
        response = self._request("POST", path, json=body)
        return None if response is None else response.json()

    def _request(self, method: str, path: str, **options: Any) -> requests.Response | None:
        def request() -> requests.Response | None:
            response = self.session.request(method, f"{self.url}{path}", timeout=REQUEST_SECONDS, **options)
            if response.status_code == 404:
                return None
            if not response.ok:
                from google.api_core.exceptions import from_http_response

                raise from_http_response(response)  # type: ignore[no-untyped-call]
            return response

        retrying = Retrying(
            stop=stop_after_delay(self.cloud.retry_seconds),
            wait=wait_random_exponential(max=REQUEST_SECONDS),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        return retrying(request)


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
    with _session(cloud, credentials) as session:
        yield JsonApi(address() or google, str(project), cloud, session)


def _session(cloud: GoogleCloud, credentials: Any) -> requests.Session:
    if cloud.kind == "google":
        from google.auth.transport.requests import AuthorizedSession

        session: requests.Session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        return session
    session = requests.Session()
    session.trust_env = False  # past any proxy that the environment names
    if cloud.secret_home:
        session.auth = _with_secret(Path(cloud.secret_home))
    return session


def _with_secret(home: Path) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {home_secret(home)}"
        return request

    return sign
