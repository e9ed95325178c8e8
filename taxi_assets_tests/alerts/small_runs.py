"""Small assets that fail, are tried again, or are checked: as the pipelines do, in a moment."""

import dagster as dg

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.failures import dagster_failures
from taxi_assets.pipeline import LATENESS_CHECK

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2020-01", fmt="%Y-%m")
OWNERS = ["team:data-platform", "ada@example.org"]
AGAIN = dg.RetryPolicy(max_retries=2)

broken_months: set[str] = set()
failures_left = 0
check_passes = True
found = "7 read, 5 kept, 1 rejected"


@dg.asset(key=["green", "raw_taxi"], partitions_def=MONTHS, owners=OWNERS, retry_policy=AGAIN)
def raw_taxi(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Fails for good in broken months, and passingly as often as it is told to."""
    global failures_left
    with dagster_failures():
        if context.partition_key in broken_months:
            raise TaxiError(
                f"The file of {context.partition_key} is no gzip file.",
                expected="a gzip file",
                found="<html>",
                where="http://source/green.csv.gz",
                intact="nothing was written",
                next_step="ask the source",
            )
        if failures_left:
            failures_left -= 1
            raise TransientError("The source does not answer.", found="a timeout")
    return dg.MaterializeResult(metadata={"attempts": 1})


@dg.asset(key=["green", "clean_taxi"], deps=[raw_taxi], partitions_def=MONTHS, owners=OWNERS)
def clean_taxi(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Always goes well; downloads in three attempts in 2020-09."""
    return dg.MaterializeResult(metadata={"attempts": 3 if context.partition_key == "2020-09" else 1})


def _check(name: str, *, blocking: bool, severity: dg.AssetCheckSeverity) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=clean_taxi, name=name, blocking=blocking, partitions_def=MONTHS)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=check_passes, severity=severity, description=found)

    return check


@dg.asset_check(asset=clean_taxi, name=LATENESS_CHECK)
def on_time() -> dg.AssetCheckResult:
    """Always late."""
    return dg.AssetCheckResult(
        passed=False, severity=dg.AssetCheckSeverity.WARN, description="2020-03 is 12 days late."
    )


job = dg.define_asset_job("green_taxi_etl", dg.AssetSelection.assets(raw_taxi, clean_taxi).without_checks())
definitions = dg.Definitions(
    assets=[raw_taxi, clean_taxi],
    asset_checks=[
        _check("rows_accounted_for", blocking=True, severity=dg.AssetCheckSeverity.ERROR),
        _check("vendors_known", blocking=False, severity=dg.AssetCheckSeverity.WARN),
        on_time,
    ],
    jobs=[job],
    executor=dg.in_process_executor,
)
repository = definitions.get_repository_def()


def run(instance: dg.DagsterInstance, month: str) -> dg.ExecuteInProcessResult:
    """The pipeline for a month."""
    return definitions.resolve_job_def("green_taxi_etl").execute_in_process(
        instance=instance, partition_key=month, raise_on_error=False
    )


def run_check(instance: dg.DagsterInstance, name: str, month: str | None) -> dg.ExecuteInProcessResult:
    """One check, of a month."""
    key = dg.AssetCheckKey(dg.AssetKey(["green", "clean_taxi"]), name)
    checked = dg.define_asset_job("checked", dg.AssetSelection.checks(key))
    found = dg.Definitions(
        assets=definitions.assets,
        asset_checks=definitions.asset_checks,
        jobs=[checked],
        executor=dg.in_process_executor,
    )
    return found.resolve_job_def("checked").execute_in_process(
        instance=instance, tags={"dagster/partition": month} if month else {}, raise_on_error=False
    )
