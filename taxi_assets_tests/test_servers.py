"""A test without the marker `servers` cannot start a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from taxi_assets.local import postgres
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.local.services import SERVICES
from taxi_assets.settings import Settings
from taxi_assets_tests.external_postgres import external_postgres
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import Taxi


@pytest.mark.parametrize(
    "start",
    [
        postgres.ensure,
        BIGQUERY.ensure,
        *(
            pytest.param(lambda home, service=service: service.start(Settings(taxi_home=home)), id=name)
            for name, service in SERVICES.items()
        ),
        lambda home: external_postgres(home).__enter__(),
        lambda home: Taxi(home, home)("up"),
    ],
)
def test_a_start_in_an_unmarked_test_fails(start: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="without the marker `servers`"):
        start(tmp_path)
    assert not list(tmp_path.rglob("*.pid"))


@pytest.fixture
@starts_server
def server() -> None:
    """Registered like a fixture that starts one."""


def test_a_test_that_uses_a_registered_fixture_is_marked(server: None, request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("servers")
