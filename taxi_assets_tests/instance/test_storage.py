"""Dagster's records in the platform's database, as its own commands keep them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import DagsterInstance, serialize_value
from pydantic import SecretStr
from sqlalchemy import make_url

from taxi_assets.instance import home as dagster_home
from taxi_assets.instance import storage as dagster_storage
from taxi_assets.local import postgres as embedded
from taxi_assets.settings import PROJECT_ROOT, Settings
from taxi_assets.stores.postgres.connection import PostgresAddress, connect

DEFINITIONS = """
import dagster as dg

@dg.asset
def printed():
    print("seen in the compute log")

defs = dg.Definitions(assets=[printed])
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "POSTGRES", "TAXI"))}
    return {**kept, "TAXI_HOME": str(home), **more}


def test_a_run_in_a_folder_with_the_file_stands_in_the_database_and_below_home(
    postgres: PostgresAddress, home: Path, tmp_path: Path
) -> None:
    shutil.copy(PROJECT_ROOT / "dagster.yaml", tmp_path)
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "*", "-f", "definitions.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with connect(postgres) as connection:
        run = connection.execute("SELECT run_id, status FROM dagster.runs").fetchone()
        assert run is not None
        assert run[1] == "SUCCESS"
        assert connection.execute("SELECT FROM dagster.event_logs WHERE run_id = %s", [run[0]]).rowcount > 5
        assert connection.execute("SELECT to_regclass('public.runs')").fetchone() == (None,)
    logs = [path.read_text() for path in (home / "dagster" / "storage" / run[0]).rglob("*.out")]
    assert any("seen in the compute log" in log for log in logs)
    assert stat.S_IMODE((home / "dagster").stat().st_mode) == 0o700
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == [
        "dagster.yaml",
        "definitions.py",
    ]


@pytest.fixture
def instance_home(postgres: PostgresAddress, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for `DAGSTER_HOME`, with a password among the settings, which the embedded server does not ask for."""
    settings = Settings(taxi_home=home, postgres_password="hidden-word")
    for module in (dagster_storage, dagster_home):
        monkeypatch.setattr(module, "settings", lambda: settings)
    return dagster_home.dagster_home()


def test_what_dagster_hands_to_its_subprocesses_holds_no_address_and_no_password(instance_home: Path) -> None:
    with DagsterInstance.from_config(str(instance_home)) as instance:
        assert instance.get_runs_count() >= 0
        handed = serialize_value(instance.get_ref())
    json.loads(handed)
    assert "TaxiDagsterStorage" in handed
    assert "hidden-word" not in handed
    assert "postgresql" not in handed


def test_a_reader_of_the_copied_configuration_never_sees_half_of_it(instance_home: Path) -> None:
    copy = instance_home / "dagster.yaml"
    copy.write_text("# of an older version\n")
    with copy.open() as reading:
        dagster_home.dagster_home()
        assert reading.read() == "# of an older version\n"
    assert copy.read_bytes() == (PROJECT_ROOT / "dagster.yaml").read_bytes()


def test_processes_that_are_the_first_create_the_tables_once(home: Path, postgres: PostgresAddress) -> None:
    embedded.ensure(home, database="first_records")
    program = "from taxi_assets.instance.storage import *; TaxiDagsterStorage.from_config_value(None, {})"
    first = environment(home, POSTGRES_DBNAME="first_records")
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, env=first, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    output = [process.communicate(timeout=120)[1] for process in started]
    embedded.ensure(home)
    with connect(postgres) as connection:
        connection.execute("DROP DATABASE first_records WITH (FORCE)")
    assert [process.returncode for process in started] == [0, 0, 0, 0], output
    assert not [said for said in output if "Retrying" in said]


def test_the_storage_finds_its_schema_current(instance_home: Path) -> None:
    with DagsterInstance.from_config(str(instance_home)) as instance:
        version = instance.event_log_storage.alembic_version()
    assert version
    assert version[0] == version[1]


def test_a_password_of_special_characters_survives_the_address() -> None:
    address = PostgresAddress("db.example", 5433, "taxi", "some one", SecretStr("p@ss:/?#[]% word"))
    url = make_url(dagster_storage._url(address))
    assert (url.username, url.password, url.database) == ("some one", "p@ss:/?#[]% word", "taxi")
    assert url.query["options"] == "-csearch_path=dagster"
