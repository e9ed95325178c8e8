"""The model of a pipeline's YAML file, for the component, the automation and the command line.

It imports no Dagster, so that the command line answers a mistyped name at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.settings import settings
from taxi_assets.stores.table import (
    BigQueryTable,
    PostgresTable,
    bigquery_table,
    lake_uri,
    postgres_table,
    refuse_template,
)
from taxi_assets.trips.columns import FIRST_MONTH, SERVICES, Service
from taxi_assets.trips.months import month_name, parse_month
from taxi_assets.trips.rules import Rule, check_rules, cleaning_version

FOLDER = Path(__file__).parent / "defs"
COMPONENT = "taxi_assets.components.TaxiPipeline"

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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _no_template = field_validator("*", mode="before")(refuse_template)


def _at_least(least: int) -> Callable[[int | None], int | None]:
    """A validator. Dagster does not resolve constraints in the types of a nested model's fields."""

    def check(value: int | None) -> int | None:
        if value is not None and value < least:
            raise ValueError(f"{least} or more")
        return value

    return check


class Lake(_Section):
    """The objects in the bucket."""

    shape: Literal["month", "date"] = Field(description="One object a month, or one folder a day of pickup, Hive style")


class Schedule(_Section):
    """When a pipeline looks for missing months."""

    cron: str = Field(description="The time in cron's notation: `0 5 * * *`")
    timezone: str = Field("UTC", description="The time zone of the cron expression, like `America/New_York`")
    state: State = Field(State.RUNNING, description="`running` or `stopped`, until a person switches it in the UI")


class Publication(_Section):
    """How a pipeline watches what its source publishes."""

    state: State = Field(State.RUNNING, description="`running` or `stopped`, until a person switches it in the UI")
    newest_months: int | None = Field(
        None, description="How many of the newest months it looks after; without it, TAXI_NEWEST_MONTHS"
    )

    _positive = field_validator("newest_months")(_at_least(1))


class Freshness(_Section):
    """How late a month may be."""

    days: int = Field(description="Days after a month's end by which it stands in every store")
    cron: str = Field("0 6 * * *", description="The time of the check, in UTC")
    state: State = Field(State.RUNNING, description="`running` or `stopped`, until a person switches it in the UI")

    _not_negative = field_validator("days")(_at_least(0))


class PipelineSpec(_Section):
    """A pipeline's YAML file: one service, its rules, its stores and its automation."""

    name: str = Field(
        description="Name of the pipeline: of its assets, its prefix in the lake and its entries in the ledger; "
        "by default the name of its folder",
    )
    service: str = Field(description="Name of the service in the registry of columns")
    job: str = Field("", description="Name of the job that runs the pipeline for a month; by default `{name}_etl`")
    owners: list[str] = Field(description="E-mail addresses, or teams as `team:name`")
    reject: Sequence[Rule] = Field(description="Rules, tried in this order; the first that fits rejects the row")
    postgres: PostgresTable = Field(description="The table in PostgreSQL; `{table}_rejected` stands beside it")
    lake: Lake | None = Field(None, description="The objects in Cloud Storage; without it, none are written")
    bigquery: BigQueryTable | None = Field(None, description="The table in BigQuery, loaded from the lake")
    start: str = Field(month_name(FIRST_MONTH), description="The first month")
    schedule: Schedule | None = Field(None, description="When the pipeline looks for missing months")
    publication: Publication | None = Field(None, description="How the pipeline watches its source")
    freshness: Freshness | None = Field(None, description="How late a month may be")
    most_pickups_outside: float = Field(
        0.01, ge=0, le=1, description="Share of pickups outside the file's month above which a check warns"
    )
    least_pickups_inside: float = Field(
        0.5, ge=0, le=1, description="Share of pickups in the file's month below which the file is refused; 0: never"
    )

    @field_validator("name")
    @classmethod
    def _valid_name(cls, value: str) -> str:
        if len(value) > LONGEST_NAME or not _NAME.fullmatch(value):
            raise ValueError(
                f"{value!r} is no name of a pipeline: lower-case letters and digits, words joined by single "
                f"underscores, a letter first, {LONGEST_NAME} characters at most"
            )
        if value in RESERVED:
            raise ValueError(f"{value!r} is reserved; so are {', '.join(RESERVED)}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _default_job(cls, data: Any) -> Any:
        return {**data, "job": f"{data.get('name')}_etl"} if isinstance(data, dict) and not data.get("job") else data

    @field_validator("job")
    @classmethod
    def _valid_job(cls, value: str) -> str:
        if not _JOB_NAME.fullmatch(value) and "{{" not in value:
            raise ValueError(f"{value!r} is no name of a job: letters, digits and underscores")
        return value

    @field_validator("service")
    @classmethod
    def _known_service(cls, value: str) -> str:
        if value not in SERVICES:
            raise ValueError(f"the registry of columns has no service {value!r}; it has {', '.join(SERVICES)}")
        return value

    @field_validator("start")
    @classmethod
    def _month(cls, value: str) -> str:
        try:
            return month_name(parse_month(value))
        except TaxiError as error:
            raise ValueError(f"{error.summary} Expected: a year and a month, like 2021-01") from None

    @model_validator(mode="after")
    def _consistent(self) -> PipelineSpec:
        if self.bigquery and not self.lake:
            raise ValueError("BigQuery is loaded from the lake: declare `lake` as well")
        check_rules(self.reject, self.trips)
        return self

    @property
    def trips(self) -> Service:
        """The service in the registry of columns."""
        return SERVICES[self.service]

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

    def location(self, store: str, month: date) -> str:
        """The place of a month in a store under today's settings, as the load log names it: a table, or a URI.

        Args:
            store: `postgres`, `lake` or `bigquery`.
            month: The month of the file.
        """
        if store == "lake" and self.lake:
            return lake_uri(settings().lake_bucket, self.name, month, self.lake.shape)
        if store == "bigquery" and self.bigquery:
            return str(bigquery_table(self.bigquery, settings().bigquery_project, settings().bigquery_dataset))
        return str(postgres_table(self.postgres, settings().postgres_schema))


@cache
def read_pipelines(folder: Path = FOLDER) -> dict[str, PipelineSpec]:
    """The pipelines below a folder: name → pipeline.

    Raises:
        TaxiError: A file is no YAML, or not a valid pipeline.
    """
    specs = (_read_spec(path) for path in sorted(folder.glob("*/defs.yaml")))
    return {spec.name: spec for spec in specs if spec}


def pipeline_for(name: str) -> PipelineSpec:
    """The pipeline of that name.

    Raises:
        UsageError: There is none; the error names those that there are, and the nearest.
    """
    pipelines = read_pipelines()
    if name not in pipelines:
        nearest = nearest_name(name, pipelines)
        raise UsageError(
            f"There is no pipeline {name!r}.{f' Do you mean {nearest!r}?' if nearest else ''}",
            expected=f"one of: {', '.join(pipelines)}",
            found=name,
            next_step="correct the name, or add a folder with a defs.yaml to taxi_assets/defs",
        )
    return pipelines[name]


def nearest_name(name: str, pipelines: Mapping[str, PipelineSpec]) -> str | None:
    """The pipeline whose name, or whose service's name, is most like this one; None: none is."""
    named = {
        **{spec.service: spec.name for spec in reversed(list(pipelines.values()))},
        **{each: each for each in pipelines},
    }
    found = get_close_matches(name.lower(), named, n=1)
    return named[found[0]] if found else None


def _read_spec(path: Path) -> PipelineSpec | None:
    """The pipeline of a file; None where the file is another component's."""
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise UsageError("A pipeline's file is no YAML.", found=str(error), where=str(path)) from None
    attributes = document.get("attributes") or {}
    if document.get("type") != COMPONENT and "service" not in attributes:
        return None
    try:
        return PipelineSpec.model_validate({"name": path.parent.name, **attributes})
    except ValidationError as error:
        raise _invalid(path, error) from None


def _invalid(path: Path, error: ValidationError) -> TaxiError:
    mistakes = error.errors(include_url=False)
    missing = [_key(mistake["loc"]) for mistake in mistakes if mistake["type"] == "missing"]
    wrong = [f"{_key(mistake['loc'])}: {_explanation(mistake)}" for mistake in mistakes if mistake["type"] != "missing"]
    return UsageError(
        f"A pipeline's file lacks {' and '.join(missing)}." if missing else "A pipeline's file is not valid.",
        expected="attributes like those of taxi_assets/defs/yellow/defs.yaml",
        found="; ".join(wrong) or None,
        where=str(path),
        next_step="correct the file",
    )


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "attributes"


def _explanation(mistake: Any) -> str:
    if mistake["type"] == "extra_forbidden" and len(mistake["loc"]) == 1:
        return f"no such key; the keys are {', '.join(PipelineSpec.model_fields)}"
    return str(mistake["msg"]).removeprefix("Value error, ")
