"""The embedded BigQuery: `bqemulator` on DuckDB, from its wheel, on loopback, its tables below `{home}/bigquery`.

`BIGQUERY` starts it; `python -m taxi_assets.local.bigquery HOME PORT` is its process. It sends nothing to
anyone: its only downloads are DuckDB's extensions, which come from a wheel or are switched off. `_patch` closes gaps of
the emulator, each with its reason.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, cast

from taxi_assets.files import private_folder, private_process
from taxi_assets.local.access import access_from_environment, guarded
from taxi_assets.local.cloud_storage import objects_folder
from taxi_assets.local.service import LocalServer, publish

PROJECT = "taxi-local"
"""The project of the embedded BigQuery."""


BIGQUERY = LocalServer(
    name="bigquery",
    folder="bigquery",
    command=lambda home, port: [sys.executable, "-m", "taxi_assets.local.bigquery", str(home), str(port)],
)


def _patch() -> None:
    """Patches the emulator (version 1.1.2). Remove a patch when the emulator does the same."""
    from bqemulator import server
    from bqemulator.api.routes import upload
    from bqemulator.domain.events import TableDataChanged
    from bqemulator.versioning.snapshots import SnapshotManager
    from duckdb_extensions import import_extension

    # Its engine does not start without DuckDB's spatial extension, which it would download.
    import_extension("spatial")

    # The official client sends small uploads (data frames) with the media type */*; BigQuery takes it.
    permitted = (*upload._PERMITTED_MEDIA_CONTENT_TYPES, "*/*")
    _replace(upload, _PERMITTED_MEDIA_CONTENT_TYPES=permitted)

    # After each load or statement it copies the whole table, for time travel, and keeps the copy for days.
    def no_copy(self: Any, project: str, dataset: str, table: str) -> None:
        self._events.publish(TableDataChanged(project, dataset, table))

    _replace(SnapshotManager, record_change=no_copy)
    _patch_transactions()
    _patch_job_ids()
    _patch_queries()

    # It opens a second port for the Storage API, which this project does not use.
    _replace(server, build_grpc_server=lambda context: (_NoServer(), 0))


def _patch_files(objects: Path, uploads: Path) -> None:
    """Lets it read the objects and its uploads alone. It reads and writes every file of the user otherwise."""
    import duckdb
    from bqemulator.domain.errors import InvalidQueryError
    from bqemulator.jobs import executor
    from bqemulator.storage.engine import DuckDBEngine

    from taxi_assets.local.bigquery_files import OBJECTS, UPLOADS, ReadOnlyFiles, confine, refused, resolve

    files = ReadOnlyFiles({OBJECTS: objects, UPLOADS: uploads})
    start, execute = DuckDBEngine.start, DuckDBEngine.execute

    async def start_confined(self: Any) -> None:
        await start(self)
        confine(self.connection, files)

    def execute_allowed(self: Any, sql: str, parameters: list[Any] | None = None) -> Any:
        if self._started and (kind := refused(sql)):
            raise InvalidQueryError(f"The embedded BigQuery has no statement {kind}")
        try:
            return execute(self, sql, parameters)
        except duckdb.PermissionException as error:
            # Some of its callers make an internal error of it, which Google's clients repeat for minutes.
            raise InvalidQueryError(f"The embedded BigQuery reads no files: {error}") from error

    def resolve_uri(uri: str, context: Any) -> str:
        if found := resolve(uri, uploads):
            return found
        raise InvalidQueryError(f"The embedded BigQuery loads gs:// objects and uploads, and not {uri}")

    _replace(
        DuckDBEngine, start=start_confined, execute=execute_allowed, _resolve_path=lambda self: "bqemulator.duckdb"
    )
    _replace(executor, _resolve_uri=resolve_uri)


def _patch_access(home: Path) -> None:
    """Checks every request before the emulator acts on it: it takes any token, Host and Origin."""
    from bqemulator import server

    access, module = access_from_environment(home), cast("Any", server)
    create_app = module.create_app
    _replace(module, create_app=lambda context: guarded(create_app(context), access))


def _patch_transactions() -> None:
    """Replaces its transactions by DuckDB's; a script has the one connection to itself.

    It emulates transactions by copies of whole tables. That is slow, and loses a month if the process dies between
    DELETE and INSERT.
    """
    from bqemulator.scripting.interpreter import ScriptInterpreter

    async def control(self: Any, statement: str) -> None:
        self._ctx.engine.execute({"BEGIN": "BEGIN TRANSACTION"}.get(statement, statement))
        self._active_txn = {} if statement == "BEGIN" else None

    async def commit(self: Any) -> None:
        await control(self, "COMMIT")

    async def rollback(self: Any) -> None:
        await control(self, "ROLLBACK")

    async def no_copies(self: Any, sql: str) -> None:
        return

    _replace(
        ScriptInterpreter,
        _handle_txn_statement=control,
        _drop_txn_snapshots=commit,
        _restore_txn_snapshots=rollback,
        _snapshot_dml_targets=no_copies,
    )


def _patch_job_ids() -> None:
    """Refuses a job whose id exists already, as BigQuery does; it would run it once more."""
    from bqemulator.api.routes import jobs
    from bqemulator.domain.errors import AlreadyExistsError

    running: dict[str, asyncio.Lock] = {}

    def once(handle: Any) -> Any:
        async def handled(project: str, job: str, config: Any, *given: Any, **options: Any) -> Any:
            catalog = (options.get("ctx") or given[0]).catalog
            async with running.setdefault(job, asyncio.Lock()):
                try:
                    if catalog.get_job(project, job) is not None:
                        raise AlreadyExistsError(f"Already Exists: Job {project}:{job}")
                    return await handle(project, job, config, *given, **options)
                finally:
                    running.pop(job, None)

        return handled

    for name in ("_handle_query_job", "_handle_load_job_with_async_envelope"):
        _replace(jobs, **{name: once(getattr(jobs, name))})


def _patch_queries() -> None:
    """Lets dry runs run nothing, parses a query once, and makes the pages of an answer column by column."""
    import sqlglot
    from bqemulator.api.routes import jobs

    from taxi_assets.local import bigquery_queries

    _replace(sqlglot, parse_one=bigquery_queries.parsed_once(sqlglot.parse_one))
    _replace(jobs, _dry_run_response=bigquery_queries.dry_run, arrow_table_to_bq_rows=bigquery_queries.rows)
    routes = cast("Any", jobs.router.routes)
    routes[:] = [route for route in routes if route.endpoint is not jobs.get_query_results]
    path = "/projects/{project_id}/queries/{job_id}"
    jobs.router.add_api_route(path, bigquery_queries.query_results, methods=["GET"], response_model=None)


class _NoServer:
    async def start(self) -> None:
        """Starts nothing."""

    async def stop(self, grace: float) -> None:
        """Stops nothing."""


def _replace(owner: Any, **parts: Any) -> None:
    for name, part in parts.items():
        if not hasattr(owner, name):
            raise AttributeError(f"this version of the emulator has no {name}")
        setattr(owner, name, part)


def serve(home: Path, port: int) -> None:
    """Runs the emulator in this process until the process ends."""
    from bqemulator.config import LogLevel, PersistenceMode, Settings
    from bqemulator.server import EmulatorServer

    private_process()
    # Relative paths, since DuckDB takes a backslash for a separator. It keeps extensions below HOME: not in the user's.
    os.chdir(private_folder(home / "bigquery"))
    os.environ["HOME"] = "."
    folder, objects = Path.cwd(), objects_folder(home)
    uploads = folder / "uploads"
    _patch()
    _patch_files(objects, uploads)
    _patch_access(home)

    class Server(EmulatorServer):
        async def start(self) -> None:
            await super().start()
            publish(self.rest_port)

    settings = Settings(
        rest_host="127.0.0.1",
        rest_port=port,
        persistence_mode=PersistenceMode.PERSISTENT,
        data_dir=folder,
        upload_staging_dir=uploads,
        gcs_local_root=objects,
        default_project_id=PROJECT,
        time_travel_retention_days=0,
        enable_format_extensions=False,
        metrics_enabled=False,
        tracing_enabled=False,
        otlp_endpoint=None,
        admin_enabled=False,
        log_level=LogLevel.WARNING,
    )
    Server(settings).run_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
