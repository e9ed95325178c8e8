"""The platform's errors as Dagster's failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from taxi_assets.errors import TaxiError

TRANSIENT = "transient"
"""Metadata of a failure: whether a retry may succeed."""
ERROR = "error"
"""Metadata of a failure: the error's summary, and its details by their labels."""


@contextmanager
def dagster_failures() -> Iterator[None]:
    """Turns a `TaxiError` of the block into a `dagster.Failure` with its text and its parts; retries transient errors.

    Raises:
        dagster.Failure: The block raised a `TaxiError`.
    """
    try:
        yield
    except TaxiError as error:
        parts = {"summary": error.summary, "details": error.details}
        raise dg.Failure(
            description=str(error),
            metadata={TRANSIENT: error.transient, ERROR: dg.MetadataValue.json(parts)},
            allow_retries=error.transient,
        ) from error
