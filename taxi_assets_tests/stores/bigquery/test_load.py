"""A month from the lake in BigQuery: loaded, replaced, killed, meddled with, and refused with the reason."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.cloud import bigquery

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.local.bigquery import BIGQUERY
from taxi_assets.stores.bigquery import month as bigquery_month
from taxi_assets.stores.bigquery import schema as bigquery_schema
from taxi_assets.stores.bigquery.load import BigQueryLoadResult, load_month
from taxi_assets.stores.bigquery.query import query
from taxi_assets.stores.bigquery.verify import count_month, verify_months
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.files import Shape
from taxi_assets.stores.lake.load import store_month
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.month import CleanedMonth, VerifiedMonth
from taxi_assets.stores.table import TableRef
from taxi_assets_tests.proxy import Answer, Forward, Proxy, Request, answer, passes
from taxi_assets_tests.real_months import RealMonths
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.stores.cloud_process import BIGQUERY_MOMENTS
from taxi_assets_tests.stores.clouds import APRIL_AND_MAY, green, killed_at, store
from taxi_assets_tests.stores.months import FEBRUARY, JANUARY, cleaned

Proxied = tuple[GoogleCloud, Proxy, Proxy]
TRIPS = TableRef(namespace="unused", name="trips")


def load(cloud: GoogleCloud, month: CleanedMonth, shape: Shape = "month") -> BigQueryLoadResult:
    return load_month(cloud, store(cloud, month, shape).load, TRIPS)


def rows(cloud: GoogleCloud, sql: str) -> list[tuple[Any, ...]]:
    with query(cloud, sql) as answer:
        return list(answer.rows)


def verified(cloud: GoogleCloud, month: CleanedMonth) -> VerifiedMonth:
    found = {each.month: each for each in verify_months(cloud, "yellow", TRIPS)}[month.month]
    assert found.counted == count_month(cloud, TRIPS, month.month)
    return found


def agreeing(cloud: GoogleCloud, month: date, rows: int, cents: int) -> VerifiedMonth:
    """A month whose log and tables both hold these rows and cents, and two rejected rows."""
    kept, rejected = (rows, cents), (2, 2360)
    return VerifiedMonth("bigquery", "yellow", month, f"{cloud.dataset}.trips", kept, kept, rejected, rejected)


def tables(cloud: GoogleCloud) -> list[str]:
    return sorted(table.table_id for table in cloud.bigquery().list_tables(str(cloud.dataset)))


def test_a_month_is_loaded_described_and_logged(cloud: GoogleCloud, tmp_path: Path) -> None:
    done = load(cloud, cleaned(tmp_path, kept=3, rejected=2))
    assert (done.rows, done.cents, done.place) == (3, 3540, f"{cloud.dataset}.trips")
    table = cloud.bigquery().get_table(f"{cloud.dataset}.trips")
    assert [(field.name, field.description) for field in table.schema] == [(c.name, c.comment) for c in YELLOW.columns]
    assert table.time_partitioning.type_ == "MONTH"
    assert table.time_partitioning.field == "source_month"
    assert table.clustering_fields == ["tpep_pickup_datetime"]
    assert table.labels == {"managed_by": "taxi_assets", "service": "yellow"}
    sql = "SELECT CAST(tpep_pickup_datetime AS STRING), source_month, airport_fee FROM trips LIMIT 1"
    assert rows(cloud, sql) == [("2021-01-01 00:30:10", JANUARY, None)]
    logged = rows(
        cloud, "SELECT store, rows_read, rows_kept, cents, sha256, run_id, load_job FROM taxi_assets_load_log"
    )
    assert logged == [("bigquery", 5, 3, 3540, "ab12", "run-1", done.load_job)]
    assert tables(cloud) == ["taxi_assets_load_log", "trips", "trips_rejected"]


def test_rejected_rows_stand_beside_the_trips_and_are_replaced_with_their_month(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    load(cloud, cleaned(tmp_path, kept=3, rejected=2))
    load(cloud, cleaned(tmp_path, kept=3, rejected=1, month=FEBRUARY))
    done = load(cloud, cleaned(tmp_path, kept=5, rejected=4))
    assert done.rejected_rows == 4
    sql = "SELECT source_month, COUNT(*), MIN(reason), MIN(source_row) FROM trips_rejected GROUP BY 1 ORDER BY 1"
    assert rows(cloud, sql) == [(JANUARY, 4, "passenger_count = 0", 6), (FEBRUARY, 1, "passenger_count = 0", 4)]
    table = cloud.bigquery().get_table(f"{cloud.dataset}.trips_rejected")
    wanted = [(column.name, column.comment) for column in YELLOW.rejected_columns]
    assert [(field.name, field.description) for field in table.schema] == wanted
    assert table.time_partitioning.field == "source_month"
    load(cloud, cleaned(tmp_path, kept=5, rejected=0))
    assert rows(cloud, sql) == [(FEBRUARY, 1, "passenger_count = 0", 4)]


def test_other_rejected_rows_than_were_cleaned_are_not_loaded(cloud: GoogleCloud, tmp_path: Path) -> None:
    load(cloud, cleaned(tmp_path, kept=3, rejected=2))
    lake = store(cloud, cleaned(tmp_path, kept=5, rejected=4)).load
    with pytest.raises(TaxiError, match="read other rows of rejected rows of yellow 2021-01"):
        load_month(cloud, replace(lake, entry=replace(lake.entry, rows_rejected=3)), TRIPS)
    assert rows(cloud, "SELECT COUNT(*) FROM trips UNION ALL SELECT COUNT(*) FROM trips_rejected") == [(3,), (2,)]


def test_a_dataset_of_an_older_version_gets_the_table_of_rejected_rows_and_the_new_columns_of_the_log(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    load(cloud, cleaned(tmp_path, kept=3, rejected=2))
    client = cloud.bigquery()
    client.delete_table(f"{cloud.dataset}.trips_rejected")
    log = client.get_table(f"{cloud.dataset}.taxi_assets_load_log")
    older = [field for field in log.schema if field.name not in ("generation", "manifest")]
    client.delete_table(log)
    client.create_table(bigquery.Table(log.reference, older))
    load(cloud, cleaned(tmp_path, kept=5, rejected=4))
    assert rows(cloud, "SELECT COUNT(*) FROM trips_rejected") == [(4,)]
    logged = rows(cloud, "SELECT rows_kept, manifest FROM taxi_assets_load_log ORDER BY loaded_at")
    assert logged == [(5, f"gs://{cloud.bucket}/_loads/yellow/2021-01.json")]


def test_tables_of_others_whose_names_look_like_staging_stay(cloud: GoogleCloud, tmp_path: Path) -> None:
    load(cloud, cleaned(tmp_path, kept=3))
    theirs = ["trips_staging_202101_0123abcd", "trips_staging_202101_mine"]
    for name in theirs:
        cloud.bigquery().query(f"CREATE TABLE {cloud.dataset}.{name} AS SELECT 1 AS mine").result()
    load(cloud, cleaned(tmp_path, kept=5))
    assert set(theirs) <= set(tables(cloud))


def test_the_same_month_again_replaces_it_and_no_other(cloud: GoogleCloud, tmp_path: Path) -> None:
    first = cleaned(tmp_path, kept=3)
    load(cloud, first)
    load(cloud, first)
    load(cloud, cleaned(tmp_path, kept=4, month=FEBRUARY))
    load(cloud, cleaned(tmp_path, kept=5, amount="1.5"))
    assert verify_months(cloud, "yellow", TRIPS) == [
        agreeing(cloud, JANUARY, 5, 750),
        agreeing(cloud, FEBRUARY, 4, 4720),
    ]


def test_a_table_that_others_changed_does_not_agree_with_its_log(cloud: GoogleCloud, tmp_path: Path) -> None:
    month = cleaned(tmp_path, kept=3)
    assert verify_months(cloud, "yellow", TRIPS) == []
    load(cloud, month)
    assert verified(cloud, month).agrees
    cloud.bigquery().query(f"UPDATE {cloud.dataset}.trips SET total_amount = 0 WHERE TRUE").result()
    assert not verified(cloud, month).agrees


def test_two_months_loaded_at_the_same_time_both_stand_there(
    cloud: GoogleCloud, real_months: RealMonths, tmp_path: Path
) -> None:
    months = [green(real_months, tmp_path, name) for name in APRIL_AND_MAY]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda month: load(cloud, month, "date"), months))
    assert [one.rows for one in done] == list(real_months.kept("green", APRIL_AND_MAY).values())
    assert [verified(cloud, month).agrees for month in months] == [True, True]
    wrong = "SELECT COUNT(*) FROM trips WHERE lpep_pickup_date IS DISTINCT FROM DATE(lpep_pickup_datetime)"
    assert rows(cloud, wrong) == [(0,)]


@pytest.mark.parametrize("moment", BIGQUERY_MOMENTS)
def test_a_killed_load_leaves_the_old_month_and_the_next_one_sweeps(
    cloud: GoogleCloud, tmp_path: Path, moment: str
) -> None:
    load(cloud, cleaned(tmp_path, kept=3))
    new = cleaned(tmp_path, kept=5)
    lake = store(cloud, new).load
    killed_at(moment, cloud, new, "month")
    assert verified(cloud, new).counted[0] == 3
    assert (len(tables(cloud)) == 5) == (moment not in ("_sweep", "_load"))
    load_month(cloud, lake, TRIPS)
    assert verified(cloud, new) == agreeing(cloud, JANUARY, 5, 5900)
    assert tables(cloud) == ["taxi_assets_load_log", "trips", "trips_rejected"]


def overwrite(cloud: GoogleCloud, lake: LakeLoad, content: bytes) -> Any:
    blob = cloud.storage().bucket(cloud.bucket).blob(lake.objects[0].name)
    blob.upload_from_string(content)
    return blob


def test_an_object_that_others_overwrote_is_named_and_not_loaded(cloud: GoogleCloud, tmp_path: Path) -> None:
    month = cleaned(tmp_path, kept=3)
    load(cloud, month)
    lake = store(cloud, month).load
    overwrite(cloud, lake, cleaned(tmp_path, kept=7).kept.path.read_bytes())
    with pytest.raises(TaxiError, match="Another program changed") as error:
        load_month(cloud, lake, TRIPS)
    assert lake.uris[0] in error.value.details["Found"]
    assert verified(cloud, month) == agreeing(cloud, JANUARY, 3, 3540)


def test_an_object_that_others_overwrite_during_the_load_is_named(
    cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = cleaned(tmp_path, kept=3)
    load(cloud, month)
    original, lake = bigquery_month._load, store(cloud, cleaned(tmp_path, kept=5)).load

    def then_overwritten(*given: Any) -> Any:
        done = original(*given)
        overwrite(cloud, lake, b"something else")
        return done

    monkeypatch.setattr(bigquery_month, "_load", then_overwritten)
    with pytest.raises(TaxiError, match="Another program changed"):
        load_month(cloud, lake, TRIPS)
    assert verified(cloud, month).counted[0] == 3
    assert tables(cloud) == ["taxi_assets_load_log", "trips", "trips_rejected"]


def in_new_version(lake: LakeLoad, blob: Any) -> LakeLoad:
    """What the log would say if that very object had been stored."""
    version = {"generation": int(blob.generation), "crc32c": blob.crc32c, "bytes": int(blob.size)}
    return replace(lake, objects=(replace(lake.objects[0], **version),))


def test_a_load_job_that_fails_says_its_reason_and_the_object(cloud: GoogleCloud, tmp_path: Path) -> None:
    month = cleaned(tmp_path, kept=3)
    load(cloud, month)
    lake = store(cloud, month).load
    lake = in_new_version(lake, overwrite(cloud, lake, b"no Parquet file"))
    with pytest.raises(TaxiError, match=r"The load job taxi_load_yellow_2021-01_[0-9a-f]+ of yellow") as error:
        load_month(cloud, lake, TRIPS)
    assert error.value.details["Found"].startswith("invalid: ")
    assert error.value.details["Where"] == lake.uris[0]
    assert not error.value.transient
    assert verified(cloud, month).counted[0] == 3


def test_other_rows_than_were_cleaned_are_not_loaded(cloud: GoogleCloud, tmp_path: Path) -> None:
    month = cleaned(tmp_path, kept=3)
    load(cloud, month)
    other = cleaned(tmp_path, kept=3, amount="11.81").kept.path.read_bytes()
    lake = store(cloud, month).load
    lake = in_new_version(lake, overwrite(cloud, lake, other))
    with pytest.raises(TaxiError, match="read other rows") as error:
        load_month(cloud, lake, TRIPS)
    assert (error.value.details["Expected"], error.value.details["Found"]) == (
        "3 rows, 3540 cents",
        "3 rows, 3543 cents",
    )
    assert verified(cloud, month) == agreeing(cloud, JANUARY, 3, 3540)


def test_the_transaction_takes_back_what_does_not_add_up(
    cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = cleaned(tmp_path, kept=3)
    load(cloud, month)
    monkeypatch.setattr(bigquery_month, "_verify_staging", lambda *given: None)
    lake = store(cloud, cleaned(tmp_path, kept=5)).load
    with pytest.raises(TaxiError) as error:
        load_month(cloud, replace(lake, entry=replace(lake.entry, rows_kept=6)), TRIPS)
    assert "6 rows, 5900 cents were to be written" in error.value.details["Found"]
    assert verified(cloud, month) == agreeing(cloud, JANUARY, 3, 3540)


def test_a_conflict_with_another_transaction_is_tried_again(proxied: Proxied, tmp_path: Path) -> None:
    cloud, _, bigquery = proxied
    message = "Transaction is aborted due to concurrent update against table p:d.trips"

    def aborted(request: Request, forward: Forward) -> Answer:
        found = {"reason": "invalidQuery", "message": message}
        reference = {"projectId": cloud.project, "jobId": "aborted", "location": "US"}
        job = answer(
            200,
            kind="bigquery#job",
            id="aborted",
            jobReference=reference,
            configuration={"query": {}},
            status={"state": "DONE", "errorResult": found, "errors": [found]},
        )
        return job(request, forward)

    bigquery.on("POST", "BEGIN TRANSACTION", aborted, aborted)
    month = cleaned(tmp_path, kept=3)
    load(cloud, month)
    assert len(bigquery.seen("POST", "BEGIN TRANSACTION")) == 3
    assert verified(cloud, month) == agreeing(cloud, JANUARY, 3, 3540)


def test_a_job_that_was_submitted_already_is_found_again(proxied: Proxied, tmp_path: Path) -> None:
    cloud, _, bigquery = proxied

    def submitted_before(request: Request, forward: Forward) -> Answer:
        forward(request)
        return answer(409, "duplicate", "Already Exists: Job")(request, forward)

    bigquery.on("POST", '"load"', submitted_before, submitted_before)
    bigquery.on("POST", "BEGIN TRANSACTION", submitted_before)
    month = cleaned(tmp_path, kept=3)
    assert load(cloud, month).rows == 3
    assert len(bigquery.seen("POST", "BEGIN TRANSACTION")) == 1
    assert rows(cloud, "SELECT COUNT(*) FROM taxi_assets_load_log") == [(1,)]


def test_what_passes_is_tried_again_and_what_stays_is_worth_another_try(proxied: Proxied, tmp_path: Path) -> None:
    cloud, _, bigquery = proxied
    bigquery.on("POST", "/jobs", answer(503, "backendError"))
    month = cleaned(tmp_path, kept=3)
    assert load(cloud, month).rows == 3
    bigquery.on("POST", '"load"', answer(503, "backendError"), always=True)
    with pytest.raises(TransientError, match="cannot do it now"):
        load(cloud, cleaned(tmp_path, kept=5))
    assert verified(cloud, month).counted[0] == 3


def test_an_account_without_permission_is_told_its_roles(proxied: Proxied, tmp_path: Path) -> None:
    cloud, _, bigquery = proxied
    bigquery.on("POST", "/datasets", answer(403, "accessDenied", "Access Denied: no bigquery.datasets.create"))
    with pytest.raises(TaxiError, match="not permitted") as error:
        load(cloud, cleaned(tmp_path))
    assert not error.value.transient
    assert "BigQuery Data Editor" in error.value.details["Expected"]


def test_a_first_load_that_ends_between_log_and_table_does_not_block_the_next(proxied: Proxied, tmp_path: Path) -> None:
    cloud, _, bigquery = proxied
    month = cleaned(tmp_path, kept=3)
    for before in ([], [passes], [passes]):
        bigquery.on("POST", "/tables", *before, answer(403, "accessDenied", "Access Denied"))
        with pytest.raises(TaxiError, match="not permitted"):
            load(cloud, month)
    load(cloud, month)
    assert verified(cloud, month) == agreeing(cloud, JANUARY, 3, 3540)
    assert tables(cloud) == ["taxi_assets_load_log", "trips", "trips_rejected"]


def test_a_table_of_somebody_else_is_left_alone(cloud: GoogleCloud, tmp_path: Path) -> None:
    client = cloud.bigquery()
    client.query(f"CREATE SCHEMA {cloud.dataset}; CREATE TABLE {cloud.dataset}.trips (vendor_id STRING)").result()
    with pytest.raises(TaxiError, match="not one of this platform's") as error:
        load(cloud, cleaned(tmp_path))
    assert "vendor_id INT64" in error.value.details["Expected"]
    assert "vendor_id STRING" in error.value.details["Found"]


def test_a_new_column_of_the_registry_is_added(
    cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = bigquery_schema._described

    def older(*given: Any, **labels: Any) -> Any:
        table = original(*given, **labels)
        table.schema = [field for field in table.schema if field.name != "cbd_congestion_fee"]
        return table

    monkeypatch.setattr(bigquery_schema, "_described", older)
    month = cleaned(tmp_path, kept=3)
    load(cloud, month)
    fields = {field.name: field for field in cloud.bigquery().get_table(f"{cloud.dataset}.trips").schema}
    assert fields["cbd_congestion_fee"].description == YELLOW.column("cbd_congestion_fee").comment
    assert rows(cloud, "SELECT COUNT(*) FROM trips WHERE cbd_congestion_fee IS NULL") == [(3,)]
    load(cloud, month)
    assert verified(cloud, month).agrees


def test_a_service_that_dies_in_the_middle_is_started_again_by_the_next_try(
    services: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = GoogleCloud(home=services.home, dataset="dies")
    load(cloud, cleaned(tmp_path, kept=3))
    new = cleaned(tmp_path, kept=5)
    with tempfile.TemporaryDirectory() as folder:
        lake = store_month(cloud, new, "month", Path(folder)).load
    original = bigquery_month._verify_staging

    def dies(*given: Any) -> None:
        process = psutil.Process(BIGQUERY.ensure(Path(cloud.home)).pid)
        process.kill()
        process.wait(10)
        original(*given)

    monkeypatch.setattr(bigquery_month, "_verify_staging", dies)
    with pytest.raises(TransientError, match="does not answer"):
        load_month(cloud, lake, TRIPS)
    monkeypatch.undo()
    assert verified(cloud, new).counted[0] == 3
    load_month(cloud, lake, TRIPS)
    assert verified(cloud, new) == agreeing(cloud, JANUARY, 5, 5900)


def test_a_query_is_limited_in_what_it_may_cost(proxied: Proxied) -> None:
    cloud, _, bigquery = proxied
    plain = GoogleCloud(**{**cloud.model_dump(), "dataset": None})
    with query(plain, "SELECT 1 AS a, 'x' AS b", max_bytes_billed=10_000_000) as found:
        assert (found.columns, list(found.rows), found.bytes) == (["a", "b"], [(1, "x")], None)
    assert bigquery.seen("POST", '"maximumBytesBilled": "10000000"')
    refusal = "Query exceeded limit for bytes billed: 10000000. 20971520 or higher required."
    bigquery.on("POST", "/jobs", answer(400, "bytesBilledLimitExceeded", refusal))
    with (
        pytest.raises(TaxiError, match="too many bytes") as error,
        query(plain, "SELECT 2", max_bytes_billed=10_000_000),
    ):
        pass
    assert "20971520" in error.value.details["Found"]


def test_a_wrong_query_says_what_is_wrong(cloud: GoogleCloud) -> None:
    with pytest.raises(TaxiError, match="The query failed") as error, query(cloud, "SELECT nothing FROM nowhere.t"):
        pass
    assert "nowhere" in error.value.details["Found"]
