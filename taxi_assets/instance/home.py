"""Where Dagster keeps its own files: below `TAXI_HOME`, wherever `taxi` is called from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from taxi_assets.files import private_folder
from taxi_assets.settings import PROJECT_ROOT, settings


def dagster_folder() -> Path:
    """`{TAXI_HOME}/dagster`, made where it is missing."""
    return private_folder(private_folder(settings().taxi_home) / "dagster")


def dagster_home() -> Path:
    """A folder that `DAGSTER_HOME` can name: `{TAXI_HOME}/dagster` with the project's `dagster.yaml` as it is now."""
    folder = dagster_folder()
    ours, theirs = PROJECT_ROOT / "dagster.yaml", folder / "dagster.yaml"
    if not theirs.exists() or theirs.read_bytes() != ours.read_bytes():
        shutil.copyfile(ours, theirs)
    return folder


def set_dagster_home() -> None:
    """Sets `DAGSTER_HOME` for this process and its children, unless somebody did."""
    if not os.environ.get("DAGSTER_HOME"):
        os.environ["DAGSTER_HOME"] = str(dagster_home())
