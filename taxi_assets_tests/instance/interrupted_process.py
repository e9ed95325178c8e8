"""A run that waits for long, in a process of its own: `python -m … KIND FOLDER OWN`, ended by a signal.

KIND is `retry`, `pool`, `beside` or `step`. Prints `waiting` when the wait begins, and the run's status at its end.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from taxi_assets.instance.dagster_private import capture_interrupts, execute_run
from taxi_assets.instance.executor import EXECUTOR
from taxi_assets.instance.processes import PROCESS_TAG, describe_this_process

SECONDS = 60
POOL = "busy"
WAITS = ("STEP_UP_FOR_RETRY", "blocked by limit")
OUTPUT = os.fdopen(os.dup(sys.stdout.fileno()), "w")
"""The standard output, also while Dagster captures that."""


@dg.op
def retry() -> None:
    raise dg.RetryRequested(max_retries=1, seconds_to_wait=SECONDS)


@dg.op(pool=POOL)
def pool() -> None:
    pass


@dg.op
def other() -> int:
    return 1


@dg.op
def last(number: int) -> None:
    """A step that goes on while `pool` waits."""


@dg.op
def step() -> None:
    print("waiting", file=OUTPUT, flush=True)
    time.sleep(SECONDS)


@dg.job(executor_def=EXECUTOR)
def retry_job() -> None:
    retry()


@dg.job(executor_def=EXECUTOR)
def pool_job() -> None:
    pool()


@dg.job(executor_def=EXECUTOR)
def beside_job() -> None:
    pool()
    last(other())


@dg.job(executor_def=EXECUTOR)
def step_job() -> None:
    step()


def wait_for(instance: dg.DagsterInstance, run_id: str, words: Sequence[str]) -> None:
    def waits() -> bool:
        events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
        return any(word in f"{event.event_type_value} {event.message}" for event in events for word in words)

    while not waits():
        time.sleep(0.05)
    print("waiting", file=OUTPUT, flush=True)


def main(kind: str, folder: Path, own: bool) -> None:
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\nconcurrency: {pools: {granularity: op}}\n")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 0)
        job = dg.reconstructable({"retry": retry_job, "pool": pool_job, "beside": beside_job, "step": step_job}[kind])
        tags = {PROCESS_TAG: describe_this_process()} if own else {}
        with capture_interrupts():
            run = instance.create_run_for_job(job.get_definition(), tags=tags)
            if kind != "step":
                words = ('Finished execution of step "last"',) if kind == "beside" else WAITS
                threading.Thread(target=wait_for, args=[instance, run.run_id, words], daemon=True).start()
            execute_run(job, run, instance)
        ended = instance.get_run_by_id(run.run_id)
        print(ended.status.value if ended else "deleted", file=OUTPUT, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "own")
