"""The platform's clear errors, as Dagster's failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from taxi_assets.errors import TaxiError

TRANSIENT = "transient"
"""The metadata of a failure that says whether trying again is worth it."""


@contextmanager
def dagster_failures() -> Iterator[None]:
    """Turns a `TaxiError` of the block into a `dagster.Failure` with its whole text; retries only where it may pass.

    Raises:
        dagster.Failure: The block raised a `TaxiError`.
    """
    try:
        yield
    except TaxiError as error:
        metadata = {TRANSIENT: error.transient}
        raise dg.Failure(description=str(error), metadata=metadata, allow_retries=error.transient) from error
