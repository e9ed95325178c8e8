"""When a summary is made: by itself, after its month has come to BigQuery."""

import dagster as dg

from taxi_assets.components.summaries.service import ZONES_KEY, ServiceSummaries

Condition = dg.AutomationCondition


def follows(service: ServiceSummaries) -> dg.AutomationCondition[dg.AssetKey]:
    """Once for each month, of any year, that stands in BigQuery, and again after each load of it.

    A month counts as arrived when its run wrote `bigquery_table`: what `--only postgres` cleans again starts nothing.
    Unlike `AutomationCondition.eager()`, this looks at every month, not the latest alone, and also at months that were
    loaded before the daemon ever ran. A summary that failed is not tried again until its month is loaded anew.
    """
    passed = Condition.all_checks_match(Condition.check_passed(), blocking_only=True)
    arrives = Condition.any_deps_updated().allow(dg.AssetSelection.assets(service.key("bigquery_table"), ZONES_KEY))
    due = (Condition.missing().newly_true() | arrives).since(Condition.newly_requested() | Condition.newly_updated())
    return (
        due
        & ~Condition.any_deps_missing()
        & ~Condition.any_deps_in_progress()
        & ~Condition.in_progress()
        & Condition.all_deps_blocking_checks_passed()
        # Also of what stands before the tables that a summary reads.
        & Condition.asset_matches(service.key("clean_taxi"), passed)
        & Condition.asset_matches(service.key("gcs_parquet"), passed)
    ).with_label("the month stands in BigQuery and passed its blocking checks")
