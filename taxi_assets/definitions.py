"""The definitions that Dagster loads.

Each folder of `defs/` has one YAML file. The component that it names makes assets, checks, a job and sensors; in the
place of a broken file's stands what names its error. They use the resources below, which read addresses from the
settings and start a local service when they need one.
"""

import warnings
from functools import cache

import dagster as dg

from taxi_assets.alerts.sensor import alerts
from taxi_assets.components.folders import load_folders
from taxi_assets.instance.executor import EXECUTOR
from taxi_assets.settings import settings
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.bigquery.io_manager import ArrowTableIOManager, BigQueryIOManager, DataFrameIOManager
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.intermediate import RawFileIOManager, TripTableIOManager
from taxi_assets.stores.lake.io_manager import LakeIOManager
from taxi_assets.stores.postgres.io_manager import PostgresIOManager
from taxi_assets.stores.postgres.resource import PostgresResource

# Partitions of checks, code references and owners of sensors are in preview or beta; Dagster's version is bounded.
for category in (dg.PreviewWarning, dg.BetaWarning):
    warnings.filterwarnings("ignore", category=category)


# Dagster loads them twice a run.
@dg.definitions
@cache
def defs() -> dg.Definitions:
    """Every pipeline, with the resources of this environment."""
    home = str(settings().taxi_home)
    postgres = PostgresResource.from_settings(settings())
    cloud = GoogleCloudResource.from_settings(settings())
    return dg.Definitions.merge(
        load_folders("taxi_assets.defs"),
        dg.Definitions(
            resources={
                "trip_source": TripSourceResource(),
                "postgres": postgres,
                "raw_files": RawFileIOManager(home=home),
                "trip_tables": TripTableIOManager(home=home),
                "postgres_tables": PostgresIOManager(postgres=postgres),
                "cloud": cloud,
                "lake_objects": LakeIOManager(cloud=cloud, postgres=postgres),
                "bigquery_tables": BigQueryIOManager(cloud=cloud, postgres=postgres),
                "arrow_tables": ArrowTableIOManager(cloud=cloud),
                "data_frames": DataFrameIOManager(cloud=cloud),
            },
            sensors=[alerts],
            executor=EXECUTOR,
        ),
    )
