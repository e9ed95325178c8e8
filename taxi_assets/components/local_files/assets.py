"""The assets of a file: sorted into one of two branches, and loaded where it is a table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.components import metadata
from taxi_assets.components.local_files.folder import sha256, untouched, watched_files
from taxi_assets.components.local_files.load import fetch_file, load_file, remove_file, send_file
from taxi_assets.components.local_files.table import FROM, AnyTable, InvalidTable, read_table, table_name
from taxi_assets.components.taxi_pipeline.assets import RETRIES
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.files import work_folder
from taxi_assets.settings import settings
from taxi_assets.stores.bigquery.metadata import look
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.table import TableRef

GROUP = "local_files"
FILES = dg.DynamicPartitionsDefinition(name=GROUP)
TABLE_FILE, QUARANTINE, TABLE = (dg.AssetKey([GROUP, name]) for name in ("table_file", "quarantine", "bigquery_table"))


def sorted_file() -> dg.AssetsDefinition:
    """The two branches, of which a file takes one: the outputs may be left out, and what follows them is skipped."""

    def branch(key: dg.AssetKey, description: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            key,
            description=description,
            skippable=True,
            kinds={"googlecloud", "file"},
            partitions_def=FILES,
        )

    is_table = dg.AssetCheckSpec(
        "is_a_table", asset=TABLE_FILE, description="The file is a table.", partitions_def=FILES
    )

    @dg.multi_asset(
        name="sort_file",
        specs=[
            branch(TABLE_FILE, "The file in the bucket, as it is at `files/{name}` and as typed Parquet for BigQuery."),
            branch(QUARANTINE, "A file that is no table, put aside at `files/_quarantine/{name}`, and why it is none."),
        ],
        check_specs=[is_table],
        retry_policy=RETRIES,
        pool="lake",
    )
    def sort_file(
        context: dg.AssetExecutionContext, cloud: GoogleCloudResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        name = context.partition_key
        with dagster_failures(), work_folder(settings().taxi_home, f"file-{table_name(name)}") as folder:
            path = _watched_file(name)
            try:
                with untouched(path):
                    table = read_table(path, folder / "table.parquet")
                    described = _send(cloud, path, table)
            except InvalidTable as error:
                send_file(cloud, path, f"files/_quarantine/{name}")
                yield dg.MaterializeResult(
                    asset_key=QUARANTINE,
                    metadata={"reason": dg.MetadataValue.text(str(error)), **_described(cloud, path, "_quarantine/")},
                )
                yield _check_result(error.details["Found"], passed=False)
                return
            remove_file(cloud, f"files/_quarantine/{name}")
            yield dg.MaterializeResult(asset_key=TABLE_FILE, metadata=described)
            yield _check_result(f"{table.rows:,} rows, {len(table.schema)} columns", passed=True)

    return sort_file


def _check_result(description: str, *, passed: bool) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=TABLE_FILE, check_name="is_a_table", passed=passed, severity=severity, description=description
    )


def _watched_file(name: str) -> Path:
    path = settings().files_folder / name
    if not path.is_file():
        raise TaxiError(
            f"The file {name} is not in the watched folder any more.",
            expected=f"the file in {path.parent}",
            intact="its table in BigQuery and its object in the bucket",
            next_step="put it back; or leave its partition, which does no harm",
        )
    return path


def _send(cloud: GoogleCloud, path: Path, table: AnyTable) -> dict[str, Any]:
    send_file(cloud, path, f"files/{path.name}")
    send_file(cloud, table.path, typed_object(path.name), table.rows)
    return {
        **_described(cloud, path, ""),
        "dagster/partition_row_count": table.rows,
        "dagster/column_schema": _columns(table.schema),
        "preview": metadata.preview_of(table.first(metadata.PREVIEW_ROWS), table.schema.names),
    }


def _described(cloud: GoogleCloud, path: Path, folder: str) -> dict[str, Any]:
    return {
        "dagster/uri": f"gs://{cloud.bucket}/files/{folder}{path.name}",
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
    }


def _columns(schema: pa.Schema) -> dg.TableSchema:
    described = [(field, field.metadata[FROM].decode()) for field in schema]
    return dg.TableSchema(
        [dg.TableColumn(field.name, str(field.type), f"Column {origin!r} of the file.") for field, origin in described]
    )


def typed_object(name: str) -> str:
    """The name of the object with the rows of a file as Parquet: what BigQuery loads."""
    return f"files/_typed/{name}.parquet"


def file_table(dataset: str) -> dg.AssetsDefinition:
    """The table of a file; skipped where the file took the other branch."""

    @dg.asset(
        key=TABLE,
        deps=[TABLE_FILE],
        description=f"The file as a table in BigQuery: `{dataset}.` and the file's name, in small letters.",
        partitions_def=FILES,
        kinds={"bigquery"},
        retry_policy=RETRIES,
        pool="bigquery",
    )
    def load(context: dg.AssetExecutionContext, cloud: GoogleCloudResource) -> dg.MaterializeResult[None]:
        name = context.partition_key
        with dagster_failures(), work_folder(settings().taxi_home, f"typed-{table_name(name)}") as folder:
            demand_ownership(context.instance, TABLE, FILES, name)
            source, path = typed_object(name), folder / "typed.parquet"
            if not fetch_file(cloud, source, path):
                raise TaxiError(
                    f"The bucket does not have the rows of {name}.",
                    expected=f"the object gs://{cloud.bucket}/{source}",
                    intact="its table in BigQuery",
                    next_step=f"materialize {TABLE_FILE.to_user_string()} for this file",
                )
            file = AnyTable(path, pq.read_schema(path), pq.read_metadata(path).num_rows)
            preview = metadata.preview_of(file.first(metadata.PREVIEW_ROWS), file.schema.names)
            declared, uri = TableRef(namespace=dataset, name=table_name(name)), f"gs://{cloud.bucket}/{source}"
            table, done = load_file(cloud, uri, declared, file.schema, file.rows, f"From the file {name}.")
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": done.rows,
                "dagster/table_name": str(table),
                "dagster/column_schema": _columns(file.schema),
                "preview": preview,
                metadata.LINEAGE: metadata.column_lineage(
                    {column: [(TABLE_FILE.path, column)] for column in file.schema.names}
                ),
                "load_job": done.replace_job.job_id,
                "look": look(str(table)),
            }
        )

    return load


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
