"""Which code this is: the package's version and, in a checkout, its commit."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from taxi_assets.settings import PROJECT_ROOT


@cache
def revision() -> str:
    """`0.1.0 ab12cd3`; `-dirty`: files were changed since that commit. Without a checkout the version alone."""
    try:
        package = version("taxi-assets")
    except PackageNotFoundError:
        package = "unknown"
    if not (PROJECT_ROOT / ".git").exists():
        return package
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return package
    return f"{package} {commit}"
