"""The months of the files as Dagster's partitions, for the pipelines and the summaries."""

from typing import Any

import dagster as dg


def months_since(first: str) -> dg.PartitionsDefinition[Any]:
    """The months from `first`, like `2019-01`, to the last one that is over in New York.

    The assets name no backfill policy, which means a run a month. With one, even `multi_run(1)`, the runs of a backfill
    get a range of partitions, and IO managers no partition key.
    """
    return dg.MonthlyPartitionsDefinition(start_date=first, fmt="%Y-%m", timezone="America/New_York")
