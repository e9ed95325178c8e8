"""What can go wrong at a source."""

from __future__ import annotations

from taxi_assets.errors import TaxiError, TransientError

INTACT = "the file fetched before, if there is one, and every store are as they were"


class SourceError(TaxiError):
    """The source's answer cannot be used, and asking again does not mend it."""


class SourceUnavailable(TransientError):
    """The source did not deliver, and may do so soon.

    Attributes:
        retry_after: Seconds that the server asked to wait for, where it did.
    """

    retry_after: float | None = None


class NotFound(TaxiError):
    """Nothing is published at one address; another layout may be."""


class NotPublished(TaxiError):
    """A month is at none of a source's addresses."""
