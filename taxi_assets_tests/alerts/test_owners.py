"""The alerts as the project's definitions hold them."""

from __future__ import annotations

import dagster as dg
import pytest

from taxi_assets.alerts.sensor import owners_of
from taxi_assets.pipeline import LATENESS_CHECK


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    from taxi_assets.definitions import defs

    return defs().get_repository_def()


def test_the_sensor_runs_from_the_first_start_on(repository: dg.RepositoryDefinition) -> None:
    assert repository.get_sensor_def("alerts").default_status == dg.DefaultSensorStatus.RUNNING


@pytest.mark.parametrize("service", ["yellow", "green"])
def test_each_pipeline_has_the_check_that_tells_of_late_months_and_an_owner(
    repository: dg.RepositoryDefinition, service: str
) -> None:
    checks = repository.asset_graph.asset_check_keys
    (late,) = (key for key in checks if key.name == LATENESS_CHECK and key.asset_key.path[0] == service)
    assert owners_of(repository, [late.asset_key]) == ("team:data-platform",)
    assert owners_of(repository, [dg.AssetKey(["gone"])]) == ()
