"""The trip source as a Dagster resource."""

from __future__ import annotations

import dagster as dg

from taxi_assets.settings import settings
from taxi_assets.sources.source import TripSource, source_from_settings, source_named


class TripSourceResource(dg.ConfigurableResource[TripSource]):
    """Where the trip files come from: TAXI_SOURCE_URL, or the sample source where that is unset."""

    def source(self, name: str | None = None) -> TripSource:
        """The source of that name, or of TAXI_SOURCE_URL. Starts the sample source's server where it is that."""
        return source_named(name, settings()) if name else source_from_settings(settings())
