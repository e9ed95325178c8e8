"""Google's clients, from the resources of dagster-gcp. Importing them takes a second or more: see `GoogleCloud`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from dagster_gcp import BigQueryResource, GCSResource
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery, storage

_ADC = "GOOGLE_APPLICATION_CREDENTIALS"
_environment = Lock()


class EmulatedGCSResource(GCSResource):
    """Cloud Storage at the address of an emulator, without credentials."""

    url: str

    def get_client(self) -> storage.Client:
        """A client of the emulator."""
        return storage.Client(**_emulated(self.project, self.url))


class EmulatedBigQueryResource(BigQueryResource):
    """BigQuery at the address of an emulator, without credentials."""

    url: str

    @contextmanager
    def get_client(self) -> Iterator[bigquery.Client]:
        """A client of the emulator."""
        yield bigquery.Client(**_emulated(self.project, self.url), location=self.location)


def _emulated(project: str | None, url: str) -> dict[str, Any]:
    session: Any = AuthorizedSession(AnonymousCredentials())  # type: ignore[no-untyped-call]
    session.trust_env = False  # past any proxy that the environment names
    options = {"api_endpoint": url}
    return {"project": project, "credentials": session.credentials, "_http": session, "client_options": options}


def storage_client(project: str | None, url: str | None, key_file: str | None) -> storage.Client:
    """A client of Cloud Storage, or of the emulator at `url`; `key_file`: the application default credentials."""
    if url:
        return EmulatedGCSResource(project=project, url=url).get_client()
    with _application_default(key_file):
        return GCSResource(project=project).get_client()


def bigquery_client(
    project: str | None, url: str | None, key_file: str | None, location: str | None
) -> bigquery.Client:
    """A client of BigQuery, or of the emulator at `url`; `key_file`: the application default credentials."""
    if url:
        resource: BigQueryResource = EmulatedBigQueryResource(project=project, url=url, location=location)
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
