"""Alerts from Dagster's events: a failed run, a needed retry, a failed check, a late month."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dagster as dg

from taxi_assets.alerts.alert import Alert, Reason
from taxi_assets.alerts.reason import text_reason
from taxi_assets.alerts.runs import EndedRun
from taxi_assets.pipeline import LATENESS_CHECK

_INTACT = "every month in every store is as it was, or as the steps before left it whole"


@dataclass(frozen=True)
class AlertFactory:
    """Makes alerts from events.

    Attributes:
        instance: Dagster's records.
        owners: Returns the owners of assets.
        ui: The address of the UI.
    """

    instance: dg.DagsterInstance
    owners: Callable[[Iterable[dg.AssetKey]], tuple[str, ...]]
    ui: str

    def run_failed(self, run: dg.DagsterRun, at: float) -> Alert | None:
        """The alert of a failed run; None if blocking checks stopped it: each of them has an alert of its own."""
        ended = EndedRun.read(self.instance, run)
        if ended.stopped_by_checks:
            return None
        reason, assets = ended.failure, ended.assets(ended.failed_steps)
        attempts = f" in {ended.retries + 1} attempts" if ended.retries else ""
        done = f"; this run had made: {_names(ended.made)}" if ended.made else ""
        return Alert(
            kind="run_failed",
            severity="error",
            what=f"{(ended.failed_steps and _names(assets)) or _job(run, assets)} failed{_for(ended.months)}{attempts}",
            reason=reason,
            intact=reason.details.get("Intact", _INTACT) + done,
            next_step=reason.details.get(
                "Next", "open the run, correct the cause, and re-execute it from the failed step"
            ),
            since=at,
            **self._of_run(ended, assets),
        )

    def retry_needed(self, run: dg.DagsterRun, at: float) -> Alert | None:
        """The alert of a run that succeeded after a retry; None if nothing was retried."""
        ended = EndedRun.read(self.instance, run)
        steps = ended.retried_steps
        reasons = [
            f"{_names(ended.assets_of_step.get(step, [])) or step} was tried {len(errors) + 1} times: {errors[-1]}"
            for step, errors in steps.items()
        ]
        reasons += [
            f"the download of {key.to_user_string()} took {attempts} attempts"
            for key, attempts in ended.downloads.items()
        ]
        if ended.retries:
            before = self.instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
            failure = EndedRun.read(self.instance, before).failure.summary if before else "the run before failed"
            reasons.insert(0, f"the run was started {ended.retries + 1} times: {failure}")
        if not reasons:
            return None
        assets = ended.assets(steps) if steps else tuple(ended.downloads) or tuple(ended.made)
        return Alert(
            kind="retry_needed",
            severity="warning",
            what=f"{_job(run, assets)} went well{_for(ended.months)}, but a retry was needed",
            reason=Reason(summary="; ".join(reasons)),
            intact="everything: the run went well in the end",
            next_step="nothing now; if it happens again, look for the cause",
            since=at,
            **self._of_run(ended, assets),
        )

    def check_failed(self, check: dg.AssetCheckEvaluation, run: dg.DagsterRun | None, at: float) -> Alert | None:
        """The alert of a check's result; None if it passed."""
        if check.passed:
            return None
        late = check.check_name == LATENESS_CHECK
        asset, pipeline = check.asset_key.to_user_string(), check.asset_key.path[0]
        error = check.severity == dg.AssetCheckSeverity.ERROR
        blocks = bool(check.blocking) and error
        months = (check.partition,) if check.partition else ()
        stopped = ", and stopped the run" if blocks else ""
        reason = text_reason(check.description or f"the check {check.check_name} did not pass")
        return Alert(
            kind="month_late" if late else "check_failed",
            severity="error" if error else "warning",
            what=f"{pipeline}: the newest month is late"
            if late
            else f"the check {check.check_name} of {asset} failed{_for(months)}{stopped}",
            assets=(asset,),
            months=months,
            job=run.job_name if run else None,
            since=at,
            reason=reason,
            intact=reason.details.get("Intact", _intact_of_check(asset, blocks, late)),
            next_step=reason.details.get("Next", _next_of_check(pipeline, late)),
            owners=self.owners([check.asset_key]),
            run_id=run.run_id if run else None,
            link=self._link(run) if run else f"{self.ui}/assets/{asset}?view=checks",
        )

    def _of_run(self, ended: EndedRun, assets: tuple[dg.AssetKey, ...]) -> dict[str, object]:
        return {
            "assets": tuple(key.to_user_string() for key in assets),
            "months": ended.months,
            "job": ended.run.job_name,
            "owners": self.owners(assets),
            "run_id": ended.run.run_id,
            "link": self._link(ended.run),
        }

    def _link(self, run: dg.DagsterRun) -> str:
        return f"{self.ui}/runs/{run.run_id}"


def _names(assets: Iterable[dg.AssetKey]) -> str:
    return ", ".join(key.to_user_string() for key in assets)


def _job(run: dg.DagsterRun, assets: Iterable[dg.AssetKey]) -> str:
    """The name of the job; of the assets if the UI materialized them without a job of the project."""
    return _names(assets) or run.job_name if run.job_name.startswith("__") else run.job_name


def _for(months: tuple[str, ...]) -> str:
    return f" for {' to '.join(months)}" if months else ""


def _intact_of_check(asset: str, blocks: bool, late: bool) -> str:
    if late:
        return "all months that are loaded"
    if blocks:
        return f"all that comes after {asset}: it was not touched"
    return "the month stays as it was loaded: this check stops nothing"


def _next_of_check(pipeline: str, late: bool) -> str:
    if late:
        return f"see whether the source has published it; then: taxi run {pipeline} --months YYYY-MM"
    return "read in the UI what the check found, and correct the rows or the rule"
