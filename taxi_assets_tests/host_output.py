"""What a host of the project prints."""

from __future__ import annotations

import re

_WORRYING = re.compile(r"warn|error|critical|traceback", re.IGNORECASE)
_KNOWN = (
    # `dagster dev` says that its authors prefer `dg dev`.
    "SupersessionWarning: Function `dev_command` is superseded",
    # The first start in a new home.
    "No cursor for event type DagsterEventType.RUN_",
)


def worrying_lines(output: str) -> list[str]:
    """The lines with warnings and errors, without those that Dagster prints whatever the project is."""
    lines = [line for line in output.splitlines() if _WORRYING.search(line)]
    return [line for line in lines if not any(known in line for known in _KNOWN)]
