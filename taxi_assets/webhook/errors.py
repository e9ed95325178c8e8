"""What the webhook answers to a request that it does not do."""

from __future__ import annotations

from typing import Any

from taxi_assets.errors import TaxiError


class RequestRefused(TaxiError):
    """A request that is not done, with the HTTP status that says so."""

    def __init__(self, status: int, summary: str, **details: str | None) -> None:
        self.status = status
        super().__init__(summary, **{"intact": "nothing was started or reported", **details})


def as_json(error: TaxiError) -> dict[str, Any]:
    """The error under the names of the platform: summary, expected, found, where, intact, next."""
    return {"summary": error.summary, **{name.lower(): text for name, text in error.details.items()}}
