"""The folder of Dagster's own files, below `TAXI_HOME`."""

from __future__ import annotations

import os
from pathlib import Path

from taxi_assets.files import open_home, private_folder, private_process, write_private
from taxi_assets.settings import PROJECT_ROOT, settings


def dagster_folder() -> Path:
    """Makes the folder `{TAXI_HOME}/dagster`, if it is missing. What this process writes is for its user alone."""
    private_process()
    return private_folder(open_home(settings().taxi_home) / "dagster")


def dagster_home() -> Path:
    """Copies the project's `dagster.yaml` to `{TAXI_HOME}/dagster`, which `DAGSTER_HOME` can name then."""
    folder = dagster_folder()
    source, copy = PROJECT_ROOT / "dagster.yaml", folder / "dagster.yaml"
    if not copy.exists() or copy.read_bytes() != source.read_bytes():
        write_private(copy, source.read_text())
    return folder


def set_dagster_home() -> None:
    """Sets `DAGSTER_HOME` for this process and its children, unless it is set."""
    if not os.environ.get("DAGSTER_HOME"):
        os.environ["DAGSTER_HOME"] = str(dagster_home())
