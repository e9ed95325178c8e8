"""The asset checks of a pipeline.

A blocking check stops the assets after it. Each check has the partitions of its asset: a result is of one month.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from taxi_assets.components.taxi_pipeline.assets import months_since, run_source
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.files import work_folder
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.sources.errors import NotPublished
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.bigquery.verify import count_month
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.lake.verify import read_back
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.clean import rule_violations, unknown_zones
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

WARN = dg.AssetCheckSeverity.WARN
ERROR = dg.AssetCheckSeverity.ERROR


def check_spec(
    pipeline: PipelineSpec,
    asset: str,
    name: str,
    description: str,
    *,
    blocking: bool = False,
    reads: Sequence[str] = (),
) -> dg.AssetCheckSpec:
    """A check of one of the pipeline's assets, month by month; `reads` names further assets that it needs."""
    return dg.AssetCheckSpec(
        name,
        asset=pipeline.key(asset),
        description=description,
        blocking=blocking,
        additional_deps=[pipeline.key(other) for other in reads],
        partitions_def=months_since(pipeline.start),
    )


def result(
    spec: dg.AssetCheckSpec,
    passed: bool,
    description: str,
    severity: dg.AssetCheckSeverity = ERROR,
    **metadata: Any,
) -> dg.AssetCheckResult:
    """The result of a check, in a sentence and in numbers."""
    return dg.AssetCheckResult(
        passed=passed,
        check_name=spec.name,
        asset_key=spec.asset_key,
        severity=severity,
        description=description,
        metadata=metadata,
    )


def clean_checks(pipeline: PipelineSpec) -> dg.AssetChecksDefinition:
    """The checks of a cleaned month; they read its files again."""
    spec = partial(check_spec, pipeline, "clean_taxi")
    text = "Rows read = rows kept + rows rejected."
    accounted = spec("rows_accounted_for", text, blocking=True, reads=["rejected_taxi"])
    rules_hold = spec("no_kept_row_breaks_a_rule", "No kept row breaks a rule.", blocking=True)
    not_empty = spec("month_not_empty", "At least one row was kept.", blocking=True)
    vendors = [spec("vendors_known", "Every vendor_id is one that the TLC defines.")] if pipeline.trips.vendors else []
    text = f"At most {pipeline.most_pickups_outside:.1%} of the pickups lie outside the file's month."
    in_month = spec("pickups_in_the_month", text)
    columns = spec("columns_known", "The registry knows every column of the file.")

    @dg.multi_asset_check(
        name=f"{pipeline.name}_clean_checks",
        specs=[accounted, rules_hold, not_empty, *vendors, in_month, columns],
        ins={
            "clean_taxi": dg.AssetIn(pipeline.key("clean_taxi")),
            "rejected_taxi": dg.AssetIn(pipeline.key("rejected_taxi")),
        },
    )
    def clean_checks_op(clean_taxi: TripTable, rejected_taxi: TripTable) -> Iterator[dg.AssetCheckResult]:
        summary = clean_taxi.summary
        kept, rejected = clean_taxi.rows, rejected_taxi.rows
        yield result(
            accounted,
            summary.rows_read == kept + rejected,
            f"{summary.rows_read:,} read, {kept:,} kept, {rejected:,} rejected",
            rows_read=summary.rows_read,
            rows_kept=kept,
            rows_rejected=rejected,
        )
        broken = rule_violations(clean_taxi, pipeline.reject)
        yield result(rules_hold, broken == 0, f"{broken:,} of {kept:,} kept rows break a rule", rows_broken=broken)
        yield result(not_empty, kept > 0, f"{kept:,} rows kept", rows_kept=kept)
        for each in vendors:
            unknown_ids = summary.unknown_vendors(pipeline.trips)
            text = f"not defined by the TLC: {', '.join(unknown_ids)}" if unknown_ids else "all defined by the TLC"
            yield result(each, not unknown_ids, text, WARN, unknown_vendors=unknown_ids)
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
        text = f"left out, because the registry does not know them: {', '.join(unknown)}" if unknown else "all known"
        yield result(columns, not unknown, text, WARN, left_out=unknown)

    return clean_checks_op


def measure(pipeline: PipelineSpec) -> str:
    """What is compared of a month, as the descriptions of checks begin."""
    return (
        "Rows and whole cents of total_amount" if pipeline.trips.has_amounts else "Rows (these trips have no amounts)"
    )


def agreement_result(
    pipeline: PipelineSpec,
    spec: dg.AssetCheckSpec,
    contents: str,
    counted: tuple[int, int],
    cleaned: tuple[int, int],
) -> dg.AssetCheckResult:
    """Whether a store holds the rows and whole cents that were cleaned; both pairs are (rows, cents).

    Without amounts the rows alone are compared and shown.
    """
    rows: dict[str, Any] = {"rows": counted[0], "rows_cleaned": cleaned[0]}
    if not pipeline.trips.has_amounts:
        text = f"{counted[0]:,} rows in the {contents}; {cleaned[0]:,} cleaned"
        return result(spec, counted == cleaned, text, **rows)
    text = f"{counted[0]:,} rows and {counted[1]:,} cents in the {contents}; {cleaned[0]:,} and {cleaned[1]:,} cleaned"
    return result(spec, counted == cleaned, text, **rows, cents=counted[1], cents_cleaned=cleaned[1])


def postgres_checks(pipeline: PipelineSpec) -> dg.AssetChecksDefinition:
    """The checks of a month in PostgreSQL; they count in the table."""
    agrees = check_spec(
        pipeline,
        "postgres_table",
        "agrees_with_clean_taxi",
        f"{measure(pipeline)} in PostgreSQL equal those of the cleaned month.",
        reads=["clean_taxi"],
    )
    not_empty = check_spec(pipeline, "postgres_table", "table_not_empty", "The table holds rows of this month.")
    text = "No synthetic month stands beside this one, if this one is of a real file."
    only_real = check_spec(pipeline, "postgres_table", "no_synthetic_months_beside", text)

    @dg.multi_asset_check(
        name=f"{pipeline.name}_postgres_checks",
        specs=[agrees, not_empty, only_real],
        ins={"clean_taxi": dg.AssetIn(pipeline.key("clean_taxi"))},
    )
    def postgres_checks_op(
        context: dg.AssetCheckExecutionContext, clean_taxi: TripTable, postgres: PostgresResource
    ) -> Iterator[dg.AssetCheckResult]:
        summary = clean_taxi.summary
        with dagster_failures():
            trial = bool(clean_taxi.metadata.get("limit"))
            table = postgres.table(pipeline.postgres, trial=trial)
            rows, cents = postgres.count_month(table, parse_month(context.partition_key))
            beside = postgres.synthetic_beside(parse_month(context.partition_key), table)
        yield agreement_result(pipeline, agrees, "table", (rows, cents), (summary.rows_kept, summary.cents_kept))
        yield result(not_empty, rows > 0, f"{rows:,} rows", rows=rows)
        text = f"synthetic months stand in the same table: {', '.join(beside)}" if beside else "none"
        yield result(only_real, not beside, text, WARN, months=beside)

    return postgres_checks_op


def lake_checks(pipeline: PipelineSpec) -> dg.AssetChecksDefinition:
    """The checks of a month in the lake; they read its objects back."""
    spec = partial(check_spec, pipeline, "gcs_parquet", reads=["clean_taxi"])
    text = f"{measure(pipeline)} in the Parquet objects equal those of the cleaned month."
    agrees = spec("agrees_with_clean_taxi", text, blocking=True)
    schema = spec("schema_is_the_registrys", "Every object has the registry's columns, types and descriptions.")
    strays = spec("no_stray_objects", "The lake holds no object of this month that the load did not write.")

    @dg.multi_asset_check(
        name=f"{pipeline.name}_lake_checks",
        specs=[agrees, schema, strays],
        ins={
            "gcs_parquet": dg.AssetIn(pipeline.key("gcs_parquet")),
            "clean_taxi": dg.AssetIn(pipeline.key("clean_taxi")),
        },
    )
    def lake_checks_op(
        gcs_parquet: LakeLoad, clean_taxi: TripTable, cloud: GoogleCloudResource
    ) -> Iterator[dg.AssetCheckResult]:
        summary = clean_taxi.summary
        name = f"read-{pipeline.name}-{gcs_parquet.month}"
        with dagster_failures(), work_folder(Path(cloud.home), name) as folder:
            read = read_back(cloud, gcs_parquet, folder)
        yield agreement_result(
            pipeline, agrees, "objects", (read.rows, read.cents), (summary.rows_kept, summary.cents_kept)
        )
        wrong = "; ".join(f"{name}: {what}" for name, what in read.wrong_schemas.items())
        yield result(schema, not wrong, wrong or f"{len(read.rows_by_object)} objects as declared")
        odd = [*(f"missing: {name}" for name in read.missing), *(f"stray: {name}" for name in read.strays)]
        yield result(strays, not odd, "; ".join(odd) or "only the objects that the load wrote", objects=odd)

    return lake_checks_op


def bigquery_checks(pipeline: PipelineSpec, target: TableRef) -> dg.AssetChecksDefinition:
    """The checks of a month in BigQuery; they count in the table."""
    text = f"{measure(pipeline)} in BigQuery equal those that stand in the lake."
    agrees = check_spec(pipeline, "bigquery_table", "agrees_with_gcs_parquet", text, reads=["gcs_parquet"])
    not_empty = check_spec(pipeline, "bigquery_table", "table_not_empty", "The table holds rows of this month.")

    @dg.multi_asset_check(
        name=f"{pipeline.name}_bigquery_checks",
        specs=[agrees, not_empty],
        ins={"gcs_parquet": dg.AssetIn(pipeline.key("gcs_parquet"))},
    )
    def bigquery_checks_op(gcs_parquet: LakeLoad, cloud: GoogleCloudResource) -> Iterator[dg.AssetCheckResult]:
        entry = gcs_parquet.entry
        with dagster_failures():
            rows, cents = count_month(cloud, target, entry.source_month)
        yield agreement_result(pipeline, agrees, "table", (rows, cents), (entry.rows_kept, entry.cents))
        yield result(not_empty, rows > 0, f"{rows:,} rows", rows=rows)

    return bigquery_checks_op


def zone_checks(pipeline: PipelineSpec) -> dg.AssetChecksDefinition:
    """The check of a cleaned month against the zone lookup of the source that the run takes it from."""
    known = check_spec(pipeline, "clean_taxi", "zones_known", "Each zone id is in the zone lookup of the source.")

    @dg.multi_asset_check(
        name=f"{pipeline.name}_zone_checks",
        specs=[known],
        ins={"clean_taxi": dg.AssetIn(pipeline.key("clean_taxi"))},
    )
    def zone_checks_op(
        context: dg.AssetCheckExecutionContext, clean_taxi: TripTable, trip_source: TripSourceResource
    ) -> Iterator[dg.AssetCheckResult]:
        try:
            lookup = trip_source.source(run_source(pipeline.name, context.run.run_config)).fetch_lookup().path
        except TaxiError as error:
            # A missing lookup does not stop a month.
            yield result(known, isinstance(error, NotPublished), f"not checked: {error.summary}", WARN)
            return
        unknown = unknown_zones(clean_taxi, lookup)
        text = f"not in the lookup: {', '.join(map(str, unknown))}" if unknown else "all in the lookup"
        yield result(known, not unknown, text, WARN, unknown=unknown)

    return zone_checks_op
