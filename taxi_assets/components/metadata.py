"""What assets show in Dagster: their columns, a preview of ten rows, a plot, counts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg

from taxi_assets.trips.columns import Column
from taxi_assets.trips.table import Summary, TripTable

PREVIEW_ROWS = 10


def column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    """The columns as Dagster's catalogue shows them: name, type, description."""
    return dg.TableSchema(
        columns=[dg.TableColumn(column.name, column.type.value, column.comment) for column in columns]
    )


def preview(table: TripTable) -> dg.MetadataValue[Any]:
    """The first ten rows, as a table."""
    rows = next(iter(table.batches(rows=PREVIEW_ROWS)), None)
    return preview_of([] if rows is None else rows.slice(0, PREVIEW_ROWS).to_pylist(), table.schema.names)


def preview_of(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dg.MetadataValue[Any]:
    """Records as a table with columns of these names."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _shown(value) for name, value in record.items()}) for record in records],
        dg.TableSchema([dg.TableColumn(name) for name in names]),
    )


def _shown(value: object) -> str | int | float | bool:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if value is None:
        return ""
    return value if isinstance(value, str | int | float | bool) else str(value)


def summary_metadata(summary: Summary) -> dict[str, Any]:
    """The counts of a cleaning."""
    return {
        "rows_read": summary.rows_read,
        "rows_kept": summary.rows_kept,
        "rows_rejected": summary.rows_rejected,
        "rejected_by_reason": dg.MetadataValue.json(dict(summary.rejected)),
        "total_amount_kept": dg.MetadataValue.float(summary.cents_kept / 100),
        "pickups_outside_the_month": summary.pickups_outside,
        "unknown_columns_left_out": dg.MetadataValue.json(list(summary.unknown_columns)),
        "columns_not_in_the_file": dg.MetadataValue.json(list(summary.absent_columns)),
    }


def bars(title: str, values: Mapping[str, float], *, width: int = 22) -> dg.MetadataValue[Any]:
    """A bar chart, as a picture in Markdown; each bar and its label take that many pixels."""
    step, height, top = width, 120, max(values.values(), default=0) or 1
    drawn = "".join(
        f'<rect x="{6 + i * step}" y="{20 + height - height * value / top:.1f}" width="{step - 5}" '
        f'height="{height * value / top:.1f}" fill="#4f46e5"><title>{label}: {value:,.0f}</title></rect>'
        f'<text x="{6 + i * step + (step - 5) / 2}" y="{height + 34}" text-anchor="middle">{label}</text>'
        for i, (label, value) in enumerate(values.items())
    )
    return picture(title, f"{title} (highest: {top:,.0f})", drawn, (step * len(values) + 8, height + 42))


def picture(name: str, headline: str, drawn: str, size: tuple[int, int]) -> dg.MetadataValue[Any]:
    """A picture in Markdown: the SVG elements `drawn` below a headline; width and height in pixels."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif" '
        f'font-size="10"><rect width="100%" height="100%" fill="white"/><text x="6" y="12">{headline}</text>'
        f"{drawn}</svg>"
    )
    return dg.MetadataValue.md(f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def trips_by_hour(summary: Summary) -> dg.MetadataValue[Any]:
    """A plot: kept trips by hour of their pickup."""
    return bars("Trips by hour of the day", {str(hour): count for hour, count in enumerate(summary.trips_by_hour)})
