"""Groups of alerts of one cause: the first goes out at once, the others as one when its window is over."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from taxi_assets.alerts.alert import Alert

MOST_MONTHS = 24
LATE_SECONDS = 24 * 3600.0
"""The window of late months: at most one alert a day, however often the check runs."""


class Window(BaseModel):
    """The alerts of one cause since the last that went out.

    Attributes:
        until: The end of the window, in seconds since 1970.
        since: The time of the first of them.
        count: Their number.
        months: Their partitions.
        latest: The newest of them; without any, the alert that went out.
    """

    until: float
    since: float
    count: int = 0
    months: tuple[str, ...] = ()
    latest: Alert


class State(BaseModel):
    """The state of the alerts between two ticks.

    Attributes:
        began: The time of the first events that matter, in seconds since 1970.
        cursors: Type of event → the number of the last one read.
        waiting: Failed run that Dagster will retry → the time of its failure.
        windows: Cause → its window.
    """

    began: float
    cursors: dict[str, int] = {}
    waiting: dict[str, float] = {}
    windows: dict[str, Window] = {}


def admit(state: State, alert: Alert, now: float, seconds: float) -> Alert | None:
    """The alert if it goes out at once; None if its window keeps it."""
    window = state.windows.get(alert.cause)
    if window is None:
        if seconds:
            state.windows[alert.cause] = _opened(alert, now, seconds)
        return alert
    if not window.count:
        window.since = alert.since
    window.count += 1
    window.months = tuple(dict.fromkeys([*window.months, *alert.months]))
    window.latest = alert
    return None


def summaries(state: State, now: float, seconds: float) -> Iterator[Alert]:
    """One alert for each window that is over and kept alerts; opens the next window."""
    for cause, window in list(state.windows.items()):
        if now < window.until:
            continue
        del state.windows[cause]
        if window.count:
            state.windows[cause] = _opened(window.latest, now, seconds)
            yield _summary(window)


def _opened(alert: Alert, now: float, seconds: float) -> Window:
    length = max(seconds, LATE_SECONDS) if alert.kind == "month_late" else seconds
    return Window(until=now + length, since=alert.since, latest=alert)


def _summary(window: Window) -> Alert:
    times = "once more" if window.count == 1 else f"{window.count} times more"
    months = sorted(window.months)
    names = ", ".join(months[:MOST_MONTHS]) + (f" and {len(months) - MOST_MONTHS} more" * (len(months) > MOST_MONTHS))
    what = f"{window.latest.what} ({times}{', in all for ' + names if len(months) > 1 else ''})"
    return window.latest.model_copy(
        update={"what": what, "since": window.since, "count": window.count, "months": tuple(months)}
    )
