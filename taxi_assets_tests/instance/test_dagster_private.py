"""Dagster's private names are as this project uses them, and it uses them in one module alone."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_postgres
import pytest
from packaging.requirements import Requirement

from taxi_assets.instance import dagster_private as private
from taxi_assets.instance.launcher import TaxiRunLauncher
from taxi_assets.instance.runs import remote_origin
from taxi_assets.instance.storage import (
    TaxiArtifactStorage,
    TaxiComputeLogs,
    TaxiDagsterStorage,
    TaxiEventLogStorage,
    TaxiRunStorage,
)
from taxi_assets.settings import PROJECT_ROOT

FOLDERS = ("taxi_assets", "taxi_assets_tests", "benchmarks")
# The test of broken files lets the scheduler of the daemon run at times of its own.
ALLOWED = {Path(str(private.__file__)), Path(__file__), Path(__file__).with_name("test_broken_file.py")}
PRIVATE = re.compile(r"\b(dagster|dagster_\w+)(\.\w+)*\._[a-z]\w*|\bdagster_shared\b")


def private_imports() -> Iterator[tuple[str, str]]:
    """Each module and name that the one module imports, those inside its functions too."""
    for node in ast.walk(ast.parse(Path(str(private.__file__)).read_text())):
        if isinstance(node, ast.ImportFrom) and PRIVATE.match(str(node.module)):
            for alias in node.names:
                yield str(node.module), alias.name


def test_the_installed_dagster_lies_within_the_bounds() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    found = [Requirement(line) for line in project["dependencies"] if line.startswith("dagster")]
    assert {required.name for required in found} >= {"dagster", "dagster-postgres", "dagster-webserver"}
    for required in found:
        assert any(bound.operator == "<" for bound in required.specifier), required
        assert required.specifier.contains(version(required.name)), required


@pytest.mark.parametrize(("module", "name"), sorted(set(private_imports())))
def test_each_private_name_exists(module: str, name: str) -> None:
    assert hasattr(import_module(module), name)


def _of(module: str, path: str) -> Any:
    found = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


BACKFILL = "dagster._core.execution.backfill"
EXECUTION = "dagster._core.execution.api"
RECONSTRUCT = "dagster._core.definitions.reconstruct"


@pytest.mark.parametrize(
    ("module", "path", "parameters"),
    [
        (EXECUTION, "execute_run", "job dagster_run instance"),
        (EXECUTION, "create_execution_plan", "job run_config tags instance_ref"),
        ("dagster._core.snap", "snapshot_from_execution_plan", "execution_plan pipeline_snapshot_id"),
        (
            RECONSTRUCT,
            "ReconstructableRepository.for_module",
            "module fn_name working_directory",
        ),
        (RECONSTRUCT, "ReconstructableRepository.get_reconstructable_job", "self name"),
        (RECONSTRUCT, "ReconstructableJob.get_python_origin", "self"),
        (RECONSTRUCT, "ReconstructableJob.get_definition", "self"),
        (
            BACKFILL,
            "PartitionBackfill.from_asset_partitions",
            "backfill_id asset_graph partition_names asset_selection backfill_timestamp tags dynamic_partitions_store "
            "all_partitions title description run_config",
        ),
        ("dagster._core.utils", "make_new_backfill_id", ""),
        ("dagster._core.launcher", "CheckRunHealthResult", "status msg"),
        ("dagster._core.events", "EngineEventData.in_process", "pid"),
        ("dagster._grpc.client", "DagsterGrpcClient", "port socket host"),
        ("dagster._grpc.client", "DagsterGrpcClient.can_cancel_execution", "self can_cancel_execution_request timeout"),
        ("dagster._core.storage.root", "LocalArtifactStorage", "base_dir inst_data"),
        ("dagster._core.storage.local_compute_log_manager", "LocalComputeLogManager", "base_dir inst_data"),
        ("dagster_postgres", "DagsterPostgresStorage", "postgres_url inst_data"),
        ("dagster_postgres", "PostgresEventLogStorage", "postgres_url should_autocreate_tables"),
        ("dagster_postgres", "PostgresRunStorage", "postgres_url should_autocreate_tables"),
        ("dagster_postgres", "PostgresRunStorage.has_job_snapshot", "self job_snapshot_id"),
        ("dagster_postgres", "PostgresRunStorage.get_job_snapshot", "self job_snapshot_id"),
        ("dagster_postgres", "PostgresRunStorage._get_run_by_id", "self run_id"),
        ("dagster._core.events", "AssetObservationData", "asset_observation"),
        ("dagster._utils.log", "configure_loggers", "formatter log_level"),
        ("dagster._core.workspace.context", "WorkspaceProcessContext", "instance workspace_load_target version"),
        (
            "dagster_webserver.app",
            "create_app_from_workspace_process_context",
            "workspace_process_context live_data_poll_rate",
        ),
        ("dagster", "deserialize_value", "val as_type"),
        ("dagster", "partition_loading_context", "dynamic_partitions_store"),
        ("dagster", "DagsterInstance.get_backfills", "self filters"),
        ("dagster", "DagsterInstance.get_backfill", "self backfill_id"),
        ("dagster", "DagsterInstance.add_backfill", "self partition_backfill"),
        ("dagster", "DagsterInstance.optimize_for_webserver", "self statement_timeout pool_recycle max_overflow"),
        (
            "dagster",
            "DagsterInstance.create_run_for_job",
            "self job_def run_id run_config tags remote_job_origin job_code_origin",
        ),
    ],
)
def test_each_call_has_the_parameters_that_are_used(module: str, path: str, parameters: str) -> None:
    found = inspect.signature(_of(module, path)).parameters
    used = parameters.split()
    assert set(used) <= set(found)
    needed = [name for name, parameter in found.items() if parameter.default is parameter.empty]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    assert [name for name in needed if name not in used and found[name].kind not in variadic] == []


def test_a_run_is_created_with_exactly_these_parameters() -> None:
    assert set(inspect.signature(dg.DagsterInstance.create_run).parameters) == {
        *("self", "job_name", "run_id", "run_config", "status", "tags", "root_run_id", "parent_run_id"),
        *("step_keys_to_execute", "execution_plan_snapshot", "job_snapshot", "parent_job_snapshot"),
        *("asset_selection", "asset_check_selection", "resolved_op_selection", "op_selection"),
        *("remote_job_origin", "job_code_origin", "asset_graph"),
    }


def test_the_members_that_are_used_exist() -> None:
    assert {"RUNNING", "FAILED"} <= set(private.WorkerStatus.__members__)
    assert {"REQUESTED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "CANCELED"} <= set(
        _of(BACKFILL, "BulkActionStatus").__members__
    )
    assert _of(BACKFILL, "BulkActionStatus.REQUESTED") not in _of(BACKFILL, "BULK_ACTION_TERMINAL_STATUSES")
    assert _of(BACKFILL, "BulkActionStatus.COMPLETED_SUCCESS") in _of(BACKFILL, "BULK_ACTION_TERMINAL_STATUSES")
    assert "..." in private.INVALID_PARTITION_SUBSTRINGS
    assert {"dagster_run", "workspace"} <= set(dir(private.LaunchRunContext))
    assert "can_cancel" in dir(_of("dagster._grpc.types", "CanCancelExecutionResult"))
    assert {"user_failure_data", "error"} <= set(_of("dagster._core.execution.plan.objects", "StepFailureData")._fields)
    assert {"message", "cls_name", "cause"} <= set(dir(_of("dagster_shared.error", "SerializableErrorInfo")))
    assert {
        "status",
        "partition_names",
        "asset_selection",
        "run_config",
        "job_name",
        "partition_set_origin",
        "asset_backfill_data",
        "backfill_id",
    } <= set(_of(BACKFILL, "PartitionBackfill")._fields) | set(dir(_of(BACKFILL, "PartitionBackfill")))


def test_each_record_is_made_as_this_project_makes_it() -> None:
    requested = _of(BACKFILL, "BulkActionStatus.REQUESTED")
    assert _of(BACKFILL, "BulkActionsFilter")(statuses=[requested]).statuses == [requested]
    assert _of("dagster._grpc.types", "CanCancelExecutionRequest")(run_id="one").run_id == "one"
    assert _of("dagster._core.workspace.load_target", "WorkspaceFileTarget")(["one"]).paths == ["one"]
    origin = remote_origin("yellow_taxi_etl")
    assert dg.deserialize_value(dg.serialize_value(origin), private.RemoteJobOrigin) == origin
    assert origin.job_name == "yellow_taxi_etl"
    assert origin.repository_origin.repository_name == "__repository__"
    assert origin.repository_origin.code_location_origin.location_name == "taxi_assets"


def test_a_storage_knows_its_instance() -> None:
    assert {"has_instance", "_instance"} <= set(dir(dagster_postgres.PostgresEventLogStorage))


def test_a_materialization_becomes_an_observation_of_the_same() -> None:
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a"]))
    def made() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"rows": 3})

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([made], partition_key="a", instance=instance)
        entries = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    seen = private.as_observation(entries[0])
    assert seen.asset_observation
    assert (seen.asset_observation.asset_key, seen.asset_observation.partition) == (made.key, "a")
    assert seen.asset_observation.metadata["rows"].value == 3
    assert dg.deserialize_value(dg.serialize_value(seen), dg.EventLogEntry) == seen


def test_a_launched_run_names_its_process_in_its_event() -> None:
    assert private.EngineEventData.in_process(7).metadata["pid"].value == "7"


def test_a_clear_failure_is_recognised_by_the_name_of_its_class() -> None:
    assert (dg.Failure.__module__, dg.Failure.__qualname__) == ("dagster._core.definitions.events", "Failure")


BASES = [
    (TaxiRunLauncher, dg.DefaultRunLauncher),
    (TaxiDagsterStorage, dagster_postgres.DagsterPostgresStorage),
    (TaxiEventLogStorage, dagster_postgres.PostgresEventLogStorage),
    (TaxiRunStorage, dagster_postgres.PostgresRunStorage),
    (TaxiArtifactStorage, private.LocalArtifactStorage),
    (TaxiComputeLogs, private.LocalComputeLogManager),
]


@pytest.mark.parametrize(
    ("ours", "base", "name"),
    [(ours, base, name) for ours, base in BASES for name in vars(ours) if not name.startswith("_")],
)
def test_each_override_has_a_method_to_override(ours: type, base: type, name: str) -> None:
    theirs = getattr(base, name)
    if callable(theirs):
        mine = list(inspect.signature(getattr(ours, name)).parameters)
        assert mine == list(inspect.signature(theirs).parameters)
    else:
        assert isinstance(theirs, property)


def _uses(path: Path) -> Iterator[str]:
    """The private modules of Dagster that a file imports, or names in a string that is no docstring."""
    tree = ast.parse(path.read_text())
    texts = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            names = [node.value]
        for name in names:
            if PRIVATE.search(name):
                yield f"{path.relative_to(PROJECT_ROOT)}:{getattr(node, 'lineno', 0)}: {name}"


def test_no_other_module_uses_a_private_module_of_dagster() -> None:
    files = [path for folder in FOLDERS for path in sorted((PROJECT_ROOT / folder).rglob("*.py"))]
    assert set(files) >= ALLOWED
    assert [use for path in files if path not in ALLOWED for use in _uses(path)] == []


def test_the_one_module_imports_nothing_of_the_project() -> None:
    tree = ast.parse(Path(str(private.__file__)).read_text())
    roots = {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots <= {"__future__", "collections", "contextlib", "pathlib", "typing", "dagster", "dagster_shared"}


@pytest.mark.parametrize(
    "source",
    [
        "from dagster._core.events import DagsterEvent",
        "import dagster._serdes",
        "from dagster_shared.serdes import serialize_value",
        "import_module('dagster._core.events')",
        "run([python, '-m', 'dagster._daemon'])",
        "from dagster import _check",
        "from dagster_gcp.bigquery._utils import x",
    ],
)
def test_each_kind_of_use_is_seen(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxi_assets_tests.instance.test_dagster_private.PROJECT_ROOT", tmp_path)
    (tmp_path / "file.py").write_text(f'"""Of dagster._core."""\n{source}\n')
    assert len(list(_uses(tmp_path / "file.py"))) == 1
