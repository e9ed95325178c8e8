"""The model of an alert."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Kind = Literal["run_failed", "retry_needed", "check_failed", "month_late"]


class Reason(BaseModel):
    """The error or the check's result behind an alert.

    Attributes:
        summary: One sentence.
        details: The details of a `TaxiError`, by its labels: Expected, Found, Where, Intact, Next.
    """

    model_config = ConfigDict(frozen=True)

    summary: str
    details: dict[str, str] = {}


class Alert(BaseModel):
    """One message to the owners of the assets that are concerned.

    Attributes:
        kind: The kind of event.
        severity: `error`, or `warning` if the rows are loaded all the same.
        what: The event in a line.
        assets: The assets concerned, as `green/raw_taxi`.
        months: The partitions concerned.
        job: The job of the run; None without a run.
        since: The time of the event, or of the first of several, in seconds since 1970.
        reason: The reason; `why` in JSON.
        intact: What is unharmed.
        next_step: What a person can do.
        owners: The owners of these assets: mail addresses, or `team:name`.
        run_id: The run; None without one.
        link: The page in the UI.
        count: The number of events since the last alert of the same cause.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    severity: Literal["error", "warning"]
    what: str
    assets: tuple[str, ...]
    months: tuple[str, ...]
    job: str | None
    since: float
    reason: Reason = Field(validation_alias=AliasChoices("why", "reason"), serialization_alias="why")
    intact: str
    next_step: str
    owners: tuple[str, ...]
    run_id: str | None
    link: str
    count: int = 1

    @property
    def cause(self) -> str:
        """Equal for alerts of one cause, whatever their numbers and months."""
        reason = "" if self.kind == "month_late" else re.sub(r"\d+", "#", self.reason.summary)
        return " | ".join([self.kind, *self.assets, reason])

    @property
    def since_utc(self) -> str:
        """`since` as text."""
        return f"{datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
