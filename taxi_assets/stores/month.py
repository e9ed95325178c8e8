"""A cleaned month, and the entry of the load log for its load into a store."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from taxi_assets.errors import TaxiError
from taxi_assets.settings import PROJECT_ROOT
from taxi_assets.trips.columns import Service
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    import dagster as dg

    from taxi_assets.trips.table import TripTable

_STARTERS = {
    "taxi/started_by": "{}",
    "dagster/backfill": "backfill {}",
    "dagster/schedule_name": "schedule {}",
    "dagster/sensor_name": "sensor {}",
    "user": "{} in the UI",
}


@dataclass(frozen=True)
class Provenance:
    """The run that loads a month.

    Attributes:
        run_id: Id of Dagster's run.
        started_by: Who or what started it.
        run_config: Its configuration.
        ledger: The identity of the ledger that the load is written to.
    """

    run_id: str | None = None
    started_by: str | None = None
    run_config: Mapping[str, Any] = field(default_factory=dict)
    ledger: str | None = None

    @classmethod
    def of(cls, context: dg.OutputContext, ledger: str | None = None) -> Provenance:
        """The run of an IO manager's context."""
        run = context.step_context.dagster_run
        return cls(run.run_id, started_by(run.tags), run.run_config, ledger)

    @property
    def replaces_real(self) -> bool:
        """Whether the run was asked to load synthetic trips, or a trial, also where real or full months stand."""
        ops = self.run_config.get("ops") or {}
        return any((op.get("config") or {}).get("replace_real") for op in ops.values())

    @property
    def configuration(self) -> dict[str, Any]:
        """The version of the code, the configuration of the run's ops, and the ledger."""
        ops = {name: op["config"] for name, op in self.run_config.get("ops", {}).items() if op.get("config")}
        more = {"ops": ops, "ledger": self.ledger}
        return {"code": revision(), **{name: value for name, value in more.items() if value}}


NO_RUN = Provenance()
"""A load that no run of Dagster makes."""


def started_by(tags: Mapping[str, str]) -> str:
    """Who or what started a run, by its tags."""
    for tag, text in _STARTERS.items():
        if tag in tags:
            retry = f", retry {tags['dagster/retry_number']}" if "dagster/retry_number" in tags else ""
            return text.format(tags[tag]) + retry
    return "a person in the UI"


@cache
def revision() -> str:
    """`0.1.0 ab12cd3`; `-dirty`: files were changed since that commit. Without a checkout the version alone."""
    try:
        package = version("taxi-assets")
    except PackageNotFoundError:
        package = "unknown"
    if not (PROJECT_ROOT / ".git").exists():
        return package
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return package
    return f"{package} {commit}"


@dataclass(frozen=True)
class LoadEntry:
    """One load in the load log.

    Attributes:
        store: `postgres`, `lake` or `bigquery`.
        service: The service of the file: `yellow`.
        source_month: The month of the file.
        place: Where the rows are in the store: `ny_taxi.yellow_cab_data`, `gs://…`.
        url: The file's address.
        sha256: Its checksum.
        etag: Its ETag.
        last_modified: Its Last-Modified, an HTTP date.
        source_bytes: Its size.
        rows_read: Rows of the file.
        rows_kept: Rows written.
        rows_rejected: Rejected rows.
        rejected: Rejected rows by reason.
        cents: Whole cents of `total_amount` in the rows written.
        cents_rejected: The same of the rejected rows.
        run_id: Dagster's run.
        started_by: Who or what started it.
        code_version: The version of columns and rules.
        configuration: The run's options, and the version of the code.
        seconds: How long it took.
        pipeline: The pipeline that loaded it. Entries of older code have none: it is the service's name then.
        id: Its id in the load log; None before it is written.
        loaded_at: When it was written; None before.
    """

    store: str
    service: str
    source_month: date
    place: str
    rows_read: int
    rows_kept: int
    rows_rejected: int
    cents: int
    cents_rejected: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    url: str | None = None
    sha256: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    source_bytes: int | None = None
    run_id: str | None = None
    started_by: str | None = None
    code_version: str | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    pipeline: str = ""
    id: int | None = None
    loaded_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.pipeline:
            object.__setattr__(self, "pipeline", self.service)


@dataclass(frozen=True)
class CleanedMonth:
    """A cleaned month: what a store loads.

    Attributes:
        service: The service and its columns.
        month: The month of the file: the key of the load.
        kept: The rows for the table.
        rejected: The rows for the table of rejected rows beside it, from the same cleaning.
        pipeline: The pipeline that loads it; without it, the one of the service's name.
    """

    service: Service
    month: date
    kept: TripTable
    rejected: TripTable
    pipeline: str = ""

    def __post_init__(self) -> None:
        if not self.pipeline:
            object.__setattr__(self, "pipeline", self.service.name)

    def __str__(self) -> str:
        return f"{self.pipeline} {month_name(self.month)}"

    @property
    def trial(self) -> bool:
        """Whether these are only some rows of the month, for a trial."""
        return bool(self.kept.metadata.get("limit"))

    def entry(self, store: str, place: str, provenance: Provenance = NO_RUN) -> LoadEntry:
        """The entry for the load log, with the rows and cents that the store must hold after the load.

        Args:
            store: `postgres`, `lake` or `bigquery`.
            place: Where the rows will be in the store.
            provenance: The run that loads.

        Raises:
            TaxiError: The kept and the rejected rows come from two cleanings.
        """
        metadata = self.kept.metadata
        summary = self.kept.summary
        rows = self.kept.rows, self.rejected.rows
        same_cleaning = metadata == self.rejected.metadata
        if not same_cleaning or rows != (summary.rows_kept, summary.rows_rejected):
            raise TaxiError(
                f"The kept and the rejected rows of {self} do not belong together.",
                expected=f"{summary.rows_kept} kept and {summary.rows_rejected} rejected rows of one cleaning",
                found=f"{rows[0]} and {rows[1]} rows{'' if same_cleaning else ', of two cleanings'}",
                where=f"{self.kept.path} and {self.rejected.path}",
                intact="every store",
                next_step="clean the month again",
            )
        source = metadata.get("source", {})
        options = {"made_up": source.get("sample"), "limit": metadata.get("limit")}
        return LoadEntry(
            store=store,
            service=self.service.name,
            pipeline=self.pipeline,
            source_month=self.month,
            place=place,
            rows_read=summary.rows_read,
            rows_kept=summary.rows_kept,
            rows_rejected=summary.rows_rejected,
            rejected=summary.rejected,
            cents=summary.cents_kept,
            cents_rejected=summary.cents_rejected,
            **{name: source.get(name) for name in ("url", "sha256", "etag", "last_modified")},
            source_bytes=source.get("bytes"),
            run_id=provenance.run_id,
            started_by=provenance.started_by,
            code_version=metadata.get("cleaning"),
            configuration={**{name: value for name, value in options.items() if value}, **provenance.configuration},
        )


@dataclass(frozen=True)
class VerifiedMonth:
    """A month in a store: what the store's own record says, and what is counted there.

    Attributes:
        store: `postgres`, `lake` or `bigquery`.
        pipeline: The pipeline.
        month: The month of the file.
        location: The table, the object or the folder.
        logged: Row count and cents of the kept rows in the newest load of the record; None: it has no load.
        counted: Row count and cents in the store now.
        rejected_logged: The same of the rejected rows; None: the record has no load, or promises no rejected rows.
        rejected_counted: Row count and cents of the rejected rows in the store now; None as above.
        entry: That load; None: there is none.
        gone: Names of objects or tables that are missing.
    """

    store: str
    pipeline: str
    month: date
    location: str
    logged: tuple[int, int] | None
    counted: tuple[int, int]
    rejected_logged: tuple[int, int] | None = None
    rejected_counted: tuple[int, int] | None = None
    entry: LoadEntry | None = field(default=None, compare=False)
    gone: tuple[str, ...] = field(default=(), compare=False)

    @property
    def agrees(self) -> bool:
        """Whether the store holds what its record says."""
        return self.logged == self.counted and self.rejected_logged == self.rejected_counted

    @classmethod
    def of(
        cls,
        entry: LoadEntry,
        counted: tuple[int, int],
        rejected: tuple[int, int] | None,
        gone: tuple[str, ...] = (),
    ) -> VerifiedMonth:
        """A load of the record, and what is counted in its store now; None: the store keeps no rejected rows."""
        return cls(
            store=entry.store,
            pipeline=entry.pipeline,
            month=entry.source_month,
            location=entry.place,
            logged=(entry.rows_kept, entry.cents),
            counted=counted,
            rejected_logged=None if rejected is None else (entry.rows_rejected, entry.cents_rejected),
            rejected_counted=rejected,
            entry=entry,
            gone=gone,
        )


def refuse_trial(rows: TripTable, store: str) -> None:
    """Keeps the rows of a trial out of a store that has no place for them.

    Raises:
        TaxiError: The rows are those of a trial.
    """
    if limit := rows.metadata.get("limit"):
        raise TaxiError(
            f"A trial of {limit:,} rows does not go to {store}.",
            expected="a whole month",
            intact="every month that was loaded before",
            next_step="clean the month without a limit; or run the trial with: taxi run … --limit … --only postgres",
        )
