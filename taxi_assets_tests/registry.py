"""The services of the project's registry, for tests."""

from __future__ import annotations

from taxi_assets.trips.registry import read_service, service_names

SERVICES = {name: read_service(name) for name in service_names()}
YELLOW, GREEN, FHV = (SERVICES[name] for name in ("yellow", "green", "fhv"))
