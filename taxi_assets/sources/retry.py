"""Retries of requests to a source."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from tenacity.wait import wait_base

from taxi_assets.sources.errors import SourceUnavailable

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try a source; all times in seconds.

    Attributes:
        attempts: The most attempts.
        first_wait: The longest wait before the second attempt. It doubles with each attempt.
        longest_wait: The limit of that wait.
        longest_retry_after: The limit of a server's Retry-After.
        connect_timeout: The longest wait for a connection.
        read_timeout: The longest wait for the next bytes.
        lock_timeout: The longest wait for another process that fetches the same file.
    """

    attempts: int = 5
    first_wait: float = 2.0
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    lock_timeout: float = 3600.0


class _Wait(wait_base):
    """The server's Retry-After, or a random time below a bound that doubles."""

    def __init__(self, retry_policy: RetryPolicy) -> None:
        self._policy = retry_policy
        # At least half the bound, so that a retry never follows at once.
        self._backoff = wait_random_exponential(
            multiplier=retry_policy.first_wait / 2, max=retry_policy.longest_wait / 2
        )

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        retry_after = error.retry_after if isinstance(error, SourceUnavailable) else None
        if retry_after is not None:
            return min(retry_after, self._policy.longest_retry_after)
        bound = min(self._policy.first_wait * 2 ** (retry_state.attempt_number - 1), self._policy.longest_wait)
        return float(bound / 2 + self._backoff(retry_state))


def with_retries(retry_policy: RetryPolicy, request: Callable[[], Result]) -> tuple[Result, int]:
    """Calls `request` until it succeeds or the attempts are used up.

    Returns:
        The result, and the number of attempts.

    Raises:
        SourceUnavailable: The last attempt's error, with the number of attempts.
    """

    def warn(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, SourceUnavailable) and state.next_action:
            log.warning(
                "%s %s; trying again in %.1f s (attempt %d of %d)",
                error.summary,
                error.details.get("Found", ""),
                state.next_action.sleep,
                state.attempt_number,
                retry_policy.attempts,
            )

    retrying = Retrying(
        stop=stop_after_attempt(retry_policy.attempts),
        wait=_Wait(retry_policy),
        retry=retry_if_exception_type(SourceUnavailable),
        before_sleep=warn,
        reraise=True,
    )
    try:
        return retrying(request), int(retrying.statistics["attempt_number"])
    except SourceUnavailable as error:
        tries = "1 attempt" if retry_policy.attempts == 1 else f"{retry_policy.attempts} attempts"
        error.details["Found"] = ", after ".join(filter(None, (error.details.get("Found"), tries)))
        raise


def parse_retry_after(header: str | None) -> float | None:
    """Reads a Retry-After header: seconds, or an HTTP date; None where it is missing or malformed."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
