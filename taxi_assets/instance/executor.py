"""The executor of every job: all steps in one process, and the run's environment in its configuration.

The configuration of the executor is the one part of a run's configuration that every job has.
"""

from __future__ import annotations

import sys
from typing import Any

import dagster as dg

from taxi_assets.environment import Environment

# The threads of a step hand over rows: with Python's 5 ms each waits longer for the interpreter, a run 2 % in all.
sys.setswitchinterval(0.0005)


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


EXECUTOR = dg.in_process_executor.configured(
    lambda config: {name: value for name, value in config.items() if name == "retries"},
    name="in_process",
    config_schema={
        "environment": dg.Field(
            _schema(),
            is_required=False,
            description="What the run reads and writes. Whoever creates the run adds it from the settings.",
        ),
        "retries": dg.Field(dict, is_required=False, description="Retries of steps, as Dagster has them."),
    },
)
"""Dagster's in-process executor, whose configuration has the environment."""
