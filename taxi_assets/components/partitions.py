"""The months of the files as Dagster's partitions: the same for a pipeline and for what lies behind it."""

from typing import Any

import dagster as dg


def months_since(first: str) -> dg.PartitionsDefinition[Any]:
    """The months from that one, as `2019-01`, to the last one that is over in New York."""
    return dg.MonthlyPartitionsDefinition(start_date=first, fmt="%Y-%m", timezone="America/New_York")
