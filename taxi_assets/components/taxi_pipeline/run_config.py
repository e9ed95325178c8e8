"""The configuration of a run, for the launchpad and the command line; the month is the partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from taxi_assets.stores.locations import TRIAL


class Fetch(dg.Config):
    """How a month's file is fetched."""

    force: bool = Field(False, description="Fetch the file even though its newest version is on this machine.")
    source: str | None = Field(
        None,
        description="Where this run's file comes from: `tlc`, `mirror`, `sample` (synthetic trips, for embedded stores "
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


def run_source(service: str, run_config: Mapping[str, Any]) -> str | None:
    """The source that a run's configuration names; None: it is the one of TAXI_SOURCE_URL."""
    source = run_config.get("ops", {}).get(f"{service}__raw_taxi", {}).get("config", {}).get("source")
    return str(source) if source else None
