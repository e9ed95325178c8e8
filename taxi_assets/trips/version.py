"""Which cleaning made a month's rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from taxi_assets.trips.columns import Service
from taxi_assets.trips.reject import Rule


def cleaning_version(service: Service, rules: Sequence[Rule]) -> str:
    """Changes when a column or a rule does: rows cleaned under another version are cleaned again."""
    declared = [
        [(column.name, column.type, column.sources) for column in service.columns],
        [rule.model_dump() for rule in rules],
    ]
    return hashlib.sha256(json.dumps(declared, default=str).encode()).hexdigest()[:12]
