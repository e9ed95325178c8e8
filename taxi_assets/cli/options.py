"""How months are run: what the options of `taxi run` say, as Dagster's configuration and as words for a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taxi_assets.settings import settings
from taxi_assets.sources.addresses import redacted


@dataclass(frozen=True)
class RunOptions:
    """What a run is told.

    Attributes:
        force: Fetch and load again what is loaded already.
        source: Where the files come from, in the place of TAXI_SOURCE_URL.
        limit: For a trial: only the first so many rows.
    """

    force: bool = False
    source: str | None = None
    limit: int | None = None

    def config(self, service: str) -> dict[str, Any]:
        """The configuration of a run of that service.

        It names the source also where the shell does: whoever repeats the run, the daemon perhaps, takes that one.
        """
        fetch = {"force": self.force, "source": self.source or _source_of_the_shell()}
        told: dict[str, dict[str, Any]] = {f"{service}__raw_taxi": fetch, f"{service}_clean": {"limit": self.limit}}
        known = {op: {name: value for name, value in config.items() if value} for op, config in told.items()}
        return {"ops": {op: {"config": config} for op, config in known.items() if config}}


def _source_of_the_shell() -> str | None:
    url = settings().taxi_source_url
    return url if url and settings().origin("taxi_source_url") == "shell" and redacted(url) == url else None
