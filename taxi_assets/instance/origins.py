"""The project's jobs as a run names them, for the processes that create runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taxi_assets.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from taxi_assets.instance.dagster_private import ReconstructableJob, RemoteJobOrigin

LOCATION = "taxi_assets"
"""The name of the code location: in workspace.yaml, deploy/workspace.yaml and pyproject.toml."""


def reconstructable_job(name: str) -> ReconstructableJob:
    """The job as any process of this environment loads it."""
    from taxi_assets.instance.dagster_private import ReconstructableRepository

    repository = ReconstructableRepository.for_module("taxi_assets.definitions", "defs", str(PROJECT_ROOT))
    return repository.get_reconstructable_job(name)


def remote_origin(job_name: str) -> RemoteJobOrigin:
    """The job as webserver and daemon find it, wherever they load it from: by the name of the location."""
    from taxi_assets.instance.dagster_private import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

    return RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "__repository__").get_job_origin(job_name)
