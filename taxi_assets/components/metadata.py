"""Metadata of assets in Dagster: columns and their lineage, tables, previews, plots, counts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg

from taxi_assets.stores.table import TableRef
from taxi_assets.trips.columns import Column
from taxi_assets.trips.table import Summary, TripTable

PREVIEW_ROWS = 10
CODE_REFERENCES = "dagster/code_references"
LINEAGE = "dagster/column_lineage"
"""The key of column lineage: in an asset's definition for its readers, in a materialization for the UI."""


def column_metadata(columns: Sequence[Column], lineage: dg.TableColumnLineage) -> dict[str, Any]:
    """The columns as Dagster's catalogue shows them: name, type, description, and the columns that they come from."""
    schema = [dg.TableColumn(column.name, column.type.value, column.comment) for column in columns]
    return {"dagster/column_schema": dg.TableSchema(schema), LINEAGE: lineage}


def table_metadata(table: TableRef) -> dict[str, Any]:
    """The table, under Dagster's key and under those of dagster-gcp, which the IO managers read."""
    return {"schema": table.namespace, "table": table.name, "dagster/table_name": str(table)}


def with_attributes(assets: Sequence[dg.AssetsDefinition], **attributes: Any) -> list[dg.AssetsDefinition]:
    """The assets of a component with the attributes that all of them share, and the file and line of their functions.

    `dg.with_source_code_references` finds the lines, too, but reads each function to its end: 25 ms, not 4.
    """

    def with_reference(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        function: Any = asset.op.compute_fn
        code = function.decorated_fn.__code__
        reference = dg.LocalFileCodeReference(file_path=code.co_filename, line_number=code.co_firstlineno)
        references = {CODE_REFERENCES: dg.CodeReferencesMetadataValue(code_references=[reference])}
        return asset.map_asset_specs(
            lambda spec: spec.replace_attributes(metadata={**spec.metadata, **references}, **attributes)
        )

    return [with_reference(asset) for asset in assets]


def column_lineage(deps: Mapping[str, Sequence[tuple[Sequence[str], str]]]) -> dg.TableColumnLineage:
    """Lineage of a table.

    Args:
        deps: Column → the columns that it is made from, each as the key of an asset and a name.
    """
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=dg.AssetKey(key), column_name=name) for key, name in sources]
            for column, sources in deps.items()
        }
    )


def source_lineage(columns: Sequence[Column], file: Sequence[str]) -> dg.TableColumnLineage:
    """Lineage of cleaned columns: their names in the source files; the platform's own columns come from none.

    Args:
        columns: The columns, from the registry.
        file: The key of the asset of the source file.
    """
    names = {column.name: column.sources for column in columns}
    for column in columns:
        if column.day_of:
            names[column.name] = names[column.day_of]
    return column_lineage({column: [(file, source) for source in sources] for column, sources in names.items()})


def copy_lineage(columns: Sequence[Column], original: Sequence[str]) -> dg.TableColumnLineage:
    """Lineage of a copy: each column comes from the column of the same name of the asset `original`."""
    return column_lineage({column.name: [(original, column.name)] for column in columns})


def preview(table: TripTable) -> dg.MetadataValue[Any]:
    """The first ten rows, as a table."""
    rows = next(iter(table.batches(rows=PREVIEW_ROWS)), None)
    return preview_of([] if rows is None else rows.slice(0, PREVIEW_ROWS).to_pylist(), table.schema.names)


def preview_of(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dg.MetadataValue[Any]:
    """Records as a table with columns of these names."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: _cell(value) for name, value in record.items()}) for record in records],
        dg.TableSchema([dg.TableColumn(name) for name in names]),
    )


def _cell(value: object) -> str | int | float | bool:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if value is None:
        return ""
    return value if isinstance(value, str | int | float | bool) else str(value)


def summary_metadata(summary: Summary, *, amounts: bool) -> dict[str, Any]:
    """The counts of a cleaning; the sum of its amounts, where it has amounts."""
    money = {"total_amount_kept": dg.MetadataValue.float(summary.cents_kept / 100)} if amounts else {}
    return {
        "rows_read": summary.rows_read,
        "rows_kept": summary.rows_kept,
        "rows_rejected": summary.rows_rejected,
        "rejected_by_reason": dg.MetadataValue.json(dict(summary.rejected)),
        **money,
        "pickups_outside_the_month": summary.pickups_outside,
        "unknown_columns_left_out": dg.MetadataValue.json(list(summary.unknown_columns)),
        "columns_not_in_the_file": dg.MetadataValue.json(list(summary.absent_columns)),
    }


def bars(title: str, values: Mapping[str, float], *, width: int = 22) -> dg.MetadataValue[Any]:
    """A bar chart, as a picture in Markdown; each bar and its label take that many pixels."""
    step, height, top = width, 120, max(values.values(), default=0) or 1
    elements = "".join(
        f'<rect x="{6 + i * step}" y="{20 + height - height * value / top:.1f}" width="{step - 5}" '
        f'height="{height * value / top:.1f}" fill="#4f46e5"><title>{label}: {value:,.0f}</title></rect>'
        f'<text x="{6 + i * step + (step - 5) / 2}" y="{height + 34}" text-anchor="middle">{label}</text>'
        for i, (label, value) in enumerate(values.items())
    )
    return picture(title, f"{title} (highest: {top:,.0f})", elements, (step * len(values) + 8, height + 42))


def picture(name: str, headline: str, elements: str, size: tuple[int, int]) -> dg.MetadataValue[Any]:
    """A picture in Markdown: the SVG elements below a headline; width and height in pixels."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif" '
        f'font-size="10"><rect width="100%" height="100%" fill="white"/><text x="6" y="12">{headline}</text>'
        f"{elements}</svg>"
    )
    return dg.MetadataValue.md(f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def trips_by_hour(summary: Summary) -> dg.MetadataValue[Any]:
    """A plot: kept trips by hour of their pickup."""
    return bars("Trips by hour of the day", {str(hour): count for hour, count in enumerate(summary.trips_by_hour)})
