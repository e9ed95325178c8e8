"""One month in a process of its own: what a backfill on this machine starts for each."""

from __future__ import annotations

import sys

from taxi_assets.console.run import run_here
from taxi_assets.console.screen import show_error
from taxi_assets.errors import TaxiError
from taxi_assets.local.dagster_home import set_dagster_home
from taxi_assets.pipelines import pipeline_of
from taxi_assets.trips.months import parse_month


def main(service: str, month: str, *rest: str) -> int:
    """Runs it; returns the exit code."""
    set_dagster_home()
    stores = [word for word in rest if not word.startswith("--")]
    try:
        return 0 if run_here(pipeline_of(service), parse_month(month), stores, force="--force" in rest) else 1
    except TaxiError as error:
        show_error(error)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
