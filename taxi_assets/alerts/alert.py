"""What an alert is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["run_failed", "retry_needed", "check_failed", "month_late"]


class Reason(BaseModel):
    """The clear error behind an alert.

    Attributes:
        summary: One sentence.
        details: What it says besides, under the names of `TaxiError`: Expected, Found, Where, Intact, Next.
    """

    model_config = ConfigDict(frozen=True)

    summary: str
    details: dict[str, str] = {}


class Alert(BaseModel):
    """One message to the owners of the assets that are concerned.

    Attributes:
        kind: What sort of thing happened.
        severity: `error`, or `warning` where the rows are loaded all the same.
        what: What happened, in a line.
        assets: The assets concerned, as `green/raw_taxi`.
        months: The partitions concerned.
        job: The job that ran; None: no run stands behind it.
        since: When it happened, or happened first, in seconds since 1970.
        why: The reason.
        intact: What is as it was.
        next_step: What a person can do.
        owners: Who owns these assets: mail addresses, or `team:name`.
        run_id: The run; None where there is none.
        link: Where to look in the UI.
        count: How often it happened since the last alert of the same cause.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    severity: Literal["error", "warning"]
    what: str
    assets: tuple[str, ...]
    months: tuple[str, ...]
    job: str | None
    since: float
    why: Reason
    intact: str
    next_step: str
    owners: tuple[str, ...]
    run_id: str | None
    link: str
    count: int = 1

    @property
    def cause(self) -> str:
        """The same for alerts that one cause brings about: numbers and months do not tell them apart."""
        reason = "" if self.kind == "month_late" else re.sub(r"\d+", "#", self.why.summary)
        return " | ".join([self.kind, *self.assets, reason])

    @property
    def since_utc(self) -> str:
        """`since`, as people read it."""
        return f"{datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
