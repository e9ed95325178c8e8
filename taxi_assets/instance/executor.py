"""The executor of every job: all steps in one process, and the run's environment in its configuration.

The configuration of the executor is the one part of a run's configuration that every job has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import dagster as dg

from taxi_assets.environment import Environment
from taxi_assets.instance.dagster_private import raise_interrupts_as, sleep_between_claims
from taxi_assets.instance.processes import is_of_this_command

if TYPE_CHECKING:
    from taxi_assets.instance.dagster_private import (
        ExecutionPlan,
        PlanOrchestrationContext,
        RetryMode,
        StepDependencyConfig,
    )

# The threads of a step hand over rows: with Python's 5 ms each waits longer for the interpreter, a run 2 % in all.
sys.setswitchinterval(0.0005)
sleep_between_claims()

_ENDS_OF_STEPS = (
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
)


def _schema() -> dict[str, Any]:
    """The fields of an environment; what is left out, the settings of whoever creates the run say."""
    parts = {}
    for part, described in Environment.model_fields.items():
        model: Any = described.annotation
        parts[part] = dg.Field(
            {
                field.alias or name: dg.Field(
                    dg.Noneable(int if name == "synthetic_rows" else str),
                    is_required=False,
                    description=field.description,
                )
                for name, field in model.model_fields.items()
            },
            is_required=False,
            description=model.__doc__,
        )
    return parts


class InterruptibleExecutor(dg.Executor):
    """Executes steps as another executor does, and ends at once when it is interrupted.

    A run of `taxi run` that is interrupted is canceled. Another one fails, as Dagster has it, and is started again: its
    process was ended from outside.
    """

    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> RetryMode:
        """The retries of the other executor."""
        return self._executor.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """The dependencies of the other executor."""
        return self._executor.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Executes the steps.

        Raises:
            DagsterExecutionInterruptedError: The process was interrupted.
        """
        with ExitStack() as wait:
            try:
                for event in self._executor.execute(plan_context, execution_plan):
                    wait.close()
                    yield event
                    if _may_begin_wait(event):
                        wait.enter_context(raise_interrupts_as(dg.DagsterExecutionInterruptedError))
            except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
                run, instance = plan_context.dagster_run, plan_context.instance
                if is_of_this_command(run):
                    instance.report_run_canceling(run, message="A person interrupted `taxi run`.")
                raise


def _may_begin_wait(event: dg.DagsterEvent) -> bool:
    """Whether no step is in progress now: another one waits, for its next attempt or for a slot in its pool, or begins.

    Dagster notes an interrupt between two steps, and looks at the note when the next step begins.
    """
    blocked = event.event_type == dg.DagsterEventType.ENGINE_EVENT and "pool" in event.engine_event_data.metadata
    return blocked or event.event_type in _ENDS_OF_STEPS


@dg.executor(
    name="in_process",
    config_schema={
        "environment": dg.Field(
            _schema(),
            is_required=False,
            description="What the run reads and writes. Whoever creates the run adds it from the settings.",
        ),
        "retries": dg.Field(
            dg.Selector({"enabled": {}, "disabled": {}}),  # type: ignore[no-untyped-call]
            default_value={"enabled": {}},
            description="Retries of steps, as Dagster has them.",
        ),
    },
)
def EXECUTOR(context: dg.InitExecutorContext) -> InterruptibleExecutor:
    """Dagster's in-process executor, whose configuration has the environment."""
    create = dg.in_process_executor.executor_creation_fn
    assert create  # noqa: S101
    config = {"retries": context.executor_config["retries"]}
    return InterruptibleExecutor(create(context._replace(executor_config=config)))
