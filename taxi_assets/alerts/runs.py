"""What Dagster's event log says of a run that ended: which steps failed or were tried again, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from taxi_assets.alerts.alert import Reason
from taxi_assets.alerts.reason import parse_reason, step_failure_reason, why

_TYPES = {
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
_PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class EndedRun:
    """A run with those of its events that alerts need."""

    run: dg.DagsterRun
    events: tuple[dg.DagsterEvent, ...]

    @classmethod
    def read(cls, instance: dg.DagsterInstance, run: dg.DagsterRun) -> EndedRun:
        """Reads the run's events."""
        entries = instance.all_logs(run.run_id, of_type=_TYPES)
        return cls(run, tuple(entry.dagster_event for entry in entries if entry.dagster_event))

    def _of(self, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
        return [event for event in self.events if event.event_type == kind]

    @property
    def months(self) -> tuple[str, ...]:
        """The partitions of the run."""
        return tuple(dict.fromkeys(self.run.tags[tag] for tag in _PARTITION_TAGS if tag in self.run.tags))

    @property
    def retries(self) -> int:
        """How often Dagster started the run again."""
        return int(self.run.tags.get("dagster/retry_number", "0"))

    @cached_property
    def assets_of_step(self) -> dict[str, list[dg.AssetKey]]:
        """Step → the assets that it makes or checks, as the run planned it."""
        found: dict[str, list[dg.AssetKey]] = {}
        for event in self._of(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED):
            if event.asset_key:
                found.setdefault(str(event.step_key), []).append(event.asset_key)
        for event in self._of(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED):
            found.setdefault(str(event.step_key), []).append(event.asset_check_planned_data.asset_key)
        return {step: list(dict.fromkeys(keys)) for step, keys in found.items()}

    @property
    def made(self) -> list[dg.AssetKey]:
        """The assets that the run materialized."""
        made = (event.asset_key for event in self._of(dg.DagsterEventType.ASSET_MATERIALIZATION))
        return list(dict.fromkeys(key for key in made if key))

    @property
    def failed_steps(self) -> dict[str, Reason]:
        """Step → why it failed."""
        failures = self._of(dg.DagsterEventType.STEP_FAILURE)
        return {str(event.step_key): step_failure_reason(event.step_failure_data) for event in failures}

    @property
    def stopped_by_checks(self) -> bool:
        """Whether nothing but blocking checks failed: each of them is told of by itself."""
        errors = [event.step_failure_data.error for event in self._of(dg.DagsterEventType.STEP_FAILURE)]
        return bool(errors) and all(error and error.cls_name == "DagsterAssetCheckFailedError" for error in errors)

    @property
    def failure(self) -> Reason:
        """Why the run failed: the first failed step's reason, else the run's own."""
        for reason in self.failed_steps.values():
            return reason
        for event in self._of(dg.DagsterEventType.RUN_FAILURE):
            # Whoever marks a run failed from outside says why in the message alone.
            if event.event_specific_data and (error := event.job_failure_data.error):
                return why(error)
            return parse_reason(event.message or "")
        return parse_reason("")

    @property
    def tried_again(self) -> dict[str, list[Reason]]:
        """Step → why it was tried again, each time."""
        found: dict[str, list[Reason]] = {}
        for event in self._of(dg.DagsterEventType.STEP_UP_FOR_RETRY):
            found.setdefault(str(event.step_key), []).append(why(event.step_retry_data.error))
        return found

    @property
    def downloads(self) -> dict[dg.AssetKey, int]:
        """Asset → how many attempts its download took, where it took more than one."""
        found = {}
        for event in self._of(dg.DagsterEventType.ASSET_MATERIALIZATION):
            attempts = event.materialization.metadata.get("attempts")
            if event.asset_key and attempts and isinstance(attempts.value, int) and attempts.value > 1:
                found[event.asset_key] = attempts.value
        return found

    def assets(self, steps: Iterable[str]) -> tuple[dg.AssetKey, ...]:
        """The assets of these steps; where they have none, all that the run planned and did not make."""
        found = [key for step in steps for key in self.assets_of_step.get(step, [])]
        planned = [key for keys in self.assets_of_step.values() for key in keys if key not in self.made]
        return tuple(dict.fromkeys(found or planned))
