"""Files of people, from the watched folder to BigQuery: the sensor, the two branches, and whose table it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from taxi_assets.components import LocalFiles
from taxi_assets.pipelines import FOLDER
from taxi_assets.settings import PROJECT_ROOT, settings
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets_tests.stores.clouds import names
from taxi_assets_tests.taxi_command import UNSET

pytestmark = pytest.mark.filterwarnings("ignore::dagster.PreviewWarning", "ignore::dagster.BetaWarning")

EXAMPLE = PROJECT_ROOT / "examples" / "weather_by_day.csv"


class Watched:
    """The watched folder, its sensor and its job, on a real instance."""

    def __init__(self, cloud: GoogleCloudResource, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        document = yaml.safe_load((FOLDER / "local_files" / "defs.yaml").read_text())
        made = LocalFiles(**document["attributes"]).build_defs(None)  # type: ignore[arg-type]
        self.definitions = dg.Definitions.merge(made, dg.Definitions(resources={"cloud": cloud}))
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self.asked: set[str] = set()

    def put(self, name: str, content: str | bytes, changed: int | None = None) -> None:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if changed:
            os.utime(path, ns=(changed, changed))

    def tick(self) -> dg.SensorResult:
        """One look of the sensor; what it wants of the instance is done, as the daemon does it."""
        (sensor,) = self.definitions.sensors or ()
        context = dg.build_sensor_context(
            instance=self.instance, definitions=self.definitions, cursor=self.cursor, sensor_name="local_files_folder"
        )
        found: Any = sensor(context)
        self.cursor = found.cursor
        for request in found.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return found  # type: ignore[no-any-return]

    def run(self, name: str) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def("local_files")
        return job.execute_in_process(instance=self.instance, partition_key=name, raise_on_error=False)

    def taken_up(self) -> dict[str, dg.ExecuteInProcessResult]:
        """What the sensor asks for until nothing changes, run."""
        self.tick()
        asked = self.tick().run_requests or []
        new = [request for request in asked if request.run_key not in self.asked]
        self.asked |= {str(request.run_key) for request in new}
        return {str(request.partition_key): self.run(str(request.partition_key)) for request in new}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        answer = self.cloud.bigquery().query(sql.format(d=self.cloud.dataset)).result()
        return [tuple(row.values()) for row in answer]


@pytest.fixture
def watched(cloud: GoogleCloudResource, tmp_path: Path) -> Iterator[Watched]:
    folder = tmp_path / "files"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        told = {**UNSET, "TAXI_HOME": str(tmp_path / "home"), "TAXI_FILES_FOLDER": str(folder)}
        for name, value in told.items():
            patch.setenv(name, value)
        settings.cache_clear()
        (tmp_path / "home").mkdir(mode=0o700)
        yield Watched(cloud, folder)
    settings.cache_clear()


def made(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    events = [event for event in result.all_events if event.event_type_value == "ASSET_MATERIALIZATION"]
    return {
        event.materialization.asset_key.path[-1]: {k: v.value for k, v in event.materialization.metadata.items()}
        for event in events
    }


def error(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data
    return str(failed.step_failure_data.user_failure_data.description)


def test_the_example_becomes_a_table_named_after_it(watched: Watched) -> None:
    watched.put(EXAMPLE.name, EXAMPLE.read_bytes())
    done = watched.taken_up()
    assert list(done) == ["weather_by_day.csv"]
    shown = made(done["weather_by_day.csv"])
    assert set(shown) == {"table_file", "bigquery_table"}
    assert shown["bigquery_table"]["dagster/partition_row_count"] == 10
    assert len(shown["bigquery_table"]["preview"].records) == 10
    columns = {column.name: column for column in shown["bigquery_table"]["dagster/column_schema"].columns}
    assert columns["temperature_c"].description == "Column 'Temperature (°C)' of the file."
    assert watched.rows("SELECT COUNT(*), MAX(temperature_c) FROM {d}.weather_by_day WHERE NOT snow") == [(10, 15.0)]
    blob = watched.cloud.storage().bucket(watched.cloud.bucket).blob("files/weather_by_day.csv")
    assert blob.download_as_bytes() == EXAMPLE.read_bytes()
    assert watched.instance.get_dynamic_partitions("local_files") == ["weather_by_day.csv"]


def test_a_file_is_taken_up_once_and_again_when_it_changed(watched: Watched) -> None:
    watched.put("a.csv", "n\n1\n", changed=10**18)
    assert list(watched.taken_up()) == ["a.csv"]
    assert watched.taken_up() == {}
    watched.put("a.csv", "n\n1\n", changed=10**18 + 1)
    assert watched.taken_up() == {}, "only touched"
    watched.put("a.csv", "n,text\n2,x\n3,y\n", changed=10**18 + 2)
    assert list(watched.taken_up()) == ["a.csv"]
    assert watched.rows("SELECT n, text FROM {d}.a ORDER BY n") == [(2, "x"), (3, "y")]
    watched.put("a.csv", "n\n1\n", changed=10**18 + 3)
    assert list(watched.taken_up()) == ["a.csv"], "an old version that comes back is a new one"
    assert watched.rows("SELECT * FROM {d}.a") == [(1,)]


def test_a_file_that_is_still_written_waits(watched: Watched) -> None:
    watched.put("a.csv", "n\n1\n", changed=10**18)
    first = watched.tick()
    assert not first.run_requests
    assert "a.csv" in str(first.skip_reason)
    watched.put("a.csv", "n\n1\n2\n", changed=10**18 + 1)
    assert not watched.tick().run_requests
    assert [request.partition_key for request in watched.tick().run_requests or ()] == ["a.csv"]


def test_a_removed_file_keeps_its_partition_and_its_table(watched: Watched) -> None:
    watched.put("a.csv", "n\n1\n")
    watched.taken_up()
    (watched.folder / "a.csv").unlink()
    assert watched.taken_up() == {}
    assert watched.instance.get_dynamic_partitions("local_files") == ["a.csv"]
    assert watched.rows("SELECT n FROM {d}.a") == [(1,)]
    assert "not in the watched folder any more" in error(watched.run("a.csv"))


def test_a_file_that_is_no_table_takes_the_other_branch(watched: Watched) -> None:
    watched.put("page.csv", "<html>no</html>")
    done = watched.taken_up()["page.csv"]
    assert done.success
    shown = made(done)
    assert set(shown) == {"quarantine"}
    assert "a web page" in shown["quarantine"]["reason"]
    assert [e.step_key for e in done.all_events if e.is_step_skipped] == ["local_files__bigquery_table"]
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.description) == ("is_a_table", False, "a web page")
    assert names(watched.cloud, "files/") == ["files/_quarantine/page.csv"]


def test_a_table_outlives_a_bad_version_of_its_file(watched: Watched) -> None:
    watched.put("a.csv", "n\n1\n")
    watched.taken_up()
    watched.put("a.csv", "n,m\n1\n")
    assert set(made(watched.taken_up()["a.csv"])) == {"quarantine"}
    assert watched.rows("SELECT n FROM {d}.a") == [(1,)]
    watched.put("a.csv", "n\n5\n")
    assert set(made(watched.taken_up()["a.csv"])) == {"table_file", "bigquery_table"}
    assert names(watched.cloud, "files/_quarantine/") == []


def test_of_two_files_for_one_table_the_first_has_it(watched: Watched) -> None:
    watched.put("b-c.csv", "n\n1\n")
    watched.taken_up()
    watched.put("B C.csv", "n\n2\n")
    failed = watched.taken_up()["B C.csv"]
    assert not failed.success
    assert "The files b-c.csv and B C.csv would make the same table." in error(failed)
    assert "rename B C.csv" in error(failed)
    assert watched.rows("SELECT n FROM {d}.b_c") == [(1,)]
    watched.put("b-c.csv", "n\n3\n")
    assert watched.taken_up()["b-c.csv"].success
    assert watched.rows("SELECT n FROM {d}.b_c") == [(3,)]


def test_a_table_that_no_file_made_is_not_overwritten(watched: Watched) -> None:
    watched.cloud.bigquery().create_dataset(str(watched.cloud.dataset))
    watched.rows("CREATE TABLE {d}.a AS SELECT 'mine' AS whose")
    watched.put("a.csv", "n\n1\n")
    assert "is not one that was made from a file" in error(watched.taken_up()["a.csv"])
    assert watched.rows("SELECT whose FROM {d}.a") == [("mine",)]


def test_names_that_make_no_table_or_no_partition(watched: Watched) -> None:
    watched.put("___.csv", "n\n1\n")
    watched.put("a...b.csv", "n\n1\n")
    done = watched.taken_up()
    assert list(done) == ["___.csv"], "Dagster takes no such partition"
    assert "No table can be named after the file" in error(done["___.csv"])
