"""A copy of the project, in which a test may change the YAML files."""

from __future__ import annotations

from pathlib import Path
from shutil import copy, copytree, ignore_patterns

from taxi_assets.settings import PROJECT_ROOT
from taxi_assets_tests.taxi_command import Taxi

_FILES = ("pyproject.toml", "dagster.yaml", "workspace.yaml")


def copy_project(folder: Path) -> Path:
    """Copies the package and the files beside it; returns the copy's folder of pipelines."""
    package = copytree(PROJECT_ROOT / "taxi_assets", folder / "taxi_assets", ignore=ignore_patterns("__pycache__"))
    for name in _FILES:
        copy(PROJECT_ROOT / name, folder / name)
    return package / "defs"


def of_copy(taxi: Taxi, defs: Path) -> Taxi:
    """`taxi` of the copy that has this folder of pipelines."""
    return taxi.having(PYTHONPATH=str(defs.parent.parent))
