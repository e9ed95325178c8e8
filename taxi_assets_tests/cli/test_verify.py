"""`taxi verify` and what counts as loaded: the ledger, the stores' own records, and what stands there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import pytest

from taxi_assets.automation.loaded import Loaded, MonthSelection, loaded, outdated_months
from taxi_assets.errors import UsageError
from taxi_assets.pipelines import pipeline_for
from taxi_assets.stores.postgres.connection import READER, connect_as
from taxi_assets_tests.stores.months import FEBRUARY, JANUARY
from taxi_assets_tests.three_stores import ALL, TABLE, ThreeStores

Damage = Callable[[ThreeStores, date], object]


def january(three: ThreeStores) -> Loaded:
    return of_month(three, JANUARY)


def of_month(three: ThreeStores, month: date, stores: Sequence[str] = ALL) -> Loaded:
    with connect_as(READER, three.address) as connection:
        return loaded(connection, MonthSelection(pipeline_for("yellow"), stores, [month]))[month]


DAMAGES: dict[str, tuple[str, Damage]] = {
    "kept rows deleted": ("postgres", lambda three, month: three.execute(f"DELETE FROM {TABLE}_{month:%Y_%m}")),
    "amounts changed": (
        "postgres",
        lambda three, month: three.execute(f"UPDATE {TABLE}_{month:%Y_%m} SET total_amount = 1"),
    ),
    "rejected rows deleted": (
        "postgres",
        lambda three, month: three.execute(f"DELETE FROM {TABLE}_rejected_{month:%Y_%m}"),
    ),
    "partition dropped": ("postgres", lambda three, month: three.execute(f"DROP TABLE {TABLE}_{month:%Y_%m}")),
    "object gone": ("lake", lambda three, month: three.delete("_objects/yellow/yellow_", month)),
    "rejected object gone": ("lake", lambda three, month: three.delete("_objects/yellow/rejected_", month)),
    "log and objects gone": ("lake", lambda three, month: three.delete("", month)),
    "fixed name gone": (
        "lake",
        lambda three, month: (
            three.cloud.storage().bucket(three.cloud.bucket).blob(f"yellow/yellow_{month:%Y-%m}.parquet").delete()
        ),
    ),
    "rows deleted in BigQuery": (
        "bigquery",
        lambda three, month: three.query(
            f"DELETE FROM {three.dataset}.yellow_cab_data WHERE source_month = DATE '{month}'"
        ),
    ),
    "rejected rows deleted in BigQuery": (
        "bigquery",
        lambda three, month: three.query(
            f"DELETE FROM {three.dataset}.yellow_cab_data_rejected WHERE source_month = DATE '{month}'"
        ),
    ),
}


def test_what_a_store_has_lost_is_seen_and_counts_as_not_loaded(three: ThreeStores) -> None:
    months = {damage: date(2020, number + 1, 1) for number, damage in enumerate(DAMAGES)}
    for damage, (store, _) in DAMAGES.items():
        three.load(month=months[damage], stores=["lake", "bigquery"] if store == "bigquery" else [store])
        assert of_month(three, months[damage], [store]).missing == []
    assert three.verify()[0] == 0
    for damage, (_, destroy) in DAMAGES.items():
        destroy(three, months[damage])
    code, said = three.verify()
    assert code == 1
    assert "2 of 12 loads agree" in said
    for damage, (store, _) in DAMAGES.items():
        name = f"{months[damage]:%Y-%m}"
        (row,) = (line for line in said.splitlines() if line.startswith(f"{store} ") and f"yellow {name}" in line)
        assert f"taxi run yellow --months {name} --force --only {store}" in row, damage
        found = of_month(three, months[damage], [store])
        assert (found.missing, list(found.lost)) == ([store], [store]), damage


def test_a_whole_store_that_is_gone_is_seen(three: ThreeStores) -> None:
    three.load()
    three.query(f"DROP TABLE {three.dataset}.yellow_cab_data")
    assert list(january(three).lost) == ["bigquery"]
    three.cloud.bigquery().delete_dataset(three.dataset, delete_contents=True)
    three.execute("DROP SCHEMA ny_taxi CASCADE")
    code, said = three.verify()
    assert code == 1
    assert "1 of 3 loads agree" in said
    assert list(january(three).lost) == ["postgres", "bigquery"]


def test_amounts_changed_in_bigquery_are_seen(three: ThreeStores) -> None:
    three.load()
    three.query(f"UPDATE {three.dataset}.yellow_cab_data SET total_amount = 1 WHERE TRUE")
    code, said = three.verify()
    assert code == 1
    assert "kept cents" in said


@pytest.mark.parametrize("store", ["lake", "bigquery"])
def test_a_load_whose_run_was_killed_before_the_ledger_is_loaded_and_added(three: ThreeStores, store: str) -> None:
    three.load()
    three.without_ledger(store)
    found = january(three)
    assert (found.missing, [load.store for load in found.unwritten]) == ([], [store])
    code, said = three.verify()
    assert code == 0
    assert "was missing in the ledger: it is added" in said
    assert three.asks(f"SELECT rows_kept FROM taxi_assets.load_log WHERE store = '{store}'") == [(3,)]
    assert not january(three).unwritten
    assert "it is added" not in three.verify()[1]


def test_a_month_that_no_ledger_knows_is_seen(three: ThreeStores) -> None:
    three.load(stores=["postgres"])
    three.load(month=FEBRUARY, stores=["postgres"])
    three.without_ledger("postgres")
    code, said = three.verify()
    assert code == 1
    assert "0 of 2 loads agree" in said
    three.load(stores=["postgres"])
    code, said = three.verify()
    assert code == 1
    assert "yellow 2021-02" in said
    assert "yellow 2021-01" not in said
    assert three.verify("2021-01")[0] == 0


def test_what_another_home_loaded_is_shown_as_such(three: ThreeStores) -> None:
    three.load()
    # Another home is another ledger with the same bucket and dataset.
    three.as_superuser("UPDATE taxi_assets.ledger SET identity = gen_random_uuid()")
    for store in ("lake", "bigquery"):
        three.without_ledger(store)
    code, said = three.verify()
    assert code == 0
    assert said.count("Loaded by another home: yellow 2021-01") == 2
    assert "1 of 1 loads agree" in said
    assert not january(three).unwritten
    three.load(month=FEBRUARY)
    code, said = three.verify()
    assert code == 0
    assert "4 of 4 loads agree" in said


def test_a_bucket_that_went_back_to_an_earlier_load_is_seen(three: ThreeStores) -> None:
    three.load(stores=["lake"])
    name = "_loads/yellow/2021-01.json"
    earlier = three.cloud.storage().bucket(three.cloud.bucket).blob(name).download_as_bytes()
    three.load(stores=["lake"])
    three.cloud.storage().bucket(three.cloud.bucket).blob(name).upload_from_string(earlier)
    assert january(three).lost == {"lake": "it holds an earlier load than the ledger's"}
    assert not january(three).unwritten
    code, said = three.verify()
    assert code == 1
    assert "an earlier load than the ledger's" in said


def test_places_of_trials_that_are_gone_are_left_out(three: ThreeStores) -> None:
    three.load(stores=["postgres"])
    for schema in ("trial", "try1"):
        three.execute(
            "INSERT INTO taxi_assets.load_log (store, service, source_month, place, rows_read, rows_kept, "
            "rows_rejected, cents, cents_rejected, rejected, configuration) VALUES ('postgres', 'yellow', "
            f"'2021-01-01', '{schema}.yellow_cab_data', 1, 1, 0, 1, 0, '{{}}', '{{}}')",
            role="taxi_loader",
        )
    code, said = three.verify()
    assert code == 0
    assert "no longer exist: trial.yellow_cab_data, try1.yellow_cab_data" in said
    assert "1 of 1 loads agree" in said


def test_months_of_other_rules_are_listed(three: ThreeStores) -> None:
    three.patch.setattr("taxi_assets_tests.stores.months.CLEANING", "older")
    three.load(stores=["postgres", "lake"])
    code, said = three.verify()
    assert code == 0
    assert "Loaded by older rules or columns of yellow: 2021-01. Next: taxi run yellow --months outdated" in said
    assert january(three).outdated
    with connect_as(READER, three.address) as connection:
        assert outdated_months(connection, pipeline_for("yellow"), ALL) == [JANUARY]
    three.patch.setattr("taxi_assets_tests.stores.months.CLEANING", pipeline_for("yellow").version)
    three.load(stores=["postgres", "lake"])
    assert "older rules" not in three.verify()[1]
    with connect_as(READER, three.address) as connection:
        assert outdated_months(connection, pipeline_for("yellow"), ALL) == []


def test_a_month_that_is_not_loaded_is_named(three: ThreeStores) -> None:
    code, said = three.verify()
    assert code == 0
    assert "Nothing is loaded yet: taxi run yellow --months 2021-01" in said
    three.load(stores=["postgres"])
    assert three.verify("2021-01")[0] == 0
    with pytest.raises(UsageError, match="'' is not a month"):
        three.verify("")
    code, said = three.verify("2021-01:2021-03")
    assert code == 1
    assert "Not loaded: yellow 2021-02, 2021-03. Next: taxi run yellow --months 2021-01:2021-03" in said
    assert "Nothing is loaded yet" not in said
    assert "2021-02, 2021-03, 2021-04, 2021-05, 2021-06, 2021-07 and 5 more" in three.verify("2021-01:2021-12")[1]
