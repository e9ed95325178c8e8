"""The sensor behind the alerts: it reads Dagster's event log on, whoever started the runs, and tells the owners.

What it remembers stands in Dagster's storage and is written after each alert, not once a tick: a tick that is cut off
sends nothing twice but, at worst, its last alert.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from taxi_assets.alerts.alert import Alert
from taxi_assets.alerts.channels import LONGEST_SECONDS, Channel, channels, deliver
from taxi_assets.alerts.events import AlertMaker
from taxi_assets.alerts.gather import State, admit, summaries
from taxi_assets.alerts.owners import owners_of
from taxi_assets.settings import settings

INTERVAL_SECONDS = 15
STATE_KEY = "taxi_assets/alerts"
FIRST_LOOK_SECONDS = 3600
"""How far the very first tick looks back."""
SETTLE_SECONDS = 2.0
"""Events this young are left to the next tick: others of lower number may still be on their way into the log."""
TICK_SECONDS = 55 - LONGEST_SECONDS
"""When a tick begins no further alert: Dagster cuts it off after 60 seconds."""
RETRY_SECONDS = 600
"""How long a failed run is left to Dagster, which said that it would start it again."""
EVENTS_A_TICK = 200

AUTO_RETRY_RUN_ID_TAG = "dagster/auto_retry_run_id"
WILL_RETRY_TAG = "dagster/will_retry"
RUN_FAILURE = dg.DagsterEventType.RUN_FAILURE
RUN_SUCCESS = dg.DagsterEventType.RUN_SUCCESS
CHECK = dg.DagsterEventType.ASSET_CHECK_EVALUATION


@dataclass
class Tick:
    """One look at the event log.

    Attributes:
        instance: Whose log.
        maker: Makes the alerts.
        ways: The channels to send by.
        gather_seconds: How long alerts of the same cause are gathered.
        log: Where it says what could not be delivered.
    """

    instance: dg.DagsterInstance
    maker: AlertMaker
    ways: Sequence[Channel]
    gather_seconds: float
    log: logging.Logger

    def run(self, now: float) -> int:
        """Sends what is due; returns how many alerts went out."""
        began, sent = time.monotonic(), 0
        state = self._read_state() or State(began=now - FIRST_LOOK_SECONDS)
        for alert in self._due(state, now):
            if alert:
                deliver(alert, self.ways, self.log)
                sent += 1
                self._save(state)
            if time.monotonic() - began > TICK_SECONDS:
                break
        self._save(state)
        return sent

    def _due(self, state: State, now: float) -> Iterator[Alert | None]:
        """What to send, an item for each thing looked at; `state` says at each what was dealt with."""
        for alert in self._new(state, now):
            yield admit(state, alert, now, self.gather_seconds) if alert else None
        yield from summaries(state, now, self.gather_seconds)

    def _new(self, state: State, now: float) -> Iterator[Alert | None]:
        for run_id, failed_at in list(state.waiting.items()):
            if (run := self.instance.get_run_by_id(run_id)) and self._is_retried(run, now - failed_at):
                continue
            del state.waiting[run_id]
            if run and AUTO_RETRY_RUN_ID_TAG not in run.tags:
                yield self.maker.run_failed(run, failed_at)
        for kind in (RUN_FAILURE, RUN_SUCCESS, CHECK):
            for record in self._events(kind, state, now):
                state.cursors[kind.value] = record.storage_id
                try:
                    yield self._alert(record.event_log_entry, state)
                except SQLAlchemyError:
                    raise
                except Exception:
                    # One event that cannot be understood must not silence all that come after it.
                    self.log.exception("The event %s could not be told of.", record.storage_id)

    @staticmethod
    def _is_retried(run: dg.DagsterRun, seconds: float) -> bool:
        """Whether Dagster is still to start this failed run again."""
        announced = run.tags.get(WILL_RETRY_TAG) == "true" and AUTO_RETRY_RUN_ID_TAG not in run.tags
        return announced and seconds < RETRY_SECONDS

    def _events(self, kind: dg.DagsterEventType, state: State, now: float) -> Sequence[dg.EventLogRecord]:
        wanted = dg.EventRecordsFilter(
            kind,
            after_cursor=state.cursors.get(kind.value),
            after_timestamp=state.began,
            before_timestamp=now - SETTLE_SECONDS,
        )
        return self.instance.event_log_storage.get_event_records(wanted, limit=EVENTS_A_TICK, ascending=True)

    def _alert(self, entry: dg.EventLogEntry, state: State) -> Alert | None:
        run = self.instance.get_run_by_id(entry.run_id) if entry.run_id else None
        if entry.dagster_event_type == CHECK:
            return self.maker.check_failed(entry.get_dagster_event().asset_check_evaluation_data, run, entry.timestamp)
        if run is None:
            return None
        if entry.dagster_event_type == RUN_SUCCESS:
            return self.maker.retry_needed(run, entry.timestamp)
        if run.tags.get(WILL_RETRY_TAG) == "true":
            state.waiting[run.run_id] = entry.timestamp
            return None
        return self.maker.run_failed(run, entry.timestamp)

    def _read_state(self) -> State | None:
        kept = self.instance.daemon_cursor_storage.get_cursor_values({STATE_KEY}).get(STATE_KEY)
        try:
            return State.model_validate_json(kept) if kept else None
        except ValidationError:
            return None

    def _save(self, state: State) -> None:
        self.instance.daemon_cursor_storage.set_cursor_values({STATE_KEY: state.model_dump_json()})


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the owners of assets of failed runs, needed retries, failed checks and late months.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Looks at what is new in the event log, and sends alerts."""
    found = settings()
    ways = channels(found)
    maker = AlertMaker(
        context.instance, lambda assets: owners_of(context.repository_def, assets), found.taxi_ui_url.rstrip("/")
    )
    sent = Tick(context.instance, maker, ways, 60 * found.taxi_alert_gather_minutes, context.log).run(time.time())
    if not ways:
        return dg.SkipReason("No channel is set: TAXI_ALERT_SLACK_URL, TAXI_ALERT_WEBHOOK_URL, TAXI_SMTP_HOST.")
    return dg.SkipReason(f"{sent} alerts sent by {', '.join(way.name for way in ways)}.")
