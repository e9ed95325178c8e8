"""The platform's errors as Dagster's failures, and the policy of retries that goes with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from taxi_assets.errors import TaxiError

TRANSIENT = "transient"
"""Metadata of a failure: whether a retry may succeed."""
ERROR = "error"
"""Metadata of a failure: the error's summary, and its details by their labels."""


class InterruptibleRetryPolicy(dg.RetryPolicy):
    """A retry policy under which an interrupted step ends.

    Dagster's own starts an interrupted step again. It asks for the delay while it handles the step's exception.
    """

    def calculate_delay(self, attempt_num: int) -> float:
        """Seconds until the next attempt.

        Raises:
            BaseException: The exception that is being handled, where it is an interrupt.
        """
        interrupt = sys.exception()
        if interrupt and not isinstance(interrupt, Exception):
            raise interrupt
        return super().calculate_delay(attempt_num)


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
