"""The columns of the summaries, declared once: BigQuery's schema and what Dagster shows come from here."""

from taxi_assets.trips.columns import SOURCE_MONTH, Column, ColumnType

_DOLLARS = "US dollars"
_ZONE = Column("pu_location_id", ColumnType.SMALLINT, "TLC taxi zone of the pickup; null: not known.")
_TRIPS = Column("trips", ColumnType.BIGINT, "Trips that were kept.")
_PASSENGERS = Column("passengers", ColumnType.BIGINT, "Passengers of these trips.", unit="persons")
_REVENUE = Column(
    "revenue", ColumnType.DOUBLE, "What their passengers were charged: total_amount in whole cents.", unit=_DOLLARS
)

PER_DAY = (
    Column("day", ColumnType.DATE, "Day of the pickup, New York time; null: not known."),
    _TRIPS,
    _PASSENGERS,
    _REVENUE,
    SOURCE_MONTH,
)
PER_ZONE_HOUR = (
    _ZONE,
    Column("pickup_hour", ColumnType.DATETIME, "Beginning of the hour of the pickup, New York time; null: not known."),
    _TRIPS,
    SOURCE_MONTH,
)
REVENUE_PER_ZONE = (
    _ZONE,
    Column("borough", ColumnType.TEXT, "Borough of the zone; null: the zone is not in the lookup."),
    Column("zone", ColumnType.TEXT, "Name of the zone; null: it is not in the lookup."),
    _TRIPS,
    _REVENUE,
    SOURCE_MONTH,
)
ZONES = (
    Column("location_id", ColumnType.SMALLINT, "Number of the taxi zone.", ("LocationID",)),
    Column("borough", ColumnType.TEXT, "Its borough.", ("Borough",)),
    Column("zone", ColumnType.TEXT, "Its name.", ("Zone",)),
    Column("service_zone", ColumnType.TEXT, "The kind of service it belongs to.", ("service_zone",)),
)
