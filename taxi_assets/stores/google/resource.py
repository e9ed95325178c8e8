"""Google Cloud as a Dagster resource."""

from __future__ import annotations

import dagster as dg

from taxi_assets.environment import read_environment
from taxi_assets.stores.google.cloud import GoogleCloud


class GoogleCloudResource(GoogleCloud, dg.ConfigurableResource):  # type: ignore[type-arg]
    """Cloud Storage and BigQuery. No secret is part of it: a key is read from its file when a client is made."""

    def create_resource(self, context: dg.InitResourceContext) -> GoogleCloudResource:
        """The resource of a run: it uses the dataset that the run was asked for with."""
        run = read_environment(context.run.run_config if context.run else None)
        if run is None:
            return self
        resource = self.model_copy(update={"dataset": run.bigquery.dataset})
        resource._run = run
        return resource
