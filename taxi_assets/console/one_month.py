"""One month in a process of its own: what a backfill on this machine starts for each.

What it is told comes as JSON on the standard input, not on a command line that others can read. Why it failed is what
it prints to the standard output, in a line.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from taxi_assets.console.here import run_here
from taxi_assets.console.how import How
from taxi_assets.console.screen import show_error
from taxi_assets.errors import TaxiError
from taxi_assets.local.dagster_home import set_dagster_home
from taxi_assets.pipelines import pipeline_of
from taxi_assets.trips.months import parse_month


def main(told: dict[str, Any]) -> int:
    """Runs it; returns the exit code."""
    set_dagster_home()
    try:
        pipeline, month = pipeline_of(told["service"]), parse_month(told["month"])
        error = run_here(pipeline, month, told["stores"], How(**told["how"]), told["tags"])
    except TaxiError as found:
        show_error(found)
        error = found.summary
    except KeyboardInterrupt:
        error = "interrupted"
    if error:
        print(error.splitlines()[0])
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
