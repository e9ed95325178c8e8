"""The options of `taxi run`, and the run configuration of Dagster that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taxi_assets.settings import settings
from taxi_assets.sources.addresses import redacted


@dataclass(frozen=True)
class RunOptions:
    """The options of a run.

    Attributes:
        force: Fetch and load months that are loaded already.
        source: The source of the files, instead of TAXI_SOURCE_URL.
        limit: For a trial: the number of rows of the file to clean.
    """

    force: bool = False
    source: str | None = None
    limit: int | None = None

    def config(self, service: str) -> dict[str, Any]:
        """The run configuration for a service.

        It names the source also if the shell sets it, so that a repetition of the run, by the daemon too, has the same.
        """
        fetch = {"force": self.force, "source": self.source or _shell_source()}
        ops: dict[str, dict[str, Any]] = {f"{service}__raw_taxi": fetch, f"{service}_clean": {"limit": self.limit}}
        configs = {op: {name: value for name, value in config.items() if value} for op, config in ops.items()}
        return {"ops": {op: {"config": config} for op, config in configs.items() if config}}


def _shell_source() -> str | None:
    url = settings().taxi_source_url
    return url if url and settings().origin("taxi_source_url") == "shell" and redacted(url) == url else None
