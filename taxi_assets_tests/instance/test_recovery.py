"""A failed run goes on with the step that failed; steps at once stay within their pool."""

from __future__ import annotations

import dagster as dg

from taxi_assets.instance.runs import reconstructable_job
from taxi_assets.stores.postgres.connection import connect
from taxi_assets.trips.months import month_name
from taxi_assets_tests.published import Waiting, csv_path


def test_re_execution_goes_on_with_the_step_that_failed(waiting: Waiting) -> None:
    month = waiting.months[-1]
    waiting.publish(month, 3)
    request = waiting.look()[0][month_name(month)]
    with connect(waiting.postgres) as connection:
        connection.execute(f"CREATE SCHEMA {waiting.schema}".encode())
        connection.execute(f"CREATE VIEW {waiting.schema}.yellow_cab_data AS SELECT 1 AS one".encode())
    failed = waiting.run(request)
    assert not failed.success
    asked = len(waiting.server.of(csv_path(month)))
    with connect(waiting.postgres) as connection:
        connection.execute(f"DROP SCHEMA {waiting.schema} CASCADE".encode())
    again = dg.execute_job(
        reconstructable_job("yellow_taxi_etl"),
        waiting.instance,
        # As the UI and run retries do it: with the tags of the run that failed.
        tags={"dagster/partition": month_name(month)},
        reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, waiting.instance),
    )
    assert again.success
    steps = {event.step_key for event in again.all_events if event.is_step_success}
    assert "yellow__postgres_table" in steps
    assert not steps & {"yellow__raw_taxi", "yellow_clean"}
    assert len(waiting.server.of(csv_path(month))) == asked
    assert waiting.rows() == {month_name(month): 3}


def test_each_store_and_the_source_have_a_pool_with_the_limit_of_the_instance(waiting: Waiting) -> None:
    pools = {
        node.name: node.definition.pool for node in waiting.job.nodes if isinstance(node.definition, dg.OpDefinition)
    }
    assert pools["yellow__raw_taxi"] == "source"
    assert pools["yellow__postgres_table"] == "postgres"
    assert waiting.instance.get_concurrency_config().pool_config.default_pool_limit == 2
    month = waiting.months[0]
    waiting.publish(month, 2)
    assert waiting.run(waiting.look()[0][month_name(month)]).success
    found = waiting.instance.event_log_storage.get_concurrency_info("source")
    assert (found.slot_count, found.active_slot_count) == (2, 0)
