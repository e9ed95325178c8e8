"""The trip source as a Dagster resource."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from taxi_assets.settings import settings
from taxi_assets.sources.source import TripSource, source_from_settings, source_named


class TripSourceResource(dg.ConfigurableResource[TripSource]):
    """Where the trip files come from: TAXI_SOURCE_URL, or the sample source where that is unset."""

    def source(self, name: str | None = None) -> TripSource:
        """The source of that name, or that of this environment; starts the sample source where it is the one."""
        return source_named(name, settings()) if name else source_from_settings(settings())

    @property
    def home_folder(self) -> Path:
        """Where all local state lives."""
        return settings().taxi_home
