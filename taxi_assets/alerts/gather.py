"""Alerts of the same cause are gathered: the first goes out at once, the others as one when the window is over."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from taxi_assets.alerts.alert import Alert

MOST_MONTHS = 24
LATE_SECONDS = 24 * 3600.0
"""A month that stays late is told of once a day, however often the check looks."""


class Window(BaseModel):
    """What came of one cause since its last alert.

    Attributes:
        until: When the window is over, in seconds since 1970.
        since: When the first of the gathered ones happened.
        count: How many were gathered.
        months: The partitions that they concern.
        latest: The newest of them; where there is none, the alert that went out.
    """

    until: float
    since: float
    count: int = 0
    months: tuple[str, ...] = ()
    latest: Alert


class State(BaseModel):
    """What the alerts remember from one look at the event log to the next.

    Attributes:
        began: From when on events are told of, in seconds since 1970.
        cursors: Type of event → the number of the last one that was looked at.
        waiting: Failed runs that Dagster is to retry → when they failed.
        windows: Cause → what was gathered of it.
    """

    began: float
    cursors: dict[str, int] = {}
    waiting: dict[str, float] = {}
    windows: dict[str, Window] = {}


def admit(state: State, alert: Alert, now: float, seconds: float) -> Alert | None:
    """The alert, where it is to go out at once; None where it was gathered."""
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
    """One alert for each window that is over and gathered something; it opens the next one."""
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
    shown = ", ".join(months[:MOST_MONTHS]) + (f" and {len(months) - MOST_MONTHS} more" * (len(months) > MOST_MONTHS))
    what = f"{window.latest.what} ({times}{', in all for ' + shown if len(months) > 1 else ''})"
    return window.latest.model_copy(
        update={"what": what, "since": window.since, "count": window.count, "months": tuple(months)}
    )
