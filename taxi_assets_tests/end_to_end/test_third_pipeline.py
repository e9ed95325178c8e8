"""A second pipeline of one service, made by one YAML file: with its own rules, tables and prefix beside the first."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from taxi_assets_tests.end_to_end.cloud_stores import in_bigquery, in_lake, objects
from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.project_copy import copy_project, of_copy
from taxi_assets_tests.real_months import EXCERPTS
from taxi_assets_tests.servers import starts_server
from taxi_assets_tests.taxi_command import Taxi

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]

APRIL = "2020-04"
PATH = f"/green/green_tripdata_{APRIL}.csv.gz"
COUNTS = EXCERPTS.counts("green", APRIL)
FILE = """
type: taxi_assets.components.TaxiPipeline
attributes:
  service: green
  owners: [team:data-platform]
  reject:
    - {column: trip_distance, at_most: 1, reason: short}
  postgres: {schema: long, table: green_taxi}
  lake: {shape: month}
  bigquery: {dataset: long, table: green_taxi}
"""


def long_trips() -> int:
    """The rows that the third pipeline keeps."""
    text = gzip.decompress(EXCERPTS.path("green", APRIL).read_bytes()).decode()
    return sum(float(row["trip_distance"]) > 1 for row in csv.DictReader(io.StringIO(text)))


@dataclass(frozen=True)
class Both:
    """Green and the third pipeline, both loaded from one server."""

    taxi: Taxi
    server: FaultyServer

    @property
    def downloads(self) -> int:
        """How often the file was sent; a request that names the version it has gets none."""
        return sum(asked.method == "GET" and "If-None-Match" not in asked.headers for asked in self.server.of(PATH))

    def stand(self) -> None:
        """Each pipeline's rows stand in its own places, in every store."""
        for pipeline, schema, kept in (("green", "mage", COUNTS.kept), ("long_trips", "long", long_trips())):
            table, rejected = f"{schema}.green_taxi", {APRIL: COUNTS.rows - kept}
            assert self.taxi.stored(table) == in_bigquery(self.taxi, table) == {APRIL: kept}
            assert self.taxi.stored(f"{table}_rejected") == in_bigquery(self.taxi, f"{table}_rejected") == rejected
            assert in_lake(self.taxi, pipeline) == {APRIL: kept}

    def loads(self, pipeline: str) -> int:
        """How many loads the ledger has of a pipeline."""
        query = f"SELECT count(*) FROM taxi_assets.load_log WHERE pipeline = '{pipeline}' AND service = 'green'"
        return int(self.taxi.asks(query)[0][0])


@pytest.fixture(scope="module")
@starts_server
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    defs = copy_project(tmp_path_factory.mktemp("checkout"))
    (defs / "long_trips").mkdir()
    (defs / "long_trips" / "defs.yaml").write_text(FILE)
    with FaultyServer() as server:
        server.publish(PATH, EXCERPTS.path("green", APRIL).read_bytes())
        taxi = Taxi(tmp_path_factory.mktemp("third") / "home", tmp_path_factory.mktemp("elsewhere"))
        taxi = of_copy(taxi.having(TAXI_SOURCE_URL=server.url), defs)
        yield Both(taxi, server)
        taxi.well("down")


def test_both_are_loaded_from_one_file_that_is_fetched_once(both: Both) -> None:
    assert "green: 1 loaded, 0 loaded already, 0 failed" in both.taxi.well("run", "green", "--months", APRIL).err
    assert both.downloads == 1
    said = both.taxi.well("run", "long_trips", "--months", APRIL)
    assert "long_trips: 1 loaded, 0 loaded already, 0 failed" in said.err
    assert "short" in said.out
    assert both.downloads == 1
    both.stand()


def test_their_objects_are_apart(both: Both) -> None:
    names = set(objects(both.taxi))
    for pipeline in ("green", "long_trips"):
        assert {f"_loads/{pipeline}/{APRIL}.json", f"rejected/{pipeline}/{APRIL}.parquet"} <= names
        assert any(name.startswith(f"_objects/{pipeline}/rejected_{APRIL}-") for name in names)
    assert f"long_trips/long_trips_{APRIL}.parquet" in names


def test_each_is_verified_and_listed_by_its_name(both: Both) -> None:
    assert "6 of 6 loads agree" in both.taxi.well("verify").err
    assert "3 of 3 loads agree" in both.taxi.well("verify", "long_trips").err
    listed = list(csv.DictReader(io.StringIO(both.taxi.well("log", "long_trips", "--csv").out)))
    assert {load["pipeline"] for load in listed} == {"long_trips"}
    assert (both.loads("green"), both.loads("long_trips"), len(listed)) == (3, 3, 3)


def test_a_run_of_one_leaves_the_other_as_it_is(both: Both) -> None:
    both.taxi.well("run", "green", "--months", APRIL, "--force")
    assert (both.loads("green"), both.loads("long_trips")) == (6, 3)
    both.stand()
    assert "0 loaded, 1 loaded already" in both.taxi.well("run", "long_trips", "--months", APRIL).err


def test_what_would_mix_their_tables_is_refused(both: Both) -> None:
    for taxi, options in ((both.taxi.having(POSTGRES_SCHEMA="mage"), ()), (both.taxi, ("--limit", "10"))):
        said = taxi("run", "long_trips", "--months", APRIL, "--force", *options)
        assert said.code != 0
        assert "long_trips and green would both load into" in said.err
    assert both.loads("long_trips") == 3
