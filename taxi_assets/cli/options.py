"""The options of `taxi run`, and the run configuration of Dagster that they make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from taxi_assets.environment import Environment, with_environment
from taxi_assets.errors import UsageError


@dataclass(frozen=True)
class RunOptions:
    """The options of a run.

    Attributes:
        force: Fetch and load months that are loaded already.
        source: The source of the files, instead of TAXI_SOURCE_URL.
        limit: For a trial: the number of rows of the file to clean.
        environment: What the runs read and write, as `Environment` dumps it; None: not resolved yet.
    """

    force: bool = False
    source: str | None = None
    limit: int | None = None
    environment: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.source is not None and not self.source.strip():
            raise UsageError(
                "--source is empty.",
                expected="tlc, mirror, sample, or an address",
                next_step="name the source, or leave --source out: TAXI_SOURCE_URL is used then",
            )

    def resolved(self) -> RunOptions:
        """These options with the environment of this process, which its runs keep wherever they are executed."""
        return replace(self, environment=Environment.here(self.source).model_dump())

    def config(self, pipeline: str) -> dict[str, Any]:
        """The run configuration for a pipeline."""
        fetch = {"force": self.force, "replace_real": self.force, "source": self.source}
        ops: dict[str, dict[str, Any]] = {f"{pipeline}__raw_taxi": fetch, f"{pipeline}_clean": {"limit": self.limit}}
        configs = {op: {name: value for name, value in config.items() if value} for op, config in ops.items()}
        config = {"ops": {op: {"config": config} for op, config in configs.items() if config}}
        environment = self.environment or self.resolved().environment
        return with_environment(config, Environment.model_validate(environment))
