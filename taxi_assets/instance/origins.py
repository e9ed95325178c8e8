"""A job of the project, as Dagster names it in a run: for processes that create runs themselves."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from taxi_assets.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from dagster._core.origin import JobPythonOrigin
    from dagster._core.remote_origin import RemoteJobOrigin

MODULE = "taxi_assets.definitions"
ATTRIBUTE = "defs"


def job_origins(job_name: str) -> tuple[JobPythonOrigin, RemoteJobOrigin]:
    """The job as a process of this environment loads it, and as the workspace of webserver and daemon knows it."""
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
    from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    repository = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=ModuleCodePointer(MODULE, ATTRIBUTE, str(PROJECT_ROOT)),
        entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    )
    location = location_origins_from_yaml_paths([str(PROJECT_ROOT / "workspace.yaml")])[0]
    return (
        JobPythonOrigin(job_name, repository_origin=repository),
        RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name),
    )
