"""Loading a month into a real PostgreSQL: whole or not at all, once, and beside readers and other loads."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from psycopg import sql

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.postgres.connection import OWNER, READER, PostgresAddress, connect, connect_as
from taxi_assets.stores.postgres.load import BATCH_ROWS, copy_rows, load_month
from taxi_assets.stores.postgres.load_log import latest_loads
from taxi_assets.stores.postgres.schema import create_schema
from taxi_assets.stores.postgres.verify import count_month, verify_months
from taxi_assets.trips.columns import ColumnType
from taxi_assets.trips.table import table_writer
from taxi_assets_tests.stores.loading_process import MOMENTS
from taxi_assets_tests.stores.months import FEBRUARY, JANUARY, RUN, cleaned, trips_table

TABLE = "yellow_cab_data"


def rows(address: PostgresAddress, schema: str, month: CleanedMonth, suffix: str = "") -> int:
    with connect_as(READER, address) as connection:
        return count_month(connection, trips_table(schema).with_suffix(suffix), month.month)[0]


def run(address: PostgresAddress, statement: str, *names: str) -> None:
    with connect_as(OWNER, address) as connection:
        connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def test_a_month_is_loaded_with_its_rejected_rows_and_logged(
    postgres: PostgresAddress, schema: str, tmp_path: Path
) -> None:
    month = cleaned(tmp_path, kept=3, rejected=2)
    told: list[int] = []
    done = load_month(postgres, month, trips_table(schema), RUN, progress=told.append)
    assert (done.rows, done.rejected_rows, done.replaced_rows, told) == (3, 2, 0, [3])
    with connect_as(READER, postgres) as connection:
        table, rejected = (sql.Identifier(schema, TABLE + suffix) for suffix in ("", "_rejected"))
        assert count_month(connection, trips_table(schema), JANUARY) == (3, 3540)
        query = sql.SQL("SELECT reason, source_row FROM {} ORDER BY source_row").format(rejected)
        assert connection.execute(query).fetchall() == [("passenger_count = 0", 4), ("passenger_count = 0", 5)]
        query = sql.SQL("SELECT tpep_pickup_datetime::text, source_month, airport_fee FROM {} LIMIT 1").format(table)
        assert connection.execute(query).fetchone() == ("2021-01-01 00:30:10", JANUARY, None)
        (entry,) = (entry for entry in latest_loads(connection, store="postgres") if entry.place == done.place)
    assert (entry.id, entry.rows_read, entry.rows_kept, entry.rows_rejected) == (done.log_id, 5, 3, 2)
    assert (entry.url, entry.sha256, entry.source_bytes) == ("http://source/file.csv.gz", "ab12", 12)
    assert (entry.run_id, entry.started_by, entry.code_version) == ("run-1", "a test", "version")
    assert entry.rejected["passenger_count = 0"] == 2
    assert entry.loaded_at is not None


def test_the_same_month_again_replaces_it(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    load_month(postgres, cleaned(tmp_path, kept=3), trips_table(schema))
    load_month(postgres, cleaned(tmp_path, kept=3, month=FEBRUARY), trips_table(schema))
    again = cleaned(tmp_path, kept=5, rejected=0)
    assert load_month(postgres, again, trips_table(schema)).replaced_rows == 3
    assert (rows(postgres, schema, again), rows(postgres, schema, again, "_rejected")) == (5, 0)
    with connect_as(READER, postgres) as connection:
        assert count_month(connection, trips_table(schema), FEBRUARY)[0] == 3


def test_readers_see_the_old_or_the_new_month_and_do_not_wait(
    postgres: PostgresAddress, schema: str, tmp_path: Path
) -> None:
    old, new = cleaned(tmp_path, kept=40), cleaned(tmp_path, kept=70)
    load_month(postgres, old, trips_table(schema))
    seen: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        with connect(postgres, options="-c lock_timeout=100ms") as connection:
            while not stop.is_set():
                seen.add(count_month(connection, trips_table(schema), JANUARY)[0])

    with ThreadPoolExecutor() as pool, connect(postgres) as slow:
        reading = pool.submit(read)
        with slow.transaction():
            before = count_month(slow, trips_table(schema), JANUARY)
            for _ in range(3):
                load_month(postgres, new, trips_table(schema))
                load_month(postgres, old, trips_table(schema))
            load_month(postgres, cleaned(tmp_path, month=FEBRUARY), trips_table(schema))
            assert count_month(slow, trips_table(schema), JANUARY) == before
        stop.set()
        reading.result()
    assert seen <= {40, 70}
    assert 40 in seen


def test_two_months_at_the_same_time_end_with_both(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    months = [cleaned(tmp_path, kept=30, month=month) for month in (JANUARY, FEBRUARY)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda month: load_month(postgres, month, trips_table(schema)), months))
    assert [rows(postgres, schema, month) for month in months] == [30, 30]


def test_the_same_month_at_the_same_time_ends_with_one_of_them(
    postgres: PostgresAddress, schema: str, tmp_path: Path
) -> None:
    months = [cleaned(tmp_path, kept=kept) for kept in (10, 20, 30)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda month: load_month(postgres, month, trips_table(schema)), months))
    assert rows(postgres, schema, months[0]) in (10, 20, 30)
    with connect_as(READER, postgres) as connection:
        found = [verified for verified in verify_months(connection) if verified.location == f"{schema}.{TABLE}"]
    assert [verified.agrees for verified in found] == [True]


def test_a_load_that_waits_too_long_says_who_holds_the_month(
    postgres: PostgresAddress, schema: str, tmp_path: Path
) -> None:
    month = cleaned(tmp_path)
    load_month(postgres, month, trips_table(schema))
    with connect(postgres, "somebody else") as holder, holder.transaction():
        name = f"taxi_assets load {schema}.{TABLE} 2021-01"
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        with pytest.raises(TransientError, match="under way") as raised:
            load_month(postgres, month, trips_table(schema), wait_seconds=0.3)
        assert f"process {holder.info.backend_pid} (somebody else) of taxi, since 2" in str(raised.value)


@pytest.mark.parametrize("change", ["RETURN NULL", "NEW.total_amount := 1; RETURN NEW"])
def test_other_rows_than_were_cleaned_are_rolled_back(
    postgres: PostgresAddress, schema: str, tmp_path: Path, change: str
) -> None:
    old, new = cleaned(tmp_path, kept=3), cleaned(tmp_path, kept=4)
    log_id = load_month(postgres, old, trips_table(schema)).log_id
    body = f"CREATE FUNCTION {{}}.meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {change}; END'"
    run(postgres, body, schema)
    trigger = "CREATE TRIGGER meddle BEFORE INSERT ON {}.{} FOR EACH ROW EXECUTE FUNCTION {}.meddle()"
    run(postgres, trigger, schema, TABLE, schema)
    with pytest.raises(TaxiError, match="other rows than were cleaned") as raised:
        load_month(postgres, new, trips_table(schema))
    assert not raised.value.transient
    assert "4 rows with 4720 cents" in str(raised.value)
    with connect_as(READER, postgres) as connection:
        assert count_month(connection, trips_table(schema), JANUARY) == (3, 3540)
        loads = latest_loads(connection, store="postgres")
        assert [entry.id for entry in loads if entry.place == f"{schema}.{TABLE}"] == [log_id]


def test_verify_finds_what_others_did(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    load_month(postgres, cleaned(tmp_path, kept=3), trips_table(schema))
    run(postgres, "UPDATE {}.{} SET total_amount = total_amount + 0.01", schema, TABLE)
    with connect_as(READER, postgres) as connection:
        (found,) = (v for v in verify_months(connection, "yellow", [JANUARY]) if v.location == f"{schema}.{TABLE}")
    assert (found.agrees, found.counted, found.logged) == (False, (3, 3543), (3, 3540))


def test_verify_counts_a_table_once_whose_pipeline_was_renamed(
    postgres: PostgresAddress, schema: str, tmp_path: Path
) -> None:
    table = trips_table(schema)
    for month in (JANUARY, FEBRUARY):
        load_month(postgres, replace(cleaned(tmp_path, month=month), pipeline="before"), table)
    load_month(postgres, replace(cleaned(tmp_path, kept=4), pipeline="after"), table)
    with connect_as(READER, postgres) as connection:
        found = list(verify_months(connection, None, None, [("after", table)]))
        of_one = list(verify_months(connection, "after", None, [("after", table)]))
    found = [verified for verified in found if verified.location == f"{schema}.{TABLE}"]
    assert {(verified.pipeline, verified.month, verified.agrees) for verified in found} == {
        ("after", JANUARY, True),
        ("before", FEBRUARY, True),
    }
    assert [(verified.month, verified.agrees) for verified in of_one] == [(JANUARY, True)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_load_leaves_a_whole_month_and_the_next_succeeds(
    postgres: PostgresAddress, schema: str, tmp_path: Path, moment: str
) -> None:
    old, new = cleaned(tmp_path, kept=3), cleaned(tmp_path, kept=8)
    load_month(postgres, old, trips_table(schema))
    arguments = [postgres.host, str(new.kept.path.parent), schema, moment]
    process = subprocess.Popen(
        [sys.executable, "-m", "taxi_assets_tests.stores.loading_process", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout
    assert process.stdout.readline() == "here\n"
    process.kill()
    process.communicate()
    assert rows(postgres, schema, old) == (8 if moment == "_refresh" else 3)
    load_month(postgres, new, trips_table(schema))
    assert rows(postgres, schema, new) == 8


def test_an_error_while_reading_is_shown_as_itself_and_changes_nothing(
    postgres: PostgresAddress, schema: str, tmp_path: Path
) -> None:
    old, new = cleaned(tmp_path, kept=3), cleaned(tmp_path, kept=4)
    load_month(postgres, old, trips_table(schema))
    content = bytearray(new.kept.path.read_bytes())
    content[4:200] = bytes(196)
    new.kept.path.write_bytes(content)
    with pytest.raises((OSError, pa.ArrowException)) as raised:
        load_month(postgres, new, trips_table(schema))
    assert "Traceback" not in str(raised.value)
    assert rows(postgres, schema, old) == 3


def test_rows_of_two_cleanings_are_refused(postgres: PostgresAddress, schema: str, tmp_path: Path) -> None:
    one, other = cleaned(tmp_path, kept=3), cleaned(tmp_path, kept=4)
    mixed = CleanedMonth(one.service, JANUARY, one.kept, other.rejected)
    with pytest.raises(TaxiError, match="do not belong together"):
        load_month(postgres, mixed, trips_table(schema))


def edges(type: ColumnType) -> list[object]:
    """The extreme values of a type, as Python's objects."""
    match type:
        case ColumnType.SMALLINT:
            return [-(2**15), -1, 0, 2**15 - 1]
        case ColumnType.BIGINT:
            return [-(2**63), -1, 0, 2**63 - 1]
        case ColumnType.DOUBLE:
            return [-1.7976931348623157e308, -0.0, 5e-324, 0.1, 1.7976931348623157e308]
        case ColumnType.TEXT:
            return ["", " ", "\\N", "a\tb\nc\\", "'\"", "Ωé漢🚕", "long " * 5_000]
        case ColumnType.DATETIME:
            return [datetime.min, datetime(1999, 12, 31, 23, 59, 59, 999_999), datetime(2000, 1, 1), datetime.max]
        case ColumnType.DATE:
            return [date.min, date(1999, 12, 31), date(2000, 1, 1), date.max]


def test_every_value_arrives_as_it_was(
    postgres: PostgresAddress, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extreme values and nulls of each type, at every place of a batch, whatever encoding the user prefers."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    seed = random.randrange(2**31)
    print(f"seed {seed}")
    chance = random.Random(seed)
    rows = 2 * BATCH_ROWS + 7
    types = [*ColumnType, ColumnType.BIGINT]
    layout = pa.schema([pa.field(name, type.arrow) for name, type in zip([*ColumnType, "row"], types, strict=True)])
    values = [[chance.choice([None, *edges(type)]) for _ in range(rows)] for type in ColumnType] + [list(range(rows))]
    with table_writer(tmp_path / "edges.parquet", layout) as writer:
        writer.write(pa.RecordBatch.from_arrays(list(map(pa.array, values, layout.types)), schema=layout))
        table = writer.finish({})
    target = sql.Identifier(schema, "edges")
    with connect_as(OWNER, postgres) as connection:
        create_schema(connection, schema)
        columns = zip(map(sql.Identifier, layout.names), [sql.SQL(type.postgres) for type in types], strict=True)
        listed = sql.SQL(", ").join(name + sql.SQL(" ") + type_name for name, type_name in columns)
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(target, listed))
        copy_rows(connection, target, table)
        found = connection.execute(sql.SQL('SELECT * FROM {} ORDER BY "row"').format(target)).fetchall()
    # As text: it tells 0.0 from -0.0.
    assert list(map(repr, found)) == list(map(repr, zip(*values, strict=True)))
