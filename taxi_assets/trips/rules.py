"""The rules of a pipeline's YAML: which rows are rejected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from taxi_assets.trips.columns import ColumnType, Service

if TYPE_CHECKING:
    import pyarrow as pa
from taxi_assets.yaml_mistakes import Refused, one_of

_CONDITIONS = {
    "missing": "{column} missing",
    "equals": "{column} = {equals:g}",
    "at_most": "{column} <= {at_most:g}",
}
"""Condition → the reason that its rule gives by default."""


class Rule(BaseModel):
    """A condition on one column. A row that matches it is rejected."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"oneOf": [{"required": [condition]} for condition in _CONDITIONS]},
    )

    column: str = Field(description="The column, by its name in the tables.")
    missing: Literal[True] | None = Field(None, description="Rejects rows that have no value.")
    equals: float | None = Field(None, description="Rejects rows of this value.")
    at_most: float | None = Field(None, description="Rejects rows of this value or a smaller one.")
    reason: str = Field("", description="The reason that rejected rows carry; by default the condition.")

    @model_validator(mode="before")
    @classmethod
    def _with_reason(cls, data: object) -> object:
        if not isinstance(data, dict) or data.get("reason"):
            return data
        given = [name for name in _CONDITIONS if data.get(name) is not None]
        if given == ["missing"] or (len(given) == 1 and isinstance(data[given[0]], int | float)):
            return {**data, "reason": _CONDITIONS[given[0]].format(**{"column": "", **data})}
        return data

    @model_validator(mode="after")
    def _one_condition(self) -> Rule:
        if sum(getattr(self, name) is not None for name in _CONDITIONS) != 1:
            raise Refused("exactly one of `missing: true`, `equals: number`, `at_most: number`")
        return self

    @field_validator("equals", "at_most", mode="before")
    @classmethod
    def _finite_number(cls, value: object) -> object:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value)):
            raise Refused("a finite number")
        return value

    def matches(self, trips: pa.RecordBatch) -> pa.BooleanArray:
        """Whether the rule matches each row: true or false, never null. No number matches a missing value."""
        import pyarrow.compute as pc

        from taxi_assets.trips.values import number

        values = trips[self.column]
        if self.equals is not None:
            matches = pc.equal(values, number(self.equals))
        elif self.at_most is not None:
            matches = pc.less_equal(values, number(self.at_most))
        else:
            return pc.is_null(values)
        return pc.and_kleene(matches, pc.is_valid(values))


def check_rules(rules: Sequence[Rule], service: Service) -> None:
    """Refuses rules that cannot be applied to a service's trips.

    Raises:
        Refused: The service has no such column, or a number is compared with a column that holds no numbers.
    """
    numeric = (ColumnType.SMALLINT, ColumnType.BIGINT, ColumnType.DOUBLE)
    numbers = [column.name for column in service.columns if column.type in numeric]
    for index, rule in enumerate(rules):
        allowed = [column.name for column in service.columns] if rule.missing else numbers
        if rule.column not in allowed:
            kind = "a column" if rule.missing else "a column of numbers"
            raise Refused(
                f"{kind} of {service.name}, {one_of(allowed)}",
                allowed=allowed,
                below=(index, "column"),
                word=rule.column,
            )


def matching_rules(trips: pa.RecordBatch, rules: Sequence[Rule]) -> pa.Int64Array:
    """For each row the index of the first rule that matches; null where none does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from taxi_assets.trips.values import integer

    first = pa.nulls(trips.num_rows, pa.int64())
    for index in reversed(range(len(rules))):
        first = pc.if_else(rules[index].matches(trips), integer(index), first)
    return first


def cleaning_version(service: Service, rules: Sequence[Rule]) -> str:
    """The version of columns and rules. Rows cleaned under another version are cleaned again."""
    declared = [
        [(column.name, column.type, column.sources) for column in service.columns],
        [rule.model_dump() for rule in rules],
    ]
    return hashlib.sha256(json.dumps(declared, default=str).encode()).hexdigest()[:12]
