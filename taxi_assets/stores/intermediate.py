"""IO managers of the files on this machine: the fetched file, and a month's cleaned and rejected rows.

The files are below `TAXI_HOME`: `raw/…` as published, `clean/…` and `rejected/…` as cleaned: see `cleaned`. A file
appears whole or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from taxi_assets.environment import SAMPLE, read_environment
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.files import private_folder, write_private
from taxi_assets.sources.download import read_record
from taxi_assets.sources.record import RawFile, SourceFile
from taxi_assets.stores.cleaned import CleanedFiles, keep_newest
from taxi_assets.trips.months import month_name
from taxi_assets.trips.table import TripTable


class RawFileIOManager(dg.ConfigurableIOManager):
    """Records which file `raw_taxi` fetched for a month, and in which run. The source itself puts files in place."""

    home: str

    def _record(self, context: dg.OutputContext | dg.InputContext) -> Path:
        return Path(self.home) / "raw" / context.asset_key.path[0] / f"{context.partition_key}.json"

    def handle_output(self, context: dg.OutputContext, obj: RawFile) -> None:
        """Writes the record: of the run, and as the newest of the month."""
        newest = self._record(context)
        runs = private_folder(private_folder(newest.parent) / "runs")
        for path in (runs / f"{context.partition_key}-{context.run_id}.json", newest):
            write_private(path, obj.model_dump_json(indent=2))
        keep_newest(runs.glob(f"{context.partition_key}-*"))
        context.add_output_metadata({"path": dg.MetadataValue.path(str(obj.path))})

    def load_input(self, context: dg.InputContext) -> RawFile:
        """The file that this run fetched, or the run that it repeats, or else the newest one, as it is now.

        Raises:
            Failure: It is missing, or was changed since.
        """
        newest = self._record(context)
        of_runs = (newest.parent / "runs" / f"{newest.stem}-{run_id}.json" for run_id in run_ids(context))
        path = next((path for path in of_runs if path.exists()), newest)
        with dagster_failures():
            try:
                file = RawFile.model_validate_json(path.read_text())
            except (FileNotFoundError, ValueError):
                raise _not_as_fetched(context.asset_key.path[0], context.partition_key, path) from None
            _refuse_synthetic(context, file.synthetic, file.url)
            # A newer version may have been fetched since: that is the one that is read.
            return require_unchanged(context.asset_key.path[0], file, read_record(file.path))


def require_unchanged(pipeline: str, file: RawFile, record: SourceFile | None) -> RawFile:
    """The file with the record of the bytes that are read.

    Raises:
        TaxiError: There is no record of them: the file is missing, or was changed since it was fetched.
    """
    if record is None:
        raise _not_as_fetched(pipeline, month_name(file.month), file.path)
    return file.model_copy(update=vars(record))


def _not_as_fetched(pipeline: str, month: str, path: Path) -> TaxiError:
    return TaxiError(
        f"The file of {pipeline} {month} is not on this machine as it was fetched.",
        expected="the file and its record",
        where=str(path),
        intact="every store",
        next_step=f"materialize {pipeline}/raw_taxi for {month}, or: taxi run {pipeline} --months {month}",
    )


class TripTableIOManager(dg.ConfigurableIOManager):
    """Keeps a month's rows as one Parquet file below `TAXI_HOME`, addressed by its content: see `cleaned`."""

    home: str

    def _files(self, context: dg.OutputContext | dg.InputContext) -> tuple[str, CleanedFiles]:
        pipeline, asset = context.asset_key.path
        return asset.removesuffix("_taxi"), CleanedFiles(Path(self.home), pipeline, context.partition_key)

    def handle_output(self, context: dg.OutputContext, obj: TripTable) -> None:
        """Moves the file of the rows to its place."""
        kind, files = self._files(context)
        path = files.put(kind, obj, context.run_id)
        context.add_output_metadata({"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size})
        if not obj.metadata.get("limit"):
            # What the UI shows as the rows of the month.
            context.add_output_metadata({"dagster/partition_row_count": TripTable(path).rows})

    def load_input(self, context: dg.InputContext) -> TripTable:
        """The rows that this run cleaned, or the run that it repeats, or else those of the newest full month.

        Raises:
            Failure: They are missing.
        """
        kind, files = self._files(context)
        with dagster_failures():
            if table := files.find(kind, run_ids(context)):
                source = table.metadata.get("source") or {}
                _refuse_synthetic(context, source.get("sample"), source.get("url"))
                return table
            pipeline, month = files.pipeline, files.month
            raise TaxiError(
                f"The rows of {context.asset_key.to_user_string()} for {month} are not on this machine.",
                expected=f"a full month in the folder {files.folder(kind)}, or the rows that this run cleaned",
                next_step=f"materialize {pipeline}/clean_taxi for {month}, or: taxi run {pipeline} --months {month}",
            )


def _refuse_synthetic(context: dg.InputContext, synthetic: bool | None, url: str | None) -> None:
    """Keeps synthetic trips that another run left here out of a run that was asked for with a real source."""
    run = _run(context) if synthetic else None
    config: Any = run.run_config if run else {}
    environment = read_environment(config)
    if environment is None:
        return
    asked = environment.source.address
    named = any((op.get("config") or {}).get("source") for op in (config.get("ops") or {}).values())
    if named or asked == SAMPLE or (url or "").startswith(asked):
        return
    pipeline, month = context.asset_key.path[0], context.partition_key
    raise TaxiError(
        f"The trips of {pipeline} {month} on this machine are synthetic, and the run asks for real ones.",
        expected=f"trips from {asked}",
        found="synthetic trips, of another run",
        intact="every store",
        next_step=f"fetch and clean the month in the same run: taxi run {pipeline} --months {month}",
    )


def _run(context: dg.InputContext) -> dg.DagsterRun | None:
    try:
        return context.step_context.dagster_run
    except dg.DagsterInvariantViolationError:
        return None


def run_ids(context: dg.InputContext) -> list[str]:
    """The run of a step, the run that it repeats, the one that that one repeats, and so on."""
    found: list[str] = []
    run = _run(context)
    while run and run.run_id not in found:
        found.append(run.run_id)
        run = context.instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    return found
