"""What a run can be told, in the launchpad and on the command line; the month is the partition."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import dagster as dg
from pydantic import Field

from taxi_assets.errors import TaxiError
from taxi_assets.pipeline import TRIAL
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets.trips.table import TripTable


class Fetch(dg.Config):
    """How a month's file is fetched."""

    force: bool = Field(False, description="Fetch the file even though its newest version is on this machine.")
    source: str | None = Field(
        None,
        description="Where this run's file comes from: `tlc`, `mirror`, `sample` (made-up trips, for embedded stores "
        "only), or an http, https or file address without credentials. Without it: TAXI_SOURCE_URL.",
    )


class Clean(dg.Config):
    """How a month is cleaned."""

    limit: int | None = Field(
        None,
        ge=1,
        description=f"For a trial: only the first so many rows of the file. They go to the schema `{TRIAL}` of "
        "PostgreSQL (or to POSTGRES_SCHEMA, where that is set), never in the place of a full month; not to the lake.",
    )


def run_source(service: str, told: Mapping[str, Any]) -> str | None:
    """The source that a run names in the place of TAXI_SOURCE_URL, by its configuration."""
    source = told.get("ops", {}).get(f"{service}__raw_taxi", {}).get("config", {}).get("source")
    return str(source) if source else None


def destination(configured: str, override: str | None, rows: TripTable) -> str:
    """The schema to which a month's rows go.

    Args:
        configured: What the pipeline's YAML says.
        override: What the setting says, where it is set; for trials.
        rows: The cleaned rows; those of a trial say so in their note.
    """
    return override or (TRIAL if rows.note.get("limit") else configured)


def refuse_trial(rows: TripTable, store: str) -> None:
    """Keeps the rows of a trial out of a store that has no place for them.

    Raises:
        TaxiError: The rows are those of a trial.
    """
    if limit := rows.note.get("limit"):
        raise TaxiError(
            f"A trial of {limit:,} rows does not go to {store}.",
            expected="a whole month",
            intact="every month that was loaded before",
            next_step="clean the month without a limit; or run the trial with: taxi run … --limit … --only postgres",
        )


def configuration(rows: TripTable, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the log of loads keeps of how a load was told to run.

    Args:
        rows: The cleaned rows.
        told: The run's configuration.
    """
    note = rows.note
    kept = {
        "made_up": note.get("source", {}).get("sample"),
        "limit": note.get("limit"),
        "ops": {name: op["config"] for name, op in told.get("ops", {}).items() if op.get("config")},
    }
    return {"code": revision(), **{name: value for name, value in kept.items() if value}}


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
