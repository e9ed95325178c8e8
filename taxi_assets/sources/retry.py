"""How long to wait for a source, how often to ask, and how long to wait in between."""

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
    """What a source is granted; all times in seconds.

    Attributes:
        attempts: How often it is asked at most.
        first_wait: The longest wait before the second attempt; it doubles from one attempt to the next.
        longest_wait: The most that it grows to.
        longest_asked: The most that a server's Retry-After is obeyed.
        connect_timeout: For a connection.
        read_timeout: For the next bytes.
        lock_timeout: For another process that fetches the same file.
    """

    attempts: int = 5
    first_wait: float = 2.0
    longest_wait: float = 30.0
    longest_asked: float = 120.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    lock_timeout: float = 3600.0


class _Wait(wait_base):
    """What the server asked for, else a random time below a bound that doubles."""

    def __init__(self, retry_policy: RetryPolicy) -> None:
        self._policy = retry_policy
        # Half the bound at least: a source in trouble is never asked again at once.
        self._backoff = wait_random_exponential(
            multiplier=retry_policy.first_wait / 2, max=retry_policy.longest_wait / 2
        )

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.retry_after if isinstance(error, SourceUnavailable) else None
        if asked is not None:
            return min(asked, self._policy.longest_asked)
        bound = min(self._policy.first_wait * 2 ** (retry_state.attempt_number - 1), self._policy.longest_wait)
        return float(bound / 2 + self._backoff(retry_state))


def with_retries(retry_policy: RetryPolicy, ask: Callable[[], Result]) -> tuple[Result, int]:
    """Asks until the source delivers or the attempts are used up; the result, and how many it took.

    Raises:
        SourceUnavailable: The last attempt's error, saying how many there were.
    """

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, SourceUnavailable) and state.next_action:
            log.warning(
                "%s %s; asking again in %.1f s (attempt %d of %d)",
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
        before_sleep=say,
        reraise=True,
    )
    try:
        return retrying(ask), int(retrying.statistics["attempt_number"])
    except SourceUnavailable as error:
        tries = "1 attempt" if retry_policy.attempts == 1 else f"{retry_policy.attempts} attempts"
        error.details["Found"] = ", after ".join(filter(None, (error.details.get("Found"), tries)))
        raise


def seconds_asked(header: str | None) -> float | None:
    """Reads a Retry-After header: seconds, or an HTTP date; None where it is missing or makes no sense."""
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
