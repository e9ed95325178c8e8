"""Google's clients, from the resources of dagster-gcp. Importing them takes a second or more: see `GoogleCloud`."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from dagster_gcp import BigQueryResource, GCSResource
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery, storage

from taxi_assets.local.access import home_secret

_ADC = "GOOGLE_APPLICATION_CREDENTIALS"
_environment = Lock()


class HomeCredentials(AnonymousCredentials):
    """The secret of a home, which the embedded emulators ask for."""

    def __init__(self, home: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._home = home
        self._secret = home_secret(home)

    def before_request(self, request: Any, method: str, url: str, headers: MutableMapping[str, str]) -> None:
        """Adds the secret to a request."""
        headers["Authorization"] = f"Bearer {self._secret}"

    def refresh(self, request: Any) -> None:
        """Reads the secret again, after a server has refused it."""
        self._secret = home_secret(self._home)


class EmulatedGCSResource(GCSResource):
    """Cloud Storage at the address of an emulator: without credentials, or with the secret of its home."""

    url: str
    home: str | None = None

    def get_client(self) -> storage.Client:
        """A client of the emulator."""
        return storage.Client(**_emulated(self.project, self.url, self.home))


class EmulatedBigQueryResource(BigQueryResource):
    """BigQuery at the address of an emulator: without credentials, or with the secret of its home."""

    url: str
    home: str | None = None

    @contextmanager
    def get_client(self) -> Iterator[bigquery.Client]:
        """A client of the emulator."""
        yield bigquery.Client(**_emulated(self.project, self.url, self.home), location=self.location)


def _emulated(project: str | None, url: str, home: str | None) -> dict[str, Any]:
    credentials: Any = HomeCredentials(Path(home)) if home else AnonymousCredentials()  # type: ignore[no-untyped-call]
    session: Any = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    session.trust_env = False  # past any proxy that the environment names
    options = {"api_endpoint": url}
    return {"project": project, "credentials": session.credentials, "_http": session, "client_options": options}


def storage_client(
    project: str | None, url: str | None, key_file: str | None, home: str | None = None
) -> storage.Client:
    """A client of Cloud Storage, or of the emulator at `url`.

    Args:
        project: The project.
        url: The address of an emulator; None: Google.
        key_file: The application default credentials.
        home: The folder of all local state, where the emulator is the embedded one.
    """
    if url:
        return EmulatedGCSResource(project=project, url=url, home=home).get_client()
    with _application_default(key_file):
        return GCSResource(project=project).get_client()


def bigquery_client(
    project: str | None, url: str | None, key_file: str | None, location: str | None, home: str | None = None
) -> bigquery.Client:
    """A client of BigQuery, or of the emulator at `url`; see `storage_client`."""
    if url:
        resource: BigQueryResource = EmulatedBigQueryResource(project=project, url=url, location=location, home=home)
    else:
        resource = BigQueryResource(project=project, location=location)
    with _application_default(key_file), resource.get_client() as client:
        return client


@contextmanager
def _application_default(key_file: str | None) -> Iterator[None]:
    """Names the key file to Google's libraries while a client is made; other variables of the process stay."""
    if key_file is None:
        yield
        return
    with _environment:
        before = os.environ.get(_ADC)
        os.environ[_ADC] = key_file
        try:
            yield
        finally:
            if before is None:
                del os.environ[_ADC]
            else:
                os.environ[_ADC] = before
