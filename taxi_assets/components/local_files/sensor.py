"""The sensor of the watched folder: a partition and a run for each file that is complete and new, or has changed."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from taxi_assets.components.local_files.assets import FILES
from taxi_assets.components.local_files.folder import Seen, look
from taxi_assets.instance.dagster_private import INVALID_PARTITION_SUBSTRINGS
from taxi_assets.pipeline import State
from taxi_assets.settings import settings

INTERVAL_SECONDS = 10
_CURSOR = TypeAdapter(dict[str, Seen])


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


def _is_new(now: Seen, before: Seen | None) -> bool:
    return now.complete and (before is None or before.sha256 != now.sha256)


def _request(name: str, seen: Seen) -> dg.RunRequest:
    # With its time: a version that comes back after another one is a new one.
    return dg.RunRequest(run_key=f"{name} {seen.changed} {seen.sha256}", partition_key=name)


def _nothing(now: Mapping[str, Seen], waiting: list[str]) -> str:
    folder = settings().files_folder
    if waiting:
        return f"Waiting until these files lie still: {', '.join(waiting)}."
    return f"{len(now)} files in {folder}, none of them new or changed."


def _read(cursor: str | None) -> dict[str, Seen]:
    try:
        return _CURSOR.validate_json(cursor) if cursor else {}
    except ValidationError:
        return {}
