"""Asset checks: what holds of a month, in the place of assertions on a step's output.

A blocking check stops what comes after it. Each has the partitions of its asset, so that one month's result speaks of
that month alone.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from taxi_assets.trips.checks import broken_rows, newcomers
from taxi_assets.trips.summary import Summary
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from taxi_assets.components.pipeline import TaxiPipeline

WARN = dg.AssetCheckSeverity.WARN
ERROR = dg.AssetCheckSeverity.ERROR


def check_spec(
    pipeline: "TaxiPipeline", asset: str, name: str, says: str, *, blocking: bool = False, reads: Sequence[str] = ()
) -> dg.AssetCheckSpec:
    """A check of one of the pipeline's assets, month by month; `reads` names further assets that it looks at."""
    return dg.AssetCheckSpec(
        name,
        asset=pipeline.key(asset),
        description=says,
        blocking=blocking,
        additional_deps=[pipeline.key(other) for other in reads],
        partitions_def=pipeline.partitions,
    )


def result(
    spec: dg.AssetCheckSpec,
    passed: bool,
    says: str,
    severity: dg.AssetCheckSeverity = ERROR,
    **metadata: Any,
) -> dg.AssetCheckResult:
    """What a check found, in a sentence and in numbers."""
    return dg.AssetCheckResult(
        passed=passed,
        check_name=spec.name,
        asset_key=spec.asset_key,
        severity=severity,
        description=says,
        metadata=metadata,
    )


def clean_checks(pipeline: "TaxiPipeline") -> dg.AssetChecksDefinition:
    """The checks of a cleaned month, read from its files anew."""
    accounted = check_spec(
        pipeline,
        "clean_taxi",
        "rows_accounted_for",
        "Rows read = rows kept + rows rejected.",
        blocking=True,
        reads=["rejected_taxi"],
    )
    rules_hold = check_spec(
        pipeline, "clean_taxi", "no_kept_row_breaks_a_rule", "No kept row breaks a rule.", blocking=True
    )
    not_empty = check_spec(pipeline, "clean_taxi", "month_not_empty", "At least one row was kept.", blocking=True)
    vendors = check_spec(pipeline, "clean_taxi", "vendors_known", "Every vendor_id is one that the TLC defines.")
    in_month = check_spec(
        pipeline,
        "clean_taxi",
        "pickups_in_the_month",
        f"At most {pipeline.most_pickups_outside:.1%} of the pickups lie outside the file's month.",
    )

    columns = check_spec(pipeline, "clean_taxi", "columns_known", "The registry knows every column of the file.")

    @dg.multi_asset_check(
        name=f"{pipeline.service}_clean_checks",
        specs=[accounted, rules_hold, not_empty, vendors, in_month, columns],
        ins={
            "clean_taxi": dg.AssetIn(pipeline.key("clean_taxi")),
            "rejected_taxi": dg.AssetIn(pipeline.key("rejected_taxi")),
        },
    )
    def clean_checks_op(clean_taxi: TripTable, rejected_taxi: TripTable) -> Iterator[dg.AssetCheckResult]:
        summary = Summary.from_json(clean_taxi.note["summary"])
        kept, rejected = clean_taxi.rows, rejected_taxi.rows
        yield result(
            accounted,
            summary.rows_read == kept + rejected,
            f"{summary.rows_read:,} read, {kept:,} kept, {rejected:,} rejected",
            rows_read=summary.rows_read,
            rows_kept=kept,
            rows_rejected=rejected,
        )
        broken = broken_rows(clean_taxi, pipeline.reject)
        yield result(rules_hold, broken == 0, f"{broken:,} of {kept:,} kept rows break a rule", rows_broken=broken)
        yield result(not_empty, kept > 0, f"{kept:,} rows kept", rows_kept=kept)
        new = newcomers(summary, pipeline.trips)
        says = f"not defined by the TLC: {', '.join(new)}" if new else "all defined by the TLC"
        yield result(vendors, not new, says, WARN, newcomers=new)
        share = summary.pickups_outside / kept if kept else 0.0
        yield result(
            in_month,
            share <= pipeline.most_pickups_outside,
            f"{summary.pickups_outside:,} of {kept:,} pickups ({share:.2%}) lie outside the month",
            WARN,
            share=share,
            pickups_outside=summary.pickups_outside,
        )
        unknown = summary.unknown_columns
        says = f"left out, because the registry does not know them: {', '.join(unknown)}" if unknown else "all known"
        yield result(columns, not unknown, says, WARN, left_out=unknown)

    return clean_checks_op
