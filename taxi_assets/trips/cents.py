"""The sum of whole cents, by which a month is compared between stores.

Amounts are doubles, and a sum of doubles depends on the order of addition. So each amount is first rounded to whole
cents, which add up exactly in any order, below 2^53 cents (90 trillion dollars). It is rounded by
`floor(amount * 100 + 0.5)`: IEEE arithmetic, the same in Arrow, PostgreSQL and BigQuery, whose own `round` differ.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.trips.scalars import number

AMOUNT = "total_amount"

CENTS_SQL = f"coalesce(sum(floor({AMOUNT} * 100 + 0.5)), 0)"
"""The same in SQL; a store casts it to its 64-bit integer."""


def cents(trips: pa.RecordBatch | pa.Table | pa.Array | pa.ChunkedArray) -> int:
    """The sum of whole cents of `total_amount`; nulls count nothing.

    Args:
        trips: Rows with a column `total_amount` in dollars, or that column.
    """
    amounts = trips[AMOUNT] if isinstance(trips, pa.RecordBatch | pa.Table) else trips
    whole = pc.floor(pc.add(pc.multiply(amounts, number(100)), number(0.5)))
    return int(pc.sum(whole, min_count=0).as_py())
