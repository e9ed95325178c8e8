"""What stands in Dagster in the place of a broken file's definitions: they name the file and what is wrong with it.

Its schedules keep their names and run nothing. Dagster forgets the state of a schedule that is gone for 12 hours, and
with it that a person switched the schedule off.
"""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

from taxi_assets.components.metadata import CODE_REFERENCES
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.yaml_fields import owners_in

ASSET = "defs_yaml"
CHECK = "file_is_valid"
INTERVAL_SECONDS = 30
_MENDED = "`taxi dev` loads the corrected file by itself; elsewhere choose *Deployment*, *Reload*."


def broken_file(path: Path, error: TaxiError, taken: set[str]) -> dg.Definitions:
    """An asset with a failing check, a sensor that reports it, and the job and schedules of the pipeline, which fail.

    Args:
        path: The file.
        error: What is wrong with it.
        taken: The names of jobs and schedules that others have; those of this file are added.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    folder = re.sub(r"\W", "_", path.parent.name)
    reference = dg.LocalFileCodeReference(file_path=str(path))
    asset = dg.AssetSpec(
        [folder, ASSET],
        group_name=folder,
        description=f"**This file is broken**, and its definitions are left out:\n\n```text\n{error}\n```\n\n{_MENDED}",
        kinds={"yaml"},
        owners=owners_in(text),
        metadata={CODE_REFERENCES: dg.CodeReferencesMetadataValue(code_references=[reference])},
    )
    found = dg.Definitions([asset], asset_checks=[_check(asset.key, error)], sensors=[_sensor(path, asset.key, error)])
    name = _value("name", text) or folder
    job = _job(_value("job", text) or f"{name}_etl", error)
    names = {f"{job.name}_schedule", f"{name}_freshness_schedule"} - taken
    if "TaxiPipeline" not in text or job.name in taken:
        return found
    taken |= {job.name, *names}
    schedules = [_schedule(each, job, error) for each in sorted(names)]
    return dg.Definitions.merge(found, dg.Definitions(jobs=[job], schedules=schedules))


def _value(key: str, text: str) -> str | None:
    """The value of a key, also of a file that is no YAML."""
    found = re.search(rf"^\s*{key}:\s*([A-Za-z0-9_]+)\s*(#.*)?$", text, re.MULTILINE)
    return found[1] if found else None


def _check(asset: dg.AssetKey, error: TaxiError) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=CHECK, description="The YAML file of this folder is valid.")
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description=str(error))

    return check


def _job(name: str, error: TaxiError) -> dg.JobDefinition:
    @dg.op(name=f"{name}_is_broken")
    def fail() -> None:
        with dagster_failures():
            raise error

    @dg.job(name=name, description=f"Runs nothing: {error.summary}")
    def job() -> None:
        fail()

    return job


def _schedule(name: str, job: dg.JobDefinition, error: TaxiError) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=job,
        cron_schedule="0 * * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Starts nothing: {error.summary}",
    )
    def schedule() -> dg.SkipReason:
        return dg.SkipReason(str(error))

    return schedule


def _sensor(path: Path, asset: dg.AssetKey, error: TaxiError) -> dg.SensorDefinition:
    """The sensor that reports the failing check once, which raises an alert, and names the file in the daemon's log."""

    @dg.sensor(
        name=f"{asset.path[0]}_{CHECK}",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reports that a file is broken: {error.summary}",
    )
    def report(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        state = f"{path.stat().st_mtime_ns if path.is_file() else 0} {error}"
        if context.cursor != state:
            context.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset, CHECK, passed=False, description=str(error))
            )
            context.update_cursor(state)
        return dg.SkipReason(str(error))

    return report
