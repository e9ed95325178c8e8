"""The sensor that reads new events of Dagster's event log and alerts the owners of assets.

Its state stands in Dagster's storage. It is written after each alert, not once a tick, so that a tick that is cut off
repeats at most its last alert.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from taxi_assets.alerts.alert import Alert
from taxi_assets.alerts.channels import LONGEST_SECONDS, Channel, channels, deliver
from taxi_assets.alerts.events import AlertFactory
from taxi_assets.alerts.grouping import State, admit, summaries
from taxi_assets.settings import settings

INTERVAL_SECONDS = 15
STATE_KEY = "taxi_assets/alerts"
FIRST_LOOK_SECONDS = 3600
"""The time that the very first tick looks back."""
SETTLE_SECONDS = 2.0
"""Younger events wait for the next tick: events of lower number may still be missing in the log."""
TICK_SECONDS = 55 - LONGEST_SECONDS
"""The time after which a tick begins no further alert: Dagster cuts it off after 60 seconds."""
RETRY_SECONDS = 600
"""The time that Dagster has to start a failed run again after it announced so."""
EVENTS_A_TICK = 200

RUN_FAILURE = dg.DagsterEventType.RUN_FAILURE
RUN_SUCCESS = dg.DagsterEventType.RUN_SUCCESS
CHECK = dg.DagsterEventType.ASSET_CHECK_EVALUATION
_WILL_RETRY_TAG = "dagster/will_retry"
_RETRIED_TAG = "dagster/auto_retry_run_id"


@dataclass
class Tick:
    """One evaluation of the sensor.

    Attributes:
        instance: Dagster's records.
        factory: Makes the alerts.
        channels: The channels to send by.
        window_seconds: The length of a group's window.
        log: The log of failed deliveries.
    """

    instance: dg.DagsterInstance
    factory: AlertFactory
    channels: Sequence[Channel]
    window_seconds: float
    log: logging.Logger

    def run(self, now: float) -> int:
        """Sends the alerts that are due; returns their number."""
        began, sent = time.monotonic(), 0
        state = self._read_state() or State(began=now - FIRST_LOOK_SECONDS)
        for alert in self._due(state, now):
            if alert:
                deliver(alert, self.channels, self.log)
                sent += 1
                self._save(state)
            if time.monotonic() - began > TICK_SECONDS:
                break
        self._save(state)
        return sent

    def _due(self, state: State, now: float) -> Iterator[Alert | None]:
        """An alert or None for each event and window; `state` is up to date at each item."""
        for alert in self._alerts(state, now):
            yield admit(state, alert, now, self.window_seconds) if alert else None
        yield from summaries(state, now, self.window_seconds)

    def _alerts(self, state: State, now: float) -> Iterator[Alert | None]:
        for run_id, failed_at in list(state.waiting.items()):
            if (run := self.instance.get_run_by_id(run_id)) and self._is_retried(run, now - failed_at):
                continue
            del state.waiting[run_id]
            if run and _RETRIED_TAG not in run.tags:
                yield self.factory.run_failed(run, failed_at)
        for kind in (RUN_FAILURE, RUN_SUCCESS, CHECK):
            for record in self._events(kind, state, now):
                state.cursors[kind.value] = record.storage_id
                try:
                    yield self._alert(record.event_log_entry, state)
                except SQLAlchemyError:
                    raise
                except Exception:
                    # One broken event must not silence all later ones.
                    self.log.exception("The event %s could not be made an alert.", record.storage_id)

    @staticmethod
    def _is_retried(run: dg.DagsterRun, seconds: float) -> bool:
        """Whether Dagster will still start this failed run again."""
        announced = run.tags.get(_WILL_RETRY_TAG) == "true" and _RETRIED_TAG not in run.tags
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
            return self.factory.check_failed(
                entry.get_dagster_event().asset_check_evaluation_data, run, entry.timestamp
            )
        if run is None:
            return None
        if entry.dagster_event_type == RUN_SUCCESS:
            return self.factory.retry_needed(run, entry.timestamp)
        if run.tags.get(_WILL_RETRY_TAG) == "true":
            state.waiting[run.run_id] = entry.timestamp
            return None
        return self.factory.run_failed(run, entry.timestamp)

    def _read_state(self) -> State | None:
        stored = self.instance.daemon_cursor_storage.get_cursor_values({STATE_KEY}).get(STATE_KEY)
        try:
            return State.model_validate_json(stored) if stored else None
        except ValidationError:
            return None

    def _save(self, state: State) -> None:
        self.instance.daemon_cursor_storage.set_cursor_values({STATE_KEY: state.model_dump_json(by_alias=True)})


def owners_of(repository: dg.RepositoryDefinition | None, assets: Iterable[dg.AssetKey]) -> tuple[str, ...]:
    """The owners that the YAML files name for these assets, each once."""
    if repository is None:
        return ()
    graph = repository.asset_graph
    owners = (owner for key in assets if graph.has(key) for owner in graph.get(key).owners)
    return tuple(dict.fromkeys(owners))


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Alerts the owners of assets about failed runs, needed retries, failed checks and late months.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Reads the new events and sends alerts."""
    enabled, ui = channels(settings()), settings().taxi_ui_url.rstrip("/")
    factory = AlertFactory(context.instance, lambda assets: owners_of(context.repository_def, assets), ui)
    window_seconds = 60 * settings().taxi_alert_gather_minutes
    sent = Tick(context.instance, factory, enabled, window_seconds, context.log).run(time.time())
    if not enabled:
        return dg.SkipReason("No channel is set: TAXI_ALERT_SLACK_URL, TAXI_ALERT_WEBHOOK_URL, TAXI_SMTP_HOST.")
    return dg.SkipReason(f"{sent} alerts sent by {', '.join(channel.name for channel in enabled)}.")
