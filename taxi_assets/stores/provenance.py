"""Which run loads a month: what the load log keeps of it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from taxi_assets.settings import PROJECT_ROOT

if TYPE_CHECKING:
    import dagster as dg

_STARTERS = {
    "taxi/started_by": "{}",
    "dagster/backfill": "backfill {}",
    "dagster/schedule_name": "schedule {}",
    "dagster/sensor_name": "sensor {}",
    "user": "{} in the UI",
}


@dataclass(frozen=True)
class Provenance:
    """The run that loads a month.

    Attributes:
        run_id: Id of Dagster's run.
        started_by: Who or what started it.
        run_config: Its configuration.
    """

    run_id: str | None = None
    started_by: str | None = None
    run_config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, context: dg.OutputContext) -> Provenance:
        """The run of an IO manager's context."""
        run = context.step_context.dagster_run
        return cls(run.run_id, started_by(run.tags), run.run_config)

    @property
    def configuration(self) -> dict[str, Any]:
        """The version of the code and the configuration of the run's ops."""
        ops = {name: op["config"] for name, op in self.run_config.get("ops", {}).items() if op.get("config")}
        return {"code": revision(), **({"ops": ops} if ops else {})}


NO_RUN = Provenance()
"""A load that no run of Dagster makes."""


def started_by(tags: Mapping[str, str]) -> str:
    """Who or what started a run, by its tags."""
    for tag, text in _STARTERS.items():
        if tag in tags:
            retry = f", retry {tags['dagster/retry_number']}" if "dagster/retry_number" in tags else ""
            return text.format(tags[tag]) + retry
    return "a person in the UI"


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
