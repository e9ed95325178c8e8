"""The trip source as a Dagster resource."""

from __future__ import annotations

import dagster as dg
from pydantic import PrivateAttr

from taxi_assets.environment import Environment, read_environment
from taxi_assets.settings import settings
from taxi_assets.sources.source import TripSource, source_asked_for, source_from_settings, source_named


class TripSourceResource(dg.ConfigurableResource[TripSource]):
    """Where the trip files come from: in a run, the source that it was asked for with; else TAXI_SOURCE_URL.

    Where TAXI_SOURCE_URL is unset, that is the sample source.
    """

    _run: Environment | None = PrivateAttr(None)

    def create_resource(self, context: dg.InitResourceContext) -> TripSourceResource:  # type: ignore[override]
        """The resource of a run."""
        resource = self.model_copy()
        resource._run = read_environment(context.run.run_config if context.run else None)
        return resource

    def source(self, name: str | None = None) -> TripSource:
        """The source of that name, or of the run. Starts the sample source's server where it is that.

        Raises:
            TaxiError: The run's source has credentials that this process has not, or the source may not be used.
        """
        if name:
            return source_named(name, settings())
        return source_asked_for(self._run, settings()) if self._run else source_from_settings(settings())
