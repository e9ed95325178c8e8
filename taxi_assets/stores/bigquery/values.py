"""How the values of BigQuery's JSON answers are read: each is a text there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _timestamp(microseconds: str) -> datetime:
    return _EPOCH + timedelta(microseconds=int(microseconds))


READERS: Mapping[str, Callable[[str], Any]] = {
    "STRING": str,
    "INTEGER": int,
    "INT64": int,
    "FLOAT": float,
    "FLOAT64": float,
    "NUMERIC": Decimal,
    "BIGNUMERIC": Decimal,
    "BOOLEAN": "true".__eq__,
    "BOOL": "true".__eq__,
    "DATE": date.fromisoformat,
    "DATETIME": datetime.fromisoformat,
    "TIMESTAMP": _timestamp,
}
"""Type of a column → the reader of its values. Timestamps are asked for as whole microseconds."""
