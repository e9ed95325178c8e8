"""What becomes of runs, in a line each, for the terminal of `taxi dev`.

The web server reads it from Dagster's records and writes it into a pipe; `taxi dev` prints it. So the terminal has the
runs of other commands, too, and `taxi dev` itself loads no Dagster.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

LOOK_SECONDS = 2.0
_MOST_ASSETS = 3


@dataclass(frozen=True)
class RunNews:
    """A run began or ended.

    Attributes:
        at: When its record changed, in seconds since 1970.
        run_id: The run.
        what: Its job, or its assets, and its months.
        status: `started`, `succeeded`, `not published`, `failed` or `canceled`.
        reason: Why it failed.
    """

    at: float
    run_id: str
    what: str
    status: str
    reason: str = ""


def read_news(instance: dg.DagsterInstance, since: float) -> Iterator[RunNews]:
    """The runs whose record changed after that time, oldest change first."""
    import dagster as dg

    from taxi_assets.instance.history import NOT_PUBLISHED_TAG

    statuses = {
        dg.DagsterRunStatus.STARTED: "started",
        dg.DagsterRunStatus.SUCCESS: "succeeded",
        dg.DagsterRunStatus.FAILURE: "failed",
        dg.DagsterRunStatus.CANCELED: "canceled",
    }
    changed = dg.RunsFilter(updated_after=datetime.fromtimestamp(since, UTC), statuses=list(statuses))
    for record in instance.get_run_records(changed, order_by="update_timestamp", ascending=True):
        run, status = record.dagster_run, statuses[record.dagster_run.status]
        if status == "succeeded" and run.tags.get(NOT_PUBLISHED_TAG) == "true":
            status = "not published"
        reason = _reason(instance, run) if status == "failed" else ""
        yield RunNews(record.update_timestamp.timestamp(), run.run_id, _what(run), status, reason)


def _what(run: dg.DagsterRun) -> str:
    from taxi_assets.alerts.runs import months_of

    name = run.job_name
    if name.startswith("__"):  # The UI materialized assets without a job of the project.
        assets = sorted(key.to_user_string() for key in run.asset_selection or ())
        more = f" and {len(assets) - _MOST_ASSETS} more" if len(assets) > _MOST_ASSETS else ""
        name = ", ".join(assets[:_MOST_ASSETS]) + more or name
    return " ".join([name, *months_of(run)])


def _reason(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    from taxi_assets.alerts.runs import EndedRun

    again = " It is tried again." if run.tags.get("dagster/will_retry") == "true" else ""
    return f"{EndedRun.read(instance, run).failure.summary}{again}"


def write_news(instance: dg.DagsterInstance, since: float, pipe: int) -> None:
    """Looks every two seconds and writes what is new into the pipe, as lines of JSON, until nobody reads it."""
    while True:
        try:
            for news in read_news(instance, since):
                os.write(pipe, f"{json.dumps(asdict(news))}\n".encode())
                since = news.at
        except BrokenPipeError:
            return
        except Exception:
            # The database is lost for a moment; the web server goes on, too.
            logging.getLogger("dagster").exception("The news of runs cannot be read.")
        time.sleep(LOOK_SECONDS)
