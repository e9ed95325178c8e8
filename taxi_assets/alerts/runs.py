"""An ended run in Dagster's event log: the steps that failed or were retried, with their reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from taxi_assets.alerts.alert import Reason
from taxi_assets.alerts.reason import error_text, step_failure_reason, text_reason
from taxi_assets.pipelines import read_again

_TYPES = {
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
_PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def months_of(run: dg.DagsterRun) -> tuple[str, ...]:
    """The partitions of a run, by its tags."""
    return tuple(dict.fromkeys(run.tags[tag] for tag in _PARTITION_TAGS if tag in run.tags))


@dataclass(frozen=True)
class EndedRun:
    """A run with the events that alerts need."""

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
        return months_of(self.run)

    @property
    def retries(self) -> int:
        """The number of runs that Dagster started before this one, for the same work."""
        return int(self.run.tags.get("dagster/retry_number", "0"))

    @cached_property
    def assets_of_step(self) -> dict[str, list[dg.AssetKey]]:
        """Step → the assets that it makes or checks, by the run's plan."""
        assets: dict[str, list[dg.AssetKey]] = {}
        for event in self._of(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED):
            if event.asset_key:
                assets.setdefault(str(event.step_key), []).append(event.asset_key)
        for event in self._of(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED):
            assets.setdefault(str(event.step_key), []).append(event.asset_check_planned_data.asset_key)
        return {step: list(dict.fromkeys(keys)) for step, keys in assets.items()}

    @property
    def made(self) -> list[dg.AssetKey]:
        """The assets that the run materialized."""
        made = (event.asset_key for event in self._of(dg.DagsterEventType.ASSET_MATERIALIZATION))
        return list(dict.fromkeys(key for key in made if key))

    @property
    def failed_steps(self) -> dict[str, Reason]:
        """Step → the reason of its failure."""
        failures = self._of(dg.DagsterEventType.STEP_FAILURE)
        return {str(event.step_key): step_failure_reason(event) for event in failures}

    @property
    def stopped_by_checks(self) -> bool:
        """Whether nothing but blocking checks failed; each of them has an alert of its own."""
        errors = [event.step_failure_data.error for event in self._of(dg.DagsterEventType.STEP_FAILURE)]
        return bool(errors) and all(error and error.cls_name == "DagsterAssetCheckFailedError" for error in errors)

    @property
    def failure(self) -> Reason:
        """The reason of the run's failure: that of the first failed step, else the run's own."""
        for reason in self.failed_steps.values():
            return reason
        if failed_to_begin := self._failure_to_begin:
            return failed_to_begin
        for event in self._of(dg.DagsterEventType.RUN_FAILURE):
            # A run that is marked as failed from outside has the reason in the message alone.
            error = event.job_failure_data.error if event.event_specific_data else None
            return text_reason(error_text(error) if error else event.message or "")
        return text_reason("")

    @property
    def _failure_to_begin(self) -> Reason | None:
        """Why the run's process executed nothing: the pipeline's file is broken by now, or Dagster's own error."""
        errors = [event.engine_event_data.error for event in self._of(dg.DagsterEventType.ENGINE_EVENT)]
        for error in filter(None, errors):
            broken = read_again().broken
            for pipeline in sorted({key.path[0] for keys in self.assets_of_step.values() for key in keys}):
                if pipeline in broken:
                    return text_reason(str(broken[pipeline]))
            return text_reason(error_text(error))
        return None

    @property
    def retried_steps(self) -> dict[str, list[str]]:
        """Step → the summary of the error of each failed attempt."""
        errors: dict[str, list[str]] = {}
        for event in self._of(dg.DagsterEventType.STEP_UP_FOR_RETRY):
            reason = text_reason(error_text(event.step_retry_data.error))
            errors.setdefault(str(event.step_key), []).append(reason.summary)
        return errors

    @property
    def downloads(self) -> dict[dg.AssetKey, int]:
        """Asset → the attempts of its download, where it took more than one."""
        downloads = {}
        for event in self._of(dg.DagsterEventType.ASSET_MATERIALIZATION):
            attempts = event.materialization.metadata.get("attempts")
            if event.asset_key and attempts and isinstance(attempts.value, int) and attempts.value > 1:
                downloads[event.asset_key] = attempts.value
        return downloads

    def assets(self, steps: Iterable[str]) -> tuple[dg.AssetKey, ...]:
        """The assets of these steps; if they have none, all that the run planned and did not make."""
        named = [key for step in steps for key in self.assets_of_step.get(step, [])]
        planned = [key for keys in self.assets_of_step.values() for key in keys if key not in self.made]
        return tuple(dict.fromkeys(named or planned))
