"""IO managers of the files on this machine: the fetched file, and a month's cleaned and rejected rows.

The files are below `TAXI_HOME`: `raw/…` as published, `clean/…` and `rejected/…` as cleaned: see `cleaned`. A file
appears whole or not at all.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import dagster as dg

from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.files import private_folder, write_private
from taxi_assets.sources.download import read_record
from taxi_assets.sources.record import RawFile
from taxi_assets.stores.cleaned import CleanedFiles
from taxi_assets.trips.table import TripTable


class RawFileIOManager(dg.ConfigurableIOManager):
    """Records which file `raw_taxi` fetched for a month. The source itself puts files in place."""

    home: str

    def _record(self, context: dg.OutputContext | dg.InputContext) -> Path:
        return Path(self.home) / "raw" / context.asset_key.path[0] / f"{context.partition_key}.json"

    def handle_output(self, context: dg.OutputContext, obj: RawFile) -> None:
        """Writes the record."""
        path = self._record(context)
        private_folder(path.parent)
        write_private(path, obj.model_dump_json(indent=2))
        context.add_output_metadata({"path": dg.MetadataValue.path(str(obj.path))})

    def load_input(self, context: dg.InputContext) -> RawFile:
        """The file that was fetched last, as it is now.

        Raises:
            Failure: It is missing, or was changed since.
        """
        service, month = context.asset_key.path[0], context.partition_key
        with dagster_failures():
            with suppress(FileNotFoundError, ValueError):
                file = RawFile.model_validate_json(self._record(context).read_text())
                if current := read_record(file.path):
                    # Another run may have fetched a newer version since: that is the one that is read.
                    return file.model_copy(update=vars(current))
            raise TaxiError(
                f"The file of {service} {month} is not on this machine as it was fetched.",
                expected=f"the file that {self._record(context)} names",
                next_step=f"materialize {service}/raw_taxi for {month}, or: taxi run {service} --months {month}",
            )


class TripTableIOManager(dg.ConfigurableIOManager):
    """Keeps a month's rows as one Parquet file below `TAXI_HOME`, addressed by its content: see `cleaned`."""

    home: str

    def _files(self, context: dg.OutputContext | dg.InputContext) -> tuple[str, CleanedFiles]:
        service, asset = context.asset_key.path
        return asset.removesuffix("_taxi"), CleanedFiles(Path(self.home), service, context.partition_key)

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
            if table := files.find(kind, _run_ids(context)):
                return table
            service, month = files.service, files.month
            raise TaxiError(
                f"The rows of {context.asset_key.to_user_string()} for {month} are not on this machine.",
                expected=f"a full month in the folder {files.folder(kind)}, or the rows that this run cleaned",
                next_step=f"materialize {service}/clean_taxi for {month}, or: taxi run {service} --months {month}",
            )


def _run_ids(context: dg.InputContext) -> list[str]:
    """The run of a step, the run that it repeats, the one that that one repeats, and so on."""
    run: dg.DagsterRun | None = context.step_context.dagster_run
    found: list[str] = []
    while run and run.run_id not in found:
        found.append(run.run_id)
        run = context.instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    return found
