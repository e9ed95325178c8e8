"""All local services under one roof: which there are, which these settings call for, start, stop, where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taxi_assets.local import postgres
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.local.sample_source import SAMPLE_SOURCE
from taxi_assets.local.service import LocalServer
from taxi_assets.settings import Settings


@dataclass(frozen=True)
class Service:
    """A local service.

    Attributes:
        needed: Whether these settings leave its place to the embedded one.
        start: Starts it where it does not run; returns where it is.
        stop: Ends it; whether it ran.
        where: Where it runs; None: it does not.
    """

    needed: Callable[[Settings], bool]
    start: Callable[[Settings], str]
    stop: Callable[[Path], bool]
    where: Callable[[Path], str | None]


def _server(server: LocalServer, needed: Callable[[Settings], bool]) -> Service:
    def where(home: Path) -> str | None:
        found = server.running(home)
        return found.url if found else None

    return Service(needed, lambda settings: server.ensure(settings.taxi_home).url, server.stop, where)


def _start_postgres(settings: Settings) -> str:
    return f"socket in {postgres.ensure(settings.taxi_home, settings.postgres_user, settings.postgres_dbname).folder}"


def _where_postgres(home: Path) -> str | None:
    found = postgres.running(home)
    return f"socket in {found.folder}" if found else None


def _no_cloud(settings: Settings) -> bool:
    return not (settings.gcs_bucket or settings.storage_emulator_host or settings.bigquery_emulator_host)


SERVICES = {
    "PostgreSQL": Service(lambda s: s.postgres_host is None, _start_postgres, postgres.stop, _where_postgres),
    "sample source": _server(SAMPLE_SOURCE, lambda s: s.taxi_source_url is None),
    "Cloud Storage emulator": _server(CLOUD_STORAGE, _no_cloud),
    "BigQuery emulator": _server(BIGQUERY, _no_cloud),
}


def needed(settings: Settings) -> dict[str, Service]:
    """The services that these settings call for."""
    return {name: service for name, service in SERVICES.items() if service.needed(settings)}
