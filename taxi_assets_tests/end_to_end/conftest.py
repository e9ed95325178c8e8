"""The platform of a test session: one home with one embedded PostgreSQL, and `taxi` called from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import Taxi


@pytest.fixture(scope="session")
@starts_server
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    """`taxi` in a folder that is no checkout, with its server; the server is stopped at the end."""
    found = Taxi(tmp_path_factory.mktemp("platform") / "home", tmp_path_factory.mktemp("elsewhere"))
    found.having(TAXI_SOURCE_URL="file:///tmp").well("up")
    yield found
    found.well("down")


@pytest.fixture(scope="module")
@starts_server
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    """`taxi` on the real trip records with a home of its own, for tests of which others would see the traces."""
    found = Taxi(tmp_path_factory.mktemp("apart") / "home", tmp_path_factory.mktemp("elsewhere"))
    found = found.having(TAXI_SOURCE_URL=EXCERPTS.url)
    yield found
    found.well("down")


@pytest.fixture(scope="session")
def taxi(platform: Taxi) -> Taxi:
    """`taxi` on the real trip records."""
    return platform.having(TAXI_SOURCE_URL=EXCERPTS.url)


@pytest.fixture(scope="session")
@starts_server
def cloud_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    """`taxi` with a home of its own, whose lake and BigQuery no other test fills."""
    found = Taxi(tmp_path_factory.mktemp("cloud-platform") / "home", tmp_path_factory.mktemp("elsewhere"))
    found.having(TAXI_SOURCE_URL="file:///tmp").well("up")
    yield found
    found.well("down")
