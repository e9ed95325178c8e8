"""The component of the watched folder: its assets, its job, and the sensor that finds new and changed files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from taxi_assets.components.local_files.assets import FILES, GROUP, file_table, sorted_file
from taxi_assets.components.local_files.folder import FileState, look
from taxi_assets.components.metadata import with_attributes
from taxi_assets.components.yaml_component import YamlComponent
from taxi_assets.instance.dagster_private import INVALID_PARTITION_SUBSTRINGS
from taxi_assets.pipeline import State
from taxi_assets.settings import settings
from taxi_assets.specs import LocalFilesSpec

INTERVAL_SECONDS = 10
_CURSOR = TypeAdapter(dict[str, FileState])


class LocalFiles(LocalFilesSpec, YamlComponent):
    """A watched folder: each of its CSV and Parquet files goes to the bucket and into a table of BigQuery."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets, the job for a file, and the sensor that starts it."""
        assets = [sorted_file(), file_table(self.dataset)]
        job = dg.define_asset_job(
            GROUP,
            selection=dg.AssetSelection.assets(*assets),
            partitions_def=FILES,
            description="One file of the watched folder: to the bucket, and into its table.",
        )
        assets = with_attributes(assets, group_name=GROUP, owners=self.owners, code_version="1")
        return dg.Definitions(assets, jobs=[job], sensors=[folder_sensor(job, self.state)])


def folder_sensor(job: Any, state: State) -> dg.SensorDefinition:
    """The sensor `local_files_folder`.

    Args:
        job: The job that it starts for a file.
        state: Before a person flips the switch in the UI.
    """

    @dg.sensor(
        name="local_files_folder",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus[state.name],
        description="Makes a table of each file in the watched folder (TAXI_FILES_FOLDER), and anew when it changes.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before = _read(context.cursor)
        now = look(settings().files_folder, before)
        new = {name: seen for name, seen in now.items() if _is_new(seen, before.get(name))}
        refused = [name for name in new if any(part in name for part in INVALID_PARTITION_SUBSTRINGS)]
        for name in refused:
            context.log.warning(f"{name!r} is no name that Dagster takes for a partition: rename the file.")
        requests = [_request(name, seen) for name, seen in new.items() if name not in refused]
        known = set(context.instance.get_dynamic_partitions(str(FILES.name)))
        made = sorted({str(request.partition_key) for request in requests} - known)
        waiting = [name for name, seen in now.items() if not seen.complete]
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=[FILES.build_add_request(made)] if made else [],
            cursor=_CURSOR.dump_json(now).decode(),
            skip_reason=None if requests else dg.SkipReason(_nothing(now, waiting)),
        )

    return watch


def _is_new(now: FileState, before: FileState | None) -> bool:
    return now.complete and (before is None or before.sha256 != now.sha256)


def _request(name: str, seen: FileState) -> dg.RunRequest:
    # With its time: a version that comes back after another one is a new one.
    return dg.RunRequest(run_key=f"{name} {seen.changed} {seen.sha256}", partition_key=name)


def _nothing(now: Mapping[str, FileState], waiting: list[str]) -> str:
    folder = settings().files_folder
    if waiting:
        return f"Waiting until these files lie still: {', '.join(waiting)}."
    return f"{len(now)} files in {folder}, none of them new or changed."


def _read(cursor: str | None) -> dict[str, FileState]:
    try:
        return _CURSOR.validate_json(cursor) if cursor else {}
    except ValidationError:
        return {}
