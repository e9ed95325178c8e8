"""The months that a source has not published: asked for before a run is made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from taxi_assets.sources.errors import NotPublished
from taxi_assets.sources.probe import probe
from taxi_assets.sources.sample.newest import newest_month
from taxi_assets.sources.source import TripSource


def absent_months(source: TripSource, service: str, months: Iterable[date]) -> dict[date, NotPublished]:
    """The months that are not published → what was looked for, and where.

    A month for which the source gives no answer is not among them: its run tries longer, and says what is wrong.

    Args:
        source: The source.
        service: The service.
        months: The months to ask for.
    """
    months = list(months)
    if source.synthetic:
        # To ask its server for a month is to have it generated.
        absent = [month for month in months if month > newest_month(date.today())]
    else:
        answers = probe(source, service, dict.fromkeys(months))
        absent = [month for month, published in answers.items() if published is None]
    return {month: source.absence(service, month) for month in absent}
