"""The errors of a source."""

from __future__ import annotations

from taxi_assets.errors import TaxiError, TransientError

CORRECT = "correct the source's address: --source of the run, or TAXI_SOURCE_URL where that is not given"
"""What to do about an address. An error does not know which of the two named it."""
OTHER_SOURCE = "name another source in --source or TAXI_SOURCE_URL"
_INTACT = "the file fetched before, if there is one, and every store are as they were"


class SourceError(TaxiError):
    """A source's response or address cannot be used, and a retry fails in the same way."""

    default_intact = _INTACT


class SourceUnavailable(TransientError):
    """A source does not deliver now.

    Attributes:
        retry_after: Seconds that the server asks to wait; None where it does not.
    """

    default_intact = _INTACT
    default_next_step = "try again later; `taxi doctor` tests the source"
    retry_after: float | None = None


class NotFound(TaxiError):
    """Nothing is published at one address; another layout may be."""


class NotPublished(TaxiError):
    """Nothing is published at any of a source's addresses."""

    default_intact = _INTACT
