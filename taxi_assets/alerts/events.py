"""From Dagster's events to alerts: a failed run, a needed retry, a failed check, a late month."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dagster as dg
from dagster import AssetCheckEvaluation

from taxi_assets.alerts.alert import Alert, Reason
from taxi_assets.alerts.reason import parse_reason
from taxi_assets.alerts.runs import EndedRun

LATENESS_CHECK = "newest_month_not_late"
"""The check that says whether a pipeline's newest month is there in time."""

_UNTOUCHED = "every month in every store is as it was, or as the steps before left it whole"


@dataclass(frozen=True)
class AlertMaker:
    """Makes alerts of events.

    Attributes:
        instance: Where the events stand.
        owners: The owners of assets.
        ui: The address of the UI.
    """

    instance: dg.DagsterInstance
    owners: Callable[[Iterable[dg.AssetKey]], tuple[str, ...]]
    ui: str

    def run_failed(self, run: dg.DagsterRun, at: float) -> Alert | None:
        """The alert of a failed run; None where blocking checks stopped it, which are told of by themselves."""
        ended = EndedRun.read(self.instance, run)
        if ended.stopped_by_checks:
            return None
        reason, assets = ended.failure, ended.assets(ended.failed_steps)
        attempts = f" in {ended.retries + 1} attempts" if ended.retries else ""
        made = ", ".join(key.to_user_string() for key in ended.made)
        done = f"; this run had made: {made}" if made else ""
        return Alert(
            kind="run_failed",
            severity="error",
            what=f"{(ended.failed_steps and _names(assets)) or _job(run, assets)} failed{_for(ended.months)}{attempts}",
            why=reason,
            intact=reason.details.get("Intact", _UNTOUCHED) + done,
            next_step=reason.details.get(
                "Next", "open the run, mend the cause, and re-execute it from the failed step"
            ),
            since=at,
            **self._of_run(ended, assets),
        )

    def retry_needed(self, run: dg.DagsterRun, at: float) -> Alert | None:
        """The alert of a run that went well, but not at the first attempt; None where nothing was tried again."""
        ended = EndedRun.read(self.instance, run)
        steps = ended.tried_again
        reasons = [
            f"{_names(ended.assets_of_step.get(step, [])) or step} was tried {len(whys) + 1} times: {whys[-1].summary}"
            for step, whys in steps.items()
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
            why=Reason(summary="; ".join(reasons)),
            intact="everything: the run went well in the end",
            next_step="nothing now; where it comes again, look for what fails",
            since=at,
            **self._of_run(ended, assets),
        )

    def check_failed(self, check: AssetCheckEvaluation, run: dg.DagsterRun | None, at: float) -> Alert | None:
        """The alert of a check's result; None where it passed."""
        if check.passed:
            return None
        late = check.check_name == LATENESS_CHECK
        asset, service = check.asset_key.to_user_string(), check.asset_key.path[0]
        error = check.severity == dg.AssetCheckSeverity.ERROR
        blocks = bool(check.blocking) and error
        months = (check.partition,) if check.partition else ()
        said = parse_reason(check.description or f"the check {check.check_name} did not pass")
        stopped = ", and stopped the run" if blocks else ""
        return Alert(
            kind="month_late" if late else "check_failed",
            severity="error" if error else "warning",
            what=f"{service}: the newest month is late"
            if late
            else f"the check {check.check_name} of {asset} failed{_for(months)}{stopped}",
            assets=(asset,),
            months=months,
            job=run.job_name if run else None,
            since=at,
            why=said,
            intact=_intact_of_check(asset, blocks, late),
            next_step=said.details.get("Next", _next_of_check(service, late)),
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
    """The job's name; what the UI materializes without a job of the project goes by the assets."""
    return _names(assets) or run.job_name if run.job_name.startswith("__") else run.job_name


def _for(months: tuple[str, ...]) -> str:
    return f" for {' to '.join(months)}" if months else ""


def _intact_of_check(asset: str, blocks: bool, late: bool) -> str:
    if late:
        return "all months that are loaded"
    if blocks:
        return f"all that comes after {asset}: it was not touched"
    return "the month stays as it was loaded: this check stops nothing"


def _next_of_check(service: str, late: bool) -> str:
    if late:
        return f"see whether the source has published it; then: taxi run {service} --months YYYY-MM"
    return "read in the UI what the check found, and mend the rows or the rule"
