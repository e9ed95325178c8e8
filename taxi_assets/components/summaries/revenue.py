"""Revenue per zone and month, in SQL: BigQuery reads its own table of trips, and no row leaves it."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from taxi_assets.components import metadata
from taxi_assets.components.summaries.columns import REVENUE_PER_ZONE
from taxi_assets.components.summaries.of_pipeline import ZONES_KEY, PipelineSummaries
from taxi_assets.components.summaries.plots import MOST_ZONES, long_bars
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.metadata import INTACT, output_metadata
from taxi_assets.stores.bigquery.replace import Query, replace_rows, select_rows
from taxi_assets.stores.bigquery.resource import bigquery_session
from taxi_assets.stores.bigquery.schema import value_in_sql
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.columns import CENTS_SQL
from taxi_assets.trips.months import parse_month


def revenue_query(trips: TableRef, zones: TableRef, month: date) -> Query:
    """The month's revenue in whole cents by zone of pickup; zones that the lookup lacks have no name."""
    return Query(f"""
        WITH by_zone AS (
            SELECT pu_location_id, COUNT(*) AS trips, {CENTS_SQL} / 100 AS revenue, source_month
            FROM {trips.bigquery} WHERE source_month = {value_in_sql(month)}
            GROUP BY pu_location_id, source_month
        )
        SELECT pu_location_id, borough, zone, trips, revenue, source_month
        FROM by_zone LEFT JOIN {zones.bigquery} ON location_id = pu_location_id
    """)  # noqa: S608


def revenue_per_zone(summaries: PipelineSummaries, declared: TableRef, zones: TableRef) -> dg.AssetsDefinition:
    """The asset; it runs a query, and has nothing for an IO manager."""
    trips, lookup = summaries.key("bigquery_table").path, ZONES_KEY.path
    lineage = metadata.column_lineage(
        {
            "pu_location_id": [(trips, "pu_location_id")],
            "borough": [(lookup, "borough")],
            "zone": [(lookup, "zone")],
            "revenue": [(trips, "total_amount")],
            "source_month": [(trips, "source_month")],
        }
    )
    description = (
        f"{summaries.trips.title}: revenue by zone of pickup, with the zone's name, month of the file by month."
    )

    @summaries.asset(
        "revenue_per_zone",
        Table(declared, REVENUE_PER_ZONE, description),
        lineage,
        "sql",
        deps=[summaries.key("bigquery_table"), ZONES_KEY],
    )
    def add_up(context: dg.AssetExecutionContext, cloud: GoogleCloudResource) -> Iterator[dg.MaterializeResult[None]]:
        month = parse_month(context.partition_key)
        with dagster_failures():
            if summaries.held_in_bigquery(cloud, context) is None:
                return
        doing = f"Adding up {summaries.pipeline} {context.partition_key} in BigQuery"
        with dagster_failures(), bigquery_session(cloud, doing, declared, INTACT) as session:
            table = Table(session.table(declared), REVENUE_PER_ZONE, description)
            query = revenue_query(session.table(summaries.trips_table), session.table(zones), month)
            done = replace_rows(session, table, query, month)
            most = f"{select_rows(table, month)} ORDER BY revenue DESC LIMIT {MOST_ZONES}"
            rows = [dict(row) for row in session.query(most)[1]]
        bars = {f"{row['zone'] or 'unknown'} ({row['pu_location_id']})": row["revenue"] for row in rows}
        names = [column.name for column in table.columns]
        yield dg.MaterializeResult(
            metadata={
                **output_metadata(table, done, month),
                metadata.LINEAGE: lineage,
                "plot": long_bars(f"Revenue of {context.partition_key} by zone of pickup, US dollars", bars),
                "preview": metadata.preview_of(rows[: metadata.PREVIEW_ROWS], names),
            }
        )

    return add_up
