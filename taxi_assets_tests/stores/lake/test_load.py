"""A month in the lake, in real objects of an emulator: what stands there, replaced, killed and meddled with."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.local.cloud_storage import CLOUD_STORAGE, objects_folder
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.copies import lagging_copies
from taxi_assets.stores.lake.files import LakeFile, Shape
from taxi_assets.stores.lake.load import verify_objects
from taxi_assets.stores.lake.manifest import LakeLoad, list_bucket, read_manifest, read_manifests
from taxi_assets.stores.lake.objects import put
from taxi_assets.stores.lake.resource import lake_session
from taxi_assets.stores.month import CleanedMonth
from taxi_assets_tests.proxy import Answer, Forward, Proxy, Request, answer, lost
from taxi_assets_tests.real_months import EXCERPTS, RealMonths
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.stores.cloud_process import LAKE_MOMENTS
from taxi_assets_tests.stores.clouds import APRIL_AND_MAY, green, killed_at, logged, names, reading, store
from taxi_assets_tests.stores.months import FEBRUARY, JANUARY, cleaned

Proxied = tuple[GoogleCloud, Proxy, Proxy]
OBJECT = "yellow/yellow_2021-01.parquet"


def parquet(cloud: GoogleCloud, name: str) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(cloud.storage().bucket(cloud.bucket).blob(name).download_as_bytes()))


def test_an_object_that_another_load_removes_meanwhile_lets_the_step_try_again(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    path = tmp_path / "month.parquet"
    path.write_bytes(b"rows")
    file = LakeFile("_objects/yellow/removed.parquet", path, 1)
    with pytest.raises(TransientError), lake_session(cloud, "Storing") as session:  # noqa: PT012
        put(session, file, None)
        before = session.bucket.get_blob(file.name)
        assert before
        before.delete()
        put(session, file, before, again=True)


def test_a_month_is_one_object_with_its_rejected_rows_beside_it(cloud: GoogleCloud, tmp_path: Path) -> None:
    month = cleaned(tmp_path, kept=3, rejected=2)
    done = store(cloud, month)
    (content,), rejected_content = done.load.objects, done.load.rejected.name
    assert re.fullmatch(r"_objects/yellow/yellow_2021-01-[0-9a-f]{12}\.parquet", content.name)
    assert re.fullmatch(r"_objects/yellow/rejected_2021-01-[0-9a-f]{12}\.parquet", rejected_content)
    manifest = "_loads/yellow/2021-01.json"
    assert names(cloud, "") == [manifest, rejected_content, content.name, "rejected/yellow/2021-01.parquet", OBJECT]
    assert lagging_copies(cloud, done.load) == []
    kept = parquet(cloud, OBJECT)
    assert kept.schema_arrow.remove_metadata().equals(YELLOW.schema, check_metadata=True)
    assert kept.metadata.row_group(0).column(0).compression == "ZSTD"
    rejected = parquet(cloud, "rejected/yellow/2021-01.parquet").read(["reason", "source_row"])
    assert rejected.to_pylist() == [{"reason": "passenger_count = 0", "source_row": row} for row in (4, 5)]
    assert done.load == logged(cloud, month)
    assert done.load.uris == [f"gs://{cloud.bucket}/{content.name}"]
    entry = done.load.entry
    assert (entry.store, entry.rows_read, entry.rows_kept, entry.cents, entry.sha256) == ("lake", 5, 3, 3540, "ab12")
    assert (entry.run_id, entry.started_by) == ("run-1", "a test")


def test_the_same_month_again_changes_no_object(cloud: GoogleCloud, tmp_path: Path) -> None:
    month = cleaned(tmp_path)
    first, again = store(cloud, month), store(cloud, month)
    assert (first.sent, again.sent, again.removed) == (2, 0, 0)
    assert again.load.objects == first.load.objects
    assert [load["run_id"] for load in again.load.earlier] == ["run-1"]


def test_a_new_month_replaces_the_old_one_and_no_other(cloud: GoogleCloud, tmp_path: Path) -> None:
    store(cloud, cleaned(tmp_path, kept=3))
    store(cloud, cleaned(tmp_path, kept=4, month=FEBRUARY))
    new = cleaned(tmp_path, kept=5, amount="1.5")
    store(cloud, new)
    found = reading(cloud, new)
    assert (found.rows, found.cents, found.strays, found.missing, found.wrong_schemas) == (5, 750, [], [], {})
    assert names(cloud, "yellow/") == [OBJECT, "yellow/yellow_2021-02.parquet"]
    assert [load.entry.rows_kept for load in read_manifests(cloud, "yellow")] == [5, 4]


def test_real_trips_stand_in_the_folder_of_their_day(
    cloud: GoogleCloud, real_months: RealMonths, tmp_path: Path
) -> None:
    months = [green(real_months, tmp_path, name) for name in APRIL_AND_MAY]
    for month in months:
        store(cloud, month, "date")
    assert [reading(cloud, month).rows for month in months] == list(real_months.kept("green", APRIL_AND_MAY).values())
    assert reading(cloud, months[0]).wrong_schemas == {}
    folder = objects_folder(Path(cloud.home)) / cloud.bucket / "green"
    lake = ds.dataset(folder, partitioning="hive").to_table(["lpep_pickup_date", "lpep_pickup_datetime"])
    days = pc.cast(lake["lpep_pickup_datetime"], "date32")
    assert pc.all(pc.equal(days.cast("string"), lake["lpep_pickup_date"].cast("string"))).as_py()
    for month in months:
        counts = {str(item["values"]): item["counts"] for item in _days(month)}
        assert {_day(name): rows for name, rows in reading(cloud, month).rows_by_object.items()} == counts
    assert all(f"green_{m:%Y-%m}-" in found.name for m, load in ((x.month, logged(cloud, x)) for x in months)
               for found in load.objects)  # fmt: skip


def _days(month: CleanedMonth) -> list[dict[str, object]]:
    column = pq.read_table(month.kept.path, columns=["lpep_pickup_date"])["lpep_pickup_date"]
    return [dict(item) for item in pc.value_counts(column).to_pylist()]


def _day(name: str) -> str:
    found = re.search("lpep_pickup_date=([^/]+)/", name)
    assert found
    return found[1]


def test_a_day_that_has_not_changed_is_not_sent_again(
    cloud: GoogleCloud, real_months: RealMonths, tmp_path: Path
) -> None:
    month = green(real_months, tmp_path, "2020-04")
    first = store(cloud, month, "date")
    assert (first.sent, store(cloud, month, "date").sent) == (len(first.load.objects) + 1, 0)


def test_another_shape_takes_the_place_of_the_first(
    cloud: GoogleCloud, real_months: RealMonths, tmp_path: Path
) -> None:
    month = green(real_months, tmp_path, "2020-04")
    days = store(cloud, month, "date").load.objects
    assert store(cloud, month, "month").removed == len(days)
    assert names(cloud, "green/") == ["green/green_2020-04.parquet"]


def test_yellow_trips_cannot_be_parted_by_day(cloud: GoogleCloud, tmp_path: Path) -> None:
    with pytest.raises(TaxiError, match="cannot be partitioned by day"):
        store(cloud, cleaned(tmp_path), "date")


@pytest.mark.parametrize("shape", ["month", "date"])
@pytest.mark.parametrize("moment", LAKE_MOMENTS)
def test_a_killed_load_leaves_a_whole_month_and_no_orphan(
    cloud: GoogleCloud, tmp_path: Path, moment: str, shape: Shape
) -> None:
    trips = months(tmp_path, shape)
    old, new = trips
    store(cloud, old, shape)
    killed_at(moment, cloud, new, shape)
    switched = LAKE_MOMENTS.index(moment) >= LAKE_MOMENTS.index("write_copies")
    found, rows = reading(cloud, new), [month.kept.rows for month in trips]
    assert (found.rows, found.missing, found.wrong_schemas) == (rows[switched], [], {})
    load = logged(cloud, new)
    assert load.rejected.rows == load.entry.rows_rejected == trips[switched].rejected.rows
    if shape == "month":
        copied = switched and moment != "write_copies"
        assert parquet(cloud, OBJECT).metadata.num_rows == rows[copied]
        assert bool(lagging_copies(cloud, load)) == (moment == "write_copies")
    third = store(cloud, old, shape).load
    listed = {name for name in names(cloud, "") if not name.startswith("_intents/")}
    assert listed == {f"_loads/{third.entry.service}/{third.month}.json", *third.names}
    assert lagging_copies(cloud, third) == []
    store(cloud, old, shape)
    assert names(cloud, "_intents/") == []


def months(tmp_path: Path, shape: Shape) -> tuple[CleanedMonth, CleanedMonth]:
    """Two versions of a month, in a shape."""
    if shape == "month":
        return cleaned(tmp_path, kept=3, rejected=2), cleaned(tmp_path, kept=5, rejected=4)
    april, may = (green(EXCERPTS, tmp_path, name) for name in APRIL_AND_MAY)
    return replace(may, month=april.month), april


def test_what_others_put_beside_a_month_stays_and_is_named_where_it_adds_rows(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    theirs = ["yellow/archive/yellow_2021-01_original.csv.gz", "yellow/yellow_2021-01-copy.parquet"]
    for name in theirs:
        cloud.storage().bucket(cloud.bucket).blob(name).upload_from_string(b"theirs")
    for month in (cleaned(tmp_path, kept=3), cleaned(tmp_path, kept=4)):
        assert store(cloud, month).load.entry.rows_kept in (3, 4)
    assert set(theirs) <= set(names(cloud, ""))
    assert reading(cloud, month).strays == ["yellow/yellow_2021-01-copy.parquet"]


def test_a_fixed_name_that_belongs_to_somebody_else_is_refused(cloud: GoogleCloud, tmp_path: Path) -> None:
    blob = cloud.storage().bucket(cloud.bucket).blob(OBJECT)
    blob.upload_from_string(b"theirs")
    with pytest.raises(TaxiError, match=f"gs://{cloud.bucket}/{OBJECT} belongs to somebody else") as error:
        store(cloud, cleaned(tmp_path))
    assert not error.value.transient
    assert names(cloud, "") == [OBJECT]
    assert blob.download_as_bytes() == b"theirs"


def test_what_a_killed_load_of_an_older_version_left_under_a_fixed_name_is_replaced(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    left, month = cleaned(tmp_path, kept=7), cleaned(tmp_path, kept=3)
    cloud.storage().bucket(cloud.bucket).blob(OBJECT).upload_from_filename(str(left.kept.path))
    assert lagging_copies(cloud, store(cloud, month).load) == []


def test_a_month_that_an_older_version_stored_is_read_and_replaced(cloud: GoogleCloud, tmp_path: Path) -> None:
    old = cleaned(tmp_path, kept=7)
    manifest = as_an_older_version(cloud, old)
    assert logged(cloud, old).entry.rows_kept == 7
    assert (reading(cloud, old).rows, reading(cloud, old).strays) == (7, [])
    verify_objects(cloud, manifest)
    new = store(cloud, cleaned(tmp_path, kept=3)).load
    assert [load["rows"] for load in new.earlier] == [7]
    assert set(names(cloud, "")) == {"_loads/yellow/2021-01.json", *new.names}
    assert lagging_copies(cloud, new) == []
    with pytest.raises(TransientError, match="stored in the lake once more"):
        verify_objects(cloud, manifest)


def as_an_older_version(cloud: GoogleCloud, month: CleanedMonth) -> LakeLoad:
    """The month in the names of older versions: the fixed ones alone."""
    bucket = cloud.storage().bucket(cloud.bucket)
    load = store(cloud, month).load
    parts = json.loads(load.to_json())
    for item, name in ((parts["objects"][0], OBJECT), (parts["rejected"], "rejected/yellow/2021-01.parquet")):
        item |= {"name": name, "generation": int(bucket.get_blob(name).generation)}
    for blob in load.contents:
        bucket.blob(blob).delete()
    parts["entry"]["a_field_that_this_version_does_not_know"] = 1
    del parts["copies"], parts["load_id"]
    bucket.blob("_loads/yellow/2021-01.json").upload_from_string(json.dumps(parts))
    return logged(cloud, month)


def test_an_object_that_others_changed_is_named(cloud: GoogleCloud, tmp_path: Path) -> None:
    month = cleaned(tmp_path)
    load = store(cloud, month).load
    verify_objects(cloud, load)
    name = load.objects[0].name
    blob = cloud.storage().bucket(cloud.bucket).blob(name)
    blob.upload_from_string(b"something else")
    with pytest.raises(TaxiError, match="Another program changed") as error:
        verify_objects(cloud, load)
    assert f"gs://{cloud.bucket}/{name} is another version" in error.value.details["Found"]
    assert list(reading(cloud, month).wrong_schemas) == [name]
    blob.delete()
    with pytest.raises(TaxiError, match="Another program changed") as error:
        verify_objects(cloud, load)
    assert f"{name} is gone" in error.value.details["Found"]
    assert reading(cloud, month).missing == [name]


def test_a_bucket_that_is_not_there_is_named(cloud: GoogleCloud, tmp_path: Path) -> None:
    nowhere = GoogleCloud(home=cloud.home, bucket="nowhere")
    with pytest.raises(TaxiError) as error:
        store(nowhere, cleaned(tmp_path))
    assert "gs://nowhere" in str(error.value)
    assert not error.value.transient
    with pytest.raises(TaxiError, match="no bucket nowhere"):
        read_manifest(nowhere, "yellow", JANUARY)
    with pytest.raises(TaxiError, match="no bucket nowhere"):
        list_bucket(nowhere)
    list_bucket(cloud)


def test_a_bucket_without_permission_says_which_role_is_missing(proxied: Proxied, tmp_path: Path) -> None:
    cloud, storage, _ = proxied
    store(cloud, cleaned(tmp_path, kept=3))
    storage.on("POST", "/upload/", answer(403, "forbidden", "loader@p does not have storage.objects.create access"),
               always=True)  # fmt: skip
    with pytest.raises(TaxiError, match="not permitted") as error:
        store(cloud, cleaned(tmp_path, kept=5))
    assert not error.value.transient
    assert "Storage Object User" in error.value.details["Expected"]
    assert "storage.objects.create" in error.value.details["Found"]
    assert reading(cloud, cleaned(tmp_path / "again")).rows == 3


def test_what_passes_is_tried_again(proxied: Proxied, tmp_path: Path) -> None:
    cloud, storage, _ = proxied
    storage.on("POST", "/upload/.*", answer(503), answer(429))
    assert store(cloud, cleaned(tmp_path)).load.entry.rows_kept == 3


def test_each_change_names_the_generation_that_it_replaces(proxied: Proxied, tmp_path: Path) -> None:
    cloud, storage, _ = proxied
    store(cloud, cleaned(tmp_path, kept=3))
    storage.requests.clear()
    store(cloud, cleaned(tmp_path, kept=4))
    changes = [*storage.seen("POST", "/upload/|copyTo"), *storage.seen("DELETE", "/o/")]
    # Sent: the intent, two objects, the manifest, two copies. Removed: two objects, the intent.
    assert len(changes) == 9
    assert all(re.search(r"ifGenerationMatch=\d", request.path) for request in changes)


def test_an_answer_that_was_lost_is_no_error(proxied: Proxied, tmp_path: Path) -> None:
    cloud, storage, _ = proxied
    for sent in ("_intents/", "_objects/yellow/yellow", "_loads/"):
        upload = f'/upload/.*{{"name": "{sent}'
        storage.on("POST", upload, lost)
        storage.on("POST", "copyTo", lost)
        assert store(cloud, cleaned(tmp_path / sent)).load.entry.rows_kept == 3
        assert len(storage.seen("POST", upload)) == 2
        for name in names(cloud, ""):
            cloud.storage().bucket(cloud.bucket).blob(name).delete()
        storage.requests.clear()


def test_a_load_that_meets_another_one_begins_again(proxied: Proxied, tmp_path: Path) -> None:
    cloud, storage, _ = proxied
    store(cloud, cleaned(tmp_path, kept=3))
    storage.on("POST", "/upload/.*_loads/yellow", answer(412, "conditionNotMet", "a pre-condition did not hold"))
    new = store(cloud, cleaned(tmp_path, kept=4)).load
    assert set(names(cloud, "")) == {"_loads/yellow/2021-01.json", *new.names}


def test_a_load_that_others_keep_beating_gives_up_and_leaves_nothing(proxied: Proxied, tmp_path: Path) -> None:
    cloud, storage, _ = proxied
    old = store(cloud, cleaned(tmp_path, kept=3)).load
    behind = GoogleCloud(home=cloud.home, bucket=cloud.bucket)

    def beaten(request: Request, forward: Forward) -> Answer:
        store(behind, cleaned(tmp_path / uuid4().hex, kept=3))
        return forward(request)

    storage.on("POST", "/upload/.*_loads/yellow", beaten, always=True)
    with pytest.raises(TransientError, match="were faster than this one") as error:
        store(cloud, cleaned(tmp_path, kept=4))
    assert "of 3 rows, by run run-1 (a test)" in error.value.details["Found"]
    assert set(names(cloud, "")) == {"_loads/yellow/2021-01.json", *old.names}


def test_a_service_that_dies_is_started_again_by_the_next_try(services: GoogleCloud, tmp_path: Path) -> None:
    import psutil

    month = cleaned(tmp_path, kept=3)
    store(services, month)
    server = CLOUD_STORAGE.ensure(Path(services.home))
    process = psutil.Process(server.pid)
    process.kill()
    process.wait(10)
    dead = GoogleCloud(
        kind="emulator", home=services.home, storage_url=server.url, bigquery_url=server.url, bucket=services.bucket
    )
    with pytest.raises(TransientError, match="does not answer"):
        store(dead, month)
    assert store(services, month).sent == 0
