"""The limit of concurrent runs in `dagster.yaml` for runs of `taxi run`, which no run coordinator starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from taxi_assets.instance.launcher import IN_PROGRESS, fail_dead_runs
from taxi_assets.settings import settings
from taxi_assets.stores.postgres.connection import connect, lock, postgres_address

_POLL_SECONDS = 1.0


@contextmanager
def slot(instance: dg.DagsterInstance, notify: Callable[[str], None]) -> Iterator[None]:
    """Waits until the limit allows a further run. The caller creates it inside, as one in progress.

    Args:
        instance: Holds the limit and the runs.
        notify: Called once with a sentence if there is a wait.

    Raises:
        TaxiError: The database cannot be reached.
    """
    queue = instance.get_concurrency_config().run_queue_config
    limit = queue.max_concurrent_runs if queue else 0
    fail_dead_runs(instance)
    notified = False
    while True:
        # Of processes that begin a run at the same time, one at a time counts.
        with connect(postgres_address(settings()), "taxi run") as connection, connection.transaction():
            lock(connection, "runs")
            if limit < 1 or instance.get_runs_count(dg.RunsFilter(statuses=IN_PROGRESS)) < limit:
                yield
                return
        if not notified:
            notify(f"{limit} runs are in progress, the limit in dagster.yaml: waiting until one ends. Ctrl-C leaves.")
            notified = True
        time.sleep(_POLL_SECONDS)
        fail_dead_runs(instance)
