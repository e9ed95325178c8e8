"""What a source publishes of several months, asked for at once and without patience."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

from taxi_assets.errors import TaxiError
from taxi_assets.sources.record import Published
from taxi_assets.sources.retry import RetryPolicy
from taxi_assets.sources.source import TripSource

AT_ONCE = 4
"""The TLC's server refuses those who ask for more at once, and then every month looks absent."""

_PROBE = RetryPolicy(attempts=2, first_wait=0.5, connect_timeout=5, read_timeout=10)

Probed = Mapping[date, Published | TaxiError | None]
"""Month → what its source publishes, the error of asking, or None: nothing is published."""


def probe(source: TripSource, service: str, known: Mapping[date, Published | None]) -> Probed:
    """Asks the source about each month; an error of one month does not stop the others.

    Args:
        source: The source.
        service: `yellow` or `green`.
        known: Month → what is known of its file already.
    """
    quick = replace(source, retry_policy=replace(_PROBE, attempts=min(_PROBE.attempts, source.retry_policy.attempts)))

    def ask(month: date) -> Published | TaxiError | None:
        try:
            return quick.probe(service, month, known=known[month])
        except TaxiError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(known, pool.map(ask, known), strict=True))
