"""Dagster as the platform runs it, with records of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from taxi_assets.local import dagster_home, dagster_storage
from taxi_assets.settings import Settings, settings
from taxi_assets.stores.postgres_address import PostgresAddress
from taxi_assets_tests.automation.published import Waiting
from taxi_assets_tests.faulty_server import FaultyServer


@pytest.fixture(scope="module")
def empty_instance(postgres: PostgresAddress, home: Path) -> Iterator[dg.DagsterInstance]:
    """The project's `dagster.yaml`, in a database for itself."""
    found = Settings(taxi_home=home, postgres_dbname="automation")
    with pytest.MonkeyPatch.context() as patch:
        for module in (dagster_storage, dagster_home):
            patch.setattr(module, "settings", lambda: found)
        with dg.DagsterInstance.from_config(str(dagster_home.dagster_home())) as instance:
            yield instance


@pytest.fixture
def instance(empty_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """The same for each test, without what the test before left."""
    empty_instance.wipe()
    empty_instance.daemon_cursor_storage.set_cursor_values({"taxi_assets/alerts": ""})
    return empty_instance


@pytest.fixture
def waiting(
    instance: dg.DagsterInstance, postgres: PostgresAddress, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Waiting]:
    """The platform with a source that publishes nothing yet, loading into a schema of its own."""
    with FaultyServer() as server:
        schema = f"automation_{server.url.rpartition(':')[2]}"
        told = {"TAXI_HOME": str(home), "TAXI_SOURCE_URL": server.url, "TAXI_SOURCE_ATTEMPTS": "1"}
        for name, value in {**told, "POSTGRES_SCHEMA": schema}.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        yield Waiting(server, instance, postgres, schema)
    settings.cache_clear()
