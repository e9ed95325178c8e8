"""The embedded services: which ones exist and which ones the settings need."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from taxi_assets.errors import TaxiError
from taxi_assets.local import postgres
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.local.sample_source import SAMPLE_SOURCE
from taxi_assets.local.service import LocalServer
from taxi_assets.settings import Settings


@dataclass(frozen=True)
class EmbeddedService:
    """An embedded service.

    Attributes:
        needed: Whether the settings name no other service in its place.
        start: Starts it where it does not run; returns its address.
        stop: Stops it; returns whether it ran.
        address: Its address; None: it does not run.
    """

    needed: Callable[[Settings], bool]
    start: Callable[[Settings], str]
    stop: Callable[[Path], bool]
    address: Callable[[Path], str | None]


def _server(server: LocalServer, needed: Callable[[Settings], bool]) -> EmbeddedService:
    def address(home: Path) -> str | None:
        running = server.running(home)
        return running.url if running else None

    return EmbeddedService(needed, lambda settings: server.ensure(settings.taxi_home).url, server.stop, address)


def _start_postgres(settings: Settings) -> str:
    return f"socket in {postgres.ensure(settings.taxi_home, settings.postgres_user, settings.postgres_dbname).folder}"


def _postgres_address(home: Path) -> str | None:
    server = postgres.running(home)
    return f"socket in {server.folder}" if server else None


def _no_cloud(settings: Settings) -> bool:
    return not (settings.gcs_bucket or settings.storage_emulator_host or settings.bigquery_emulator_host)


SERVICES = {
    "PostgreSQL": EmbeddedService(lambda s: s.postgres_host is None, _start_postgres, postgres.stop, _postgres_address),
    "sample source": _server(SAMPLE_SOURCE, lambda s: s.taxi_source_url is None),
    "Cloud Storage emulator": _server(CLOUD_STORAGE, _no_cloud),
    "BigQuery emulator": _server(BIGQUERY, _no_cloud),
}


_OF_STORES = {"lake": "Cloud Storage emulator", "bigquery": "BigQuery emulator"}


def begin_starting(settings: Settings, stores: Collection[str], source: str | None = None) -> None:
    """Starts the services that a load into these stores needs, side by side, and does not wait for them.

    Whoever needs one waits for it, or starts it anew: the error of a start that fails is raised there.

    Args:
        settings: The settings.
        stores: The stores.
        source: The source that the load names instead of TAXI_SOURCE_URL.
    """
    names = {"PostgreSQL", *(_OF_STORES[store] for store in stores if store in _OF_STORES)}
    if source is None:
        names.add("sample source")
    for name, service in needed(settings).items():
        if name in names and service.address(settings.taxi_home) is None:
            Thread(target=_start, args=(service, settings), name=f"start {name}", daemon=True).start()


def _start(service: EmbeddedService, settings: Settings) -> None:
    with suppress(TaxiError, OSError):
        service.start(settings)


def needed(settings: Settings) -> dict[str, EmbeddedService]:
    """The services that the settings need."""
    return {name: service for name, service in SERVICES.items() if service.needed(settings)}
