"""The error of a refused request, and the JSON of an error."""

from __future__ import annotations

from typing import Any

from taxi_assets.errors import TaxiError


class RequestRefused(TaxiError):
    """A request that the webhook refuses.

    Attributes:
        status: The HTTP status of the answer.
    """

    def __init__(self, status: int, summary: str, **details: str | None) -> None:
        self.status = status
        super().__init__(summary, **{"intact": "nothing was started or reported", **details})


def error_body(error: TaxiError) -> dict[str, Any]:
    """The body of the answer: summary, expected, found, where, intact, next."""
    return {"summary": error.summary, **{name.lower(): text for name, text in error.details.items()}}
