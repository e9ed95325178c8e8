"""A run of `taxi run` waits where as many runs are in progress as the instance allows."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import dagster as dg
import pytest

from taxi_assets.instance.limits import slot
from taxi_assets_tests.published import Waiting

LONGEST_SECONDS = 60


@pytest.fixture
def limit(waiting: Waiting) -> Iterator[int]:
    """The limit of runs; so many others are in progress until the test ends."""
    queue = waiting.instance.get_concurrency_config().run_queue_config
    assert queue
    runs = [
        waiting.instance.add_run(dg.DagsterRun(job_name="other", status=dg.DagsterRunStatus.STARTED))
        for _ in range(queue.max_concurrent_runs)
    ]
    yield queue.max_concurrent_runs
    for run in runs:
        waiting.instance.delete_run(run.run_id)


def test_it_waits_until_a_run_ends(waiting: Waiting, limit: int) -> None:
    told: list[str] = []
    waits, begun = threading.Event(), threading.Event()

    def notify(text: str) -> None:
        told.append(text)
        waits.set()

    def begin() -> None:
        with slot(waiting.instance, notify):
            begun.set()

    thread = threading.Thread(target=begin)
    thread.start()
    try:
        assert waits.wait(LONGEST_SECONDS)
        assert not begun.wait(3)
    finally:
        waiting.instance.report_run_canceled(waiting.instance.get_runs(limit=1)[0])
        thread.join(LONGEST_SECONDS)
    assert begun.is_set()
    assert len(told) == 1
    assert told[0].startswith(f"{limit} runs are in progress")
