"""Plots of the summaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.components.metadata import picture

MOST_ZONES = 20
_COLOUR = "#4f46e5"
_CELL = 18


def long_bars(title: str, values: Mapping[str, float]) -> dg.MetadataValue[Any]:
    """Horizontal bars, one below the other, for names that are long."""
    top, name, length = max(values.values(), default=0) or 1, 190, 320
    drawn = "".join(
        f'<text x="{name - 6}" y="{32 + i * _CELL}" text-anchor="end">{escape(label)}</text>'
        f'<rect x="{name}" y="{22 + i * _CELL}" width="{max(value, 0) / top * length:.1f}" height="{_CELL - 5}" '
        f'fill="{_COLOUR}"/>'
        f'<text x="{name + 4 + max(value, 0) / top * length:.1f}" y="{32 + i * _CELL}">{value:,.0f}</text>'
        for i, (label, value) in enumerate(values.items())
    )
    return picture(title, title, drawn, (name + length + 70, 26 + _CELL * len(values)))


def busiest_zones(counted: pa.Table) -> dg.MetadataValue[Any]:
    """The busiest zones by the hour of the day: the darker, the more trips.

    Args:
        counted: What `trips_per_zone_hour` counts.
    """
    cells: Counter[tuple[int, int]] = Counter()
    zones: Counter[int] = Counter()
    hours = pc.hour(counted["pickup_hour"]).to_pylist()
    for zone, hour, trips in zip(
        counted["pu_location_id"].to_pylist(), hours, counted["trips"].to_pylist(), strict=True
    ):
        if zone is not None and hour is not None:
            cells[zone, hour] += trips
            zones[zone] += trips
    top = max(cells.values(), default=0) or 1
    drawn = "".join(f'<text x="{44 + hour * _CELL}" y="30" text-anchor="middle">{hour}</text>' for hour in range(24))
    for i, (zone, _) in enumerate(zones.most_common(MOST_ZONES)):
        y = 36 + i * _CELL
        drawn += f'<text x="30" y="{y + 12}" text-anchor="end">{zone}</text>'
        drawn += "".join(
            f'<rect x="{35 + hour * _CELL}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}" fill="{_COLOUR}" '
            f'fill-opacity="{cells[zone, hour] / top:.3f}"><title>{cells[zone, hour]:,} trips</title></rect>'
            for hour in range(24)
        )
    title = "Trips by zone and hour of the day"
    size = (44 + 24 * _CELL, 40 + _CELL * min(len(zones), MOST_ZONES))
    return picture(title, f"{title} (the busiest zones; darkest: {top:,})", drawn, size)
