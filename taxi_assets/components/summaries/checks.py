"""The check of each summary: it adds up to the trips of its month that stand in BigQuery."""

from collections.abc import Iterator

import dagster as dg

from taxi_assets.components.partitions import months_since
from taxi_assets.components.summaries.service import Place, ServiceSummaries
from taxi_assets.components.taxi_pipeline.checks import ERROR
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.client import connected
from taxi_assets.stores.bigquery.schema import value_in_sql
from taxi_assets.stores.bigquery.verify import count_month
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.trips.columns import Column
from taxi_assets.trips.months import parse_month


def adds_up(
    service: ServiceSummaries, name: str, place: Place, columns: tuple[Column, ...]
) -> dg.AssetChecksDefinition:
    """The check `adds_up` of a summary: its trips, and its revenue in whole cents where it has it, are the month's.

    Args:
        service: The service.
        name: The asset of the summary.
        place: Its table.
        columns: The table's columns.
    """
    with_revenue = "revenue" in [column.name for column in columns]
    cents = "CAST(SUM(FLOOR(revenue * 100 + 0.5)) AS INT64)" if with_revenue else "NULL"
    spec = dg.AssetCheckSpec(
        "adds_up",
        asset=service.key(name),
        description="The summary's trips" + (" and whole cents" if with_revenue else "") + " are those of the month.",
        additional_deps=[service.key("bigquery_table")],
        partitions_def=months_since(service.first_month),
    )

    @dg.multi_asset_check(name=f"{service.service}_{name}_check", specs=[spec])
    def check(context: dg.AssetCheckExecutionContext, cloud: GoogleCloud) -> Iterator[dg.AssetCheckResult]:
        month = parse_month(context.partition_key)
        table, trips = place.at(cloud, columns), service.trips_place
        with dagster_failures():
            there = count_month(cloud, service.service, trips.dataset, trips.table, month)
            with connected(cloud, f"Counting {table} in BigQuery", str(table)) as warehouse:
                where = f"{table.in_sql(warehouse.client.project)} WHERE source_month = {value_in_sql(month)}"
                (row,) = warehouse.ask(f"SELECT COALESCE(SUM(trips), 0) AS trips, {cents} AS cents FROM {where}")[1]  # noqa: S608
        same = row.trips == there[0] and (not with_revenue or (row.cents or 0) == there[1])
        found = f"{row.trips:,} trips" + (f" and {row.cents or 0:,} cents" if with_revenue else "")
        yield dg.AssetCheckResult(
            passed=same,
            check_name=spec.name,
            asset_key=spec.asset_key,
            severity=ERROR,
            description=f"{found} in the summary; {there[0]:,} trips and {there[1]:,} cents in the month",
            metadata={"trips": row.trips, "trips_of_the_month": there[0]},
        )

    return check
