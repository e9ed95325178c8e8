"""The broken files of pipelines and other components, for commands that go on without them."""

from __future__ import annotations

from taxi_assets.cli.screen import show_error
from taxi_assets.pipelines import read_files


def show_broken_files() -> int:
    """Prints what is wrong with each broken file; returns 1 if there is one."""
    broken = read_files().broken
    for error in broken.values():
        show_error(error)
    return 1 if broken else 0
