"""Whose table it is: of several files whose names make one table, the one that was loaded first."""

from __future__ import annotations

import dagster as dg

from taxi_assets.errors import TaxiError
from taxi_assets.settings import settings
from taxi_assets.sources.any_table import table_name
from taxi_assets.sources.watched import watched_files


def demand_ownership(
    instance: dg.DagsterInstance, asset: dg.AssetKey, files: dg.DynamicPartitionsDefinition, name: str
) -> None:
    """Makes sure that a file may have its table.

    Raises:
        TaxiError: Another file has it: one that was loaded before; if none was, the first by name.
    """
    known = set(instance.get_dynamic_partitions(str(files.name)))
    loaded = instance.get_materialized_partitions(asset) & known
    present = {path.name for path in watched_files(settings().files_folder)}
    table = table_name(name)
    rivals = [other for other in sorted(loaded | present | {name}) if _named(other) == table]
    owner = min(rivals, key=lambda other: (other not in loaded, other))
    if owner != name:
        raise TaxiError(
            f"The files {owner} and {name} would make the same table.",
            expected="a table of its own for each file",
            found=f"{table} for both",
            intact=f"the table {table}, with the rows of {owner}",
            next_step=f"rename {name} to something that does not make {table}",
        )


def _named(name: str) -> str | None:
    try:
        return table_name(name)
    except TaxiError:
        return None
