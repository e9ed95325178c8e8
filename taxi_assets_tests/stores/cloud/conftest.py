"""The emulators, and proxies in front of them, for the tests of lake and warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.cloud_storage import CLOUD_STORAGE
from taxi_assets.stores.google import GoogleCloud
from taxi_assets_tests.proxy import Proxy

_numbers = count()


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleCloud]:
    """The emulators of this test session: real servers, stopped at its end."""
    home = tmp_path_factory.mktemp("cloud")
    yield GoogleCloud(home=str(home))
    for server in (BIGQUERY, CLOUD_STORAGE):
        server.stop(home)


@pytest.fixture
def cloud(services: GoogleCloud) -> GoogleCloud:
    """These services with a bucket and a dataset that no other test uses."""
    number = next(_numbers)
    services.storage().create_bucket(f"lake-{number}")
    return GoogleCloud(home=services.home, bucket=f"lake-{number}", dataset=f"trips_{number}")


@pytest.fixture
def proxied(cloud: GoogleCloud) -> Iterator[tuple[GoogleCloud, Proxy, Proxy]]:
    """The same services behind a proxy each, of Cloud Storage and of BigQuery."""
    home = Path(cloud.home)
    with Proxy(CLOUD_STORAGE.ensure(home).url) as storage, Proxy(BIGQUERY.ensure(home).url) as bigquery:
        behind = cloud.model_dump(include={"home", "bucket", "project", "dataset"})
        yield (
            GoogleCloud(kind="emulator", storage_url=storage.url, bigquery_url=bigquery.url, **behind),
            storage,
            bigquery,
        )
