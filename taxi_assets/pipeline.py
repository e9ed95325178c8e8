"""The model of a pipeline's YAML file, for the component, the automation and the command line.

It imports no Dagster, so that the command line answers a mistyped name at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from taxi_assets.errors import TaxiError
from taxi_assets.settings import settings
from taxi_assets.stores.table import (
    BigQueryTable,
    PostgresTable,
    bigquery_table,
    lake_uri,
    postgres_table,
    refuse_template,
)
from taxi_assets.trips.columns import Service
from taxi_assets.trips.months import month_name, parse_month
from taxi_assets.trips.registry import read_service, service_names
from taxi_assets.trips.rules import Rule, check_rules, cleaning_version
from taxi_assets.yaml_fields import Count, Cron, Number, Owner, TimeZone
from taxi_assets.yaml_mistakes import Refused, one_of

LOADED_FIRST = ("raw_taxi", "clean_taxi", "rejected_taxi")
"""The assets of a month before the stores."""
STORE_ASSETS = {"postgres": "postgres_table", "lake": "gcs_parquet", "bigquery": "bigquery_table"}
"""Store → its asset, in the order in which a month reaches the stores."""

LATENESS_CHECK = "newest_month_not_late"
"""The check of a pipeline's freshness."""

RESERVED = ("files", "local_files", "rejected", "taxi_zones", "trial")
"""Names that no pipeline has: other prefixes of the lake, of asset keys and of schemas."""
LONGEST_NAME = 40
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_JOB_NAME = re.compile(r"[A-Za-z0-9_]+")


class State(StrEnum):
    """The state of a schedule or sensor until a person switches it in the UI; Dagster's statuses have these names."""

    RUNNING = "running"
    STOPPED = "stopped"


class Section(BaseModel):
    """A part of a YAML file: it has no other keys than these, and no templates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    _no_template = field_validator("*", mode="before")(refuse_template)


class Lake(Section):
    """The objects in the bucket."""

    shape: Literal["month", "date"] = Field(description="One object a month, or one folder a day of pickup, Hive style")


class Schedule(Section):
    """When a pipeline looks for missing months."""

    cron: Cron = Field(description="The time in cron's notation: `0 5 * * *`")
    timezone: TimeZone = Field("UTC", description="The time zone of the cron expression, like `America/New_York`")
    state: State = Field(State.RUNNING, description="`running` or `stopped`, until a person switches it in the UI")


class Publication(Section):
    """How a pipeline watches what its source publishes."""

    state: State = Field(State.RUNNING, description="`running` or `stopped`, until a person switches it in the UI")
    newest_months: Annotated[Count, Field(ge=1)] | None = Field(
        None, description="How many of the newest months it looks after; without it, TAXI_NEWEST_MONTHS"
    )


class Freshness(Section):
    """How late a month may be."""

    days: Count = Field(ge=0, description="Days after a month's end by which it stands in every store")
    cron: Cron = Field("0 6 * * *", description="The time of the check, in UTC")
    state: State = Field(State.RUNNING, description="`running` or `stopped`, until a person switches it in the UI")


class PipelineSpec(Section):
    """A pipeline's YAML file: one service, its rules, its stores and its automation."""

    name: str = Field(
        description="Name of the pipeline: of its assets, its prefix in the lake and its entries in the ledger; "
        "by default the name of its folder",
    )
    service: str = Field(
        description="Name of the service in the registry of columns",
        json_schema_extra=lambda schema: schema.update(enum=[*service_names()]),
    )
    job: str = Field("", description="Name of the job that runs the pipeline for a month; by default `{name}_etl`")
    owners: list[Owner] = Field(description="E-mail addresses, or teams as `team:name`")
    reject: Sequence[Rule] = Field(description="Rules, tried in this order; the first that fits rejects the row")
    postgres: PostgresTable = Field(description="The table in PostgreSQL; `{table}_rejected` stands beside it")
    lake: Lake | None = Field(None, description="The objects in Cloud Storage; without it, none are written")
    bigquery: BigQueryTable | None = Field(None, description="The table in BigQuery, loaded from the lake")
    start: str = Field(
        "",
        validate_default=True,
        description="The first month, like 2021-01; by default the service's first",
        json_schema_extra={"pattern": r"^(20\d\d-(0[1-9]|1[0-2]))?$"},
    )
    schedule: Schedule | None = Field(None, description="When the pipeline looks for missing months")
    publication: Publication | None = Field(None, description="How the pipeline watches its source")
    freshness: Freshness | None = Field(None, description="How late a month may be")
    most_pickups_outside: Number = Field(
        0.01, ge=0, le=1, description="Share of pickups outside the file's month above which a check warns"
    )
    least_pickups_inside: Number = Field(
        0.5, ge=0, le=1, description="Share of pickups in the file's month below which the file is refused; 0: never"
    )

    @field_validator("name")
    @classmethod
    def _valid_name(cls, value: str) -> str:
        if len(value) > LONGEST_NAME or not _NAME.fullmatch(value):
            raise Refused(
                "a name of lower-case letters and digits, words joined by single underscores, a letter first, "
                f"{LONGEST_NAME} characters at most"
            )
        if value in RESERVED:
            raise Refused(f"another name: {', '.join(RESERVED)} are reserved")
        return value

    @model_validator(mode="before")
    @classmethod
    def _default_job(cls, data: Any) -> Any:
        return {**data, "job": f"{data.get('name')}_etl"} if isinstance(data, dict) and not data.get("job") else data

    @field_validator("job")
    @classmethod
    def _valid_job(cls, value: str) -> str:
        if not _JOB_NAME.fullmatch(value) and "{{" not in value:
            raise Refused("a name of letters, digits and underscores")
        return value

    @field_validator("service")
    @classmethod
    def _known_service(cls, value: str) -> str:
        if value not in (known := service_names()):
            raise Refused(f"a service of the registry of columns, {one_of(known)}", allowed=known)
        return value

    @field_validator("start")
    @classmethod
    def _month(cls, value: str, info: ValidationInfo) -> str:
        if "service" not in info.data:
            return value
        service = read_service(info.data["service"])
        try:
            month = parse_month(value) if value else service.first_month
        except TaxiError:
            raise Refused("a year and a month, like 2021-01") from None
        if month < service.first_month:
            first = month_name(service.first_month)
            raise Refused(f"{first} or later, the months of {service.name} that the registry of columns knows")
        return month_name(month)

    @field_validator("reject")
    @classmethod
    def _columns_of_service(cls, value: Sequence[Rule], fields: ValidationInfo) -> Sequence[Rule]:
        if service := fields.data.get("service"):
            check_rules(value, read_service(service))
        return value

    @model_validator(mode="after")
    def _consistent(self) -> PipelineSpec:
        if self.bigquery and not self.lake:
            raise Refused("`lake` beside `bigquery`: BigQuery is loaded from the lake", below=("bigquery",))
        if self.lake and self.lake.shape == "date" and not self.trips.day:
            text = f"month: {self.service} has no column with the day of pickup (`day_of`)"
            raise Refused(text, below=("lake", "shape"))
        return self

    @property
    def trips(self) -> Service:
        """The service in the registry of columns."""
        return read_service(self.service)

    @property
    def stores(self) -> dict[str, str]:
        """Store → its asset, for the stores that the file names, in the order of loading."""
        return {store: asset for store, asset in STORE_ASSETS.items() if getattr(self, store)}

    @property
    def first_month(self) -> date:
        """The first month."""
        return parse_month(self.start)

    @property
    def version(self) -> str:
        """The version of the cleaning: it changes when a column or a rule does."""
        return cleaning_version(self.trips, self.reject)

    def key(self, asset: str) -> list[str]:
        """The parts of the key of one of its assets."""
        return [self.name, asset]

    def location(self, store: str, month: date, *, trial: bool = False) -> str:
        """The place of a month in a store under today's settings, as the load log names it: a table, or a URI.

        Args:
            store: `postgres`, `lake` or `bigquery`.
            month: The month of the file.
            trial: Whether it is a trial of the month, which only PostgreSQL has.
        """
        if store == "lake" and self.lake:
            return lake_uri(settings().lake_bucket, self.name, month, self.lake.shape)
        if store == "bigquery" and self.bigquery:
            return str(bigquery_table(self.bigquery, settings().bigquery_project, settings().bigquery_dataset))
        return str(postgres_table(self.postgres, settings().postgres_schema, trial=trial))
