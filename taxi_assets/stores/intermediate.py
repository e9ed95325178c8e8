"""IO managers of the files on this machine: the fetched file, and a month's cleaned and rejected rows.

The files are below `TAXI_HOME`: `raw/…` as published, `clean/{service}/{month}.parquet` and
`rejected/{service}/{month}.parquet` as cleaned. A file appears whole or not at all.
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
    """Keeps a month's rows as one Parquet file below `TAXI_HOME`, moved into place at once."""

    home: str

    def _path(self, context: dg.OutputContext | dg.InputContext) -> Path:
        service, asset = context.asset_key.path
        return Path(self.home) / asset.removesuffix("_taxi") / service / f"{context.partition_key}.parquet"

    def handle_output(self, context: dg.OutputContext, obj: TripTable) -> None:
        """Moves the file of the rows to its place."""
        path = self._path(context)
        private_folder(path.parent)
        obj.path.replace(path)
        context.add_output_metadata(
            {
                "path": dg.MetadataValue.path(str(path)),
                "bytes": path.stat().st_size,
                "dagster/partition_row_count": TripTable(path).rows,
            }
        )

    def load_input(self, context: dg.InputContext) -> TripTable:
        """The month's rows, on disk.

        Raises:
            Failure: They are missing.
        """
        path = self._path(context)
        with dagster_failures():
            if path.exists():
                return TripTable(path)
            service, month = context.asset_key.path[0], context.partition_key
            raise TaxiError(
                f"The rows of {context.asset_key.to_user_string()} for {month} are not on this machine.",
                expected=f"the file {path}",
                next_step=f"materialize {service}/clean_taxi for {month}, or: taxi run {service} --months {month}",
            )
