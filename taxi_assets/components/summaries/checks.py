"""The check of each summary: it adds up to the trips of its month in BigQuery."""

from collections.abc import Iterator

import dagster as dg

from taxi_assets.components.summaries.of_pipeline import PipelineSummaries
from taxi_assets.components.taxi_pipeline.assets import months_since
from taxi_assets.components.taxi_pipeline.checks import ERROR
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.resource import bigquery_session
from taxi_assets.stores.bigquery.schema import value_in_sql
from taxi_assets.stores.bigquery.verify import count_month
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.columns import Column
from taxi_assets.trips.months import parse_month


def adds_up(
    summaries: PipelineSummaries, name: str, table: TableRef, columns: tuple[Column, ...]
) -> dg.AssetChecksDefinition:
    """The check `adds_up` of a summary: its trips, and its revenue in whole cents where it has it, are the month's.

    Args:
        summaries: The summaries of its pipeline.
        name: The asset of the summary.
        table: Its table.
        columns: The table's columns.
    """
    with_revenue = "revenue" in [column.name for column in columns]
    cents = "CAST(SUM(FLOOR(revenue * 100 + 0.5)) AS INT64)" if with_revenue else "NULL"
    spec = dg.AssetCheckSpec(
        "adds_up",
        asset=summaries.key(name),
        description="The summary's trips" + (" and whole cents" if with_revenue else "") + " are those of the month.",
        additional_deps=[summaries.key("bigquery_table")],
        partitions_def=months_since(summaries.spec.start),
    )

    @dg.multi_asset_check(name=f"{summaries.pipeline}_{name}_check", specs=[spec])
    def check(context: dg.AssetCheckExecutionContext, cloud: GoogleCloudResource) -> Iterator[dg.AssetCheckResult]:
        month = parse_month(context.partition_key)
        with dagster_failures():
            month_rows, month_cents = count_month(cloud, summaries.trips_table, month)
            with bigquery_session(cloud, f"Counting {table} in BigQuery", table) as session:
                where = f"{session.table(table).bigquery} WHERE source_month = {value_in_sql(month)}"
                (row,) = session.query(f"SELECT COALESCE(SUM(trips), 0) AS trips, {cents} AS cents FROM {where}")[1]  # noqa: S608
        same = row.trips == month_rows and (not with_revenue or (row.cents or 0) == month_cents)
        totals = f"{row.trips:,} trips" + (f" and {row.cents or 0:,} cents" if with_revenue else "")
        yield dg.AssetCheckResult(
            passed=same,
            check_name=spec.name,
            asset_key=spec.asset_key,
            severity=ERROR,
            description=f"{totals} in the summary; {month_rows:,} trips and {month_cents:,} cents in the month",
            metadata={"trips": row.trips, "trips_of_the_month": month_rows},
        )

    return check
