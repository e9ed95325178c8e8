"""`taxi verify`: compares the ledger, each store's own record and what stands in the store, month by month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxi_assets.cli.broken_files import show_broken_files
from taxi_assets.cli.database import reader
from taxi_assets.cli.results import Format, print_document, print_table
from taxi_assets.cli.screen import messages
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import pipeline_for, read_pipelines
from taxi_assets.settings import settings
from taxi_assets.stores.month import LoadEntry, VerifiedMonth
from taxi_assets.stores.postgres import verify as postgres
from taxi_assets.stores.postgres.connection import postgres_address
from taxi_assets.stores.postgres.load_log import latest_loads, ledger_identity, write_missing
from taxi_assets.stores.record import Comparison, Verdict, compare
from taxi_assets.stores.table import postgres_table
from taxi_assets.trips.months import month_name, parse_months

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


SHOWN_MONTHS = 6
"""So many months that are not loaded are named."""
_COLUMNS = [
    *("store", "pipeline", "month", "where", "verdict", "rows", "cents", "gone", "next"),
    *("what", "ledger", "record", "found"),
]
"""The columns of the CSV."""


def verify_loads(name: str | None, months: str | None, form: Format) -> int:
    """Prints the months that differ or are lost, and the commands that mend them; returns 1 if there are any.

    A month that `months` names and no store has counts as lost. Without a name, it also prints what is wrong with
    broken files, and returns 1 if there is one. A load that a store has and the ledger lacks, because its run was
    killed between the two, is added to the ledger.

    Raises:
        TaxiError: The pipeline or a month is none; a store cannot be reached.
    """
    pipelines = [pipeline_for(name)] if name else list(read_pipelines().values())
    wanted = parse_months(months) if months is not None else None
    with reader(snapshot=True) as connection:
        compared, places = _compare_postgres(connection, pipelines, name, wanted)
        ledger = latest_loads(connection, pipeline=name, months=wanted)
        identity = ledger_identity(connection)
    compared += [item for pipeline in pipelines for item in _compare_cloud(pipeline, ledger, identity, wanted)]
    _add_to_ledger([item for item in compared if item.verdict is Verdict.UNWRITTEN])
    differing = [item for item in compared if item.verdict is Verdict.DIFFERS]
    others = [item for item in compared if item.verdict is Verdict.OTHER_HOME]
    if differing and form is Format.TABLE:
        messages().print("[bold red]What differs:[/]")
        _print_differences(differing)
    _print_others(others)
    _print_dropped(places)
    _print_outdated(pipelines, compared)
    own = len(compared) - len(others)
    agreeing = f"{own - len(differing)} of {own} loads agree with their load log, in {_measure(pipelines)}."
    messages().print(agreeing, soft_wrap=True)
    absent = _absent(compared, wanted or ())
    if absent:
        names = ", ".join(month_name(month) for month in absent[:SHOWN_MONTHS])
        more = f" and {len(absent) - SHOWN_MONTHS} more" if len(absent) > SHOWN_MONTHS else ""
        given = f" {name}" if name else ""
        mending = f"taxi run {name or 'PIPELINE'} --months {months}"
        messages().print(f"Not loaded:{given} {names}{more}. Next: {mending}", soft_wrap=True)
    elif not compared:
        messages().print(f"Nothing is loaded yet: taxi run {name or 'yellow'} --months 2021-01")
    broken = 0 if name else show_broken_files()
    failed = bool(differing or absent or broken)
    if form is not Format.TABLE:
        months_named = {"months": list(map(_month, compared)), "not_loaded": list(map(month_name, absent))}
        print_document({"ok": not failed, **months_named}, _flat(compared), form, _COLUMNS)
    return 1 if failed else 0


def _absent(compared: Sequence[Comparison], wanted: Sequence[date]) -> list[date]:
    """The months that a person named and no store has."""
    found = {item.verified.month for item in compared}
    return [month for month in wanted if month not in found]


def _measure(pipelines: Sequence[PipelineSpec]) -> str:
    """What is compared of the months: rows, and cents where the trips have amounts."""
    without = [pipeline.name for pipeline in pipelines if not pipeline.trips.has_amounts]
    if not without:
        return "rows and cents"
    if len(without) == len(pipelines):
        return "rows: these trips have no amounts"
    return f"rows and cents, those of {', '.join(without)} in rows: these trips have no amounts"


def _compare_postgres(
    connection: Connection, pipelines: Sequence[PipelineSpec], name: str | None, months: list[date] | None
) -> tuple[list[Comparison], list[str]]:
    """The months in PostgreSQL; and the places of trials that are gone with their tables."""
    declared = {(each.name, each.postgres) for each in pipelines}
    declared |= {(each.name, postgres_table(each.postgres, settings().postgres_schema)) for each in pipelines}
    compared, dropped = [], set()
    exists: dict[str, bool] = {}
    for month in postgres.verify_months(connection, name, months, sorted(declared, key=str)):
        place = postgres.table_of(month.location)
        if (month.pipeline, place) not in declared:
            if month.location not in exists:
                exists[month.location] = postgres.exists(connection, place)
            if not exists[month.location]:
                dropped.add(month.location)
                continue
        compared.append(compare(month, month.entry, None))
    return compared, sorted(dropped)


def _compare_cloud(
    pipeline: PipelineSpec, ledger: Sequence[LoadEntry], identity: str | None, months: list[date] | None
) -> Iterator[Comparison]:
    for store in ("lake", "bigquery"):
        if store in pipeline.stores:
            compared = _compare_store(store, pipeline, ledger, identity, months)
            if any(item.verdict is not Verdict.AGREES for item in compared):
                # A load may have ended between two requests: what differs twice, differs.
                with reader() as connection:
                    newer = latest_loads(connection, store=store, pipeline=pipeline.name, months=months)
                compared = _compare_store(store, pipeline, newer, identity, months)
            yield from compared


def _compare_store(
    store: str,
    pipeline: PipelineSpec,
    ledger: Sequence[LoadEntry],
    identity: str | None,
    months: list[date] | None,
) -> list[Comparison]:
    here = {
        entry.source_month: entry
        for entry in ledger
        if (entry.store, entry.pipeline) == (store, pipeline.name)
        and entry.place == pipeline.location(store, entry.source_month)
    }
    found = {month.month: month for month in _counted(store, pipeline, sorted(here), months)}
    for month in here.keys() - found.keys():
        found[month] = VerifiedMonth(store, pipeline.name, month, here[month].place, None, (0, 0))
    return [compare(found[month], here.get(month), identity) for month in sorted(found)]


def _counted(
    store: str, pipeline: PipelineSpec, in_ledger: Sequence[date], months: list[date] | None
) -> Iterator[VerifiedMonth]:
    from taxi_assets.files import work_folder
    from taxi_assets.stores.bigquery import verify as bigquery
    from taxi_assets.stores.google.cloud import GoogleCloud
    from taxi_assets.stores.lake import verify as lake

    cloud = GoogleCloud.from_settings(settings())
    if store == "lake":
        with work_folder(Path(cloud.home), f"verify-{pipeline.name}") as folder:
            yield from lake.verify_months(cloud, pipeline.name, folder, months)
    elif pipeline.bigquery:
        for month in bigquery.verify_months(cloud, pipeline.name, pipeline.bigquery, months):
            place = pipeline.location(store, month.month)
            yield replace(month, entry=month.entry and replace(month.entry, place=place))


def _add_to_ledger(unwritten: Sequence[Comparison]) -> None:
    entries = [item.verified.entry for item in unwritten if item.verified.entry]
    for entry in write_missing(postgres_address(settings()), entries):
        name = f"{entry.pipeline} {month_name(entry.source_month)}"
        messages().print(f"{name} stands in {entry.place}, but was missing in the ledger: it is added.")


def _print_others(others: Sequence[Comparison]) -> None:
    """The months that another home loaded into a shared bucket or dataset."""
    for item in others:
        month = item.verified
        names = f"{month.pipeline} {month_name(month.month)} in {month.location}"
        rows = "as its record says" if month.agrees else "not as its record says: that home's `taxi verify` tells more"
        messages().print(f"Loaded by another home: {names}, {month.counted[0]:,} rows, {rows}.")


def _print_dropped(places: Sequence[str]) -> None:
    if places:
        messages().print(f"Left out, because these tables of trials no longer exist: {', '.join(places)}")


def _print_outdated(pipelines: Sequence[PipelineSpec], compared: Sequence[Comparison]) -> None:
    """The months that were cleaned by other rules or columns than today's, with the command that loads them again."""
    for pipeline in pipelines:
        outdated = {month for item in compared if (month := _outdated_month(pipeline, item))}
        if outdated:
            names = ", ".join(month_name(month) for month in sorted(outdated))
            messages().print(
                f"Loaded by older rules or columns of {pipeline.name}: {names}. "
                f"Next: taxi run {pipeline.name} --months outdated",
                soft_wrap=True,
            )


def _outdated_month(pipeline: PipelineSpec, item: Comparison) -> date | None:
    """The month, where this home loaded it by other rules or columns; trials left out."""
    entry = item.verified.entry
    if entry is None or entry.pipeline != pipeline.name or item.verdict is Verdict.OTHER_HOME:
        return None
    here = entry.place == pipeline.location(entry.store, entry.source_month)
    old = entry.code_version != pipeline.version and not entry.configuration.get("limit")
    return entry.source_month if here and old else None


def _print_differences(differing: Sequence[Comparison]) -> None:
    numbers = ("ledger", "record", "found")
    rows: list[list[str]] = []
    for item in differing:
        month = item.verified
        head = [month.store, f"{month.pipeline} {month_name(month.month)}", month.location]
        next_step = mending_command(item)
        for difference in item.differences:
            numbers_found = (difference.ledger, difference.record, difference.found)
            counts = (
                [_number(value) for value in numbers_found]
                if any(number is not None for number in numbers_found)
                else [""] * 3
            )
            rows.append([*head, difference.what, *counts, next_step])
            head, next_step = ["", "", ""], ""
        for name in month.gone:
            rows.append(["", "", name, "is gone or not the month", "", "", "", ""])
    print_table(["store", "month", "where", "what", *numbers, "next"], rows, right=numbers, sparse=True)


def _month(item: Comparison) -> dict[str, Any]:
    """A compared month, for machines."""
    month = item.verified
    return {
        "store": month.store,
        "pipeline": month.pipeline,
        "month": month_name(month.month),
        "where": month.location,
        "verdict": item.verdict.name.lower(),
        "rows": month.counted[0],
        "cents": month.counted[1],
        "differences": [asdict(difference) for difference in item.differences],
        "gone": list(month.gone),
        "next": mending_command(item) if item.verdict is Verdict.DIFFERS else None,
    }


def _flat(compared: Sequence[Comparison]) -> Iterator[dict[str, Any]]:
    """The compared months with a row for each difference, for CSV."""
    for item in compared:
        month = _month(item)
        nothing = {"what": None, "ledger": None, "record": None, "found": None}
        for difference in month.pop("differences") or [nothing]:
            yield {**month, "gone": " ".join(month["gone"]), **difference}


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def mending_command(item: Comparison) -> str:
    """The command that makes the store hold the month again."""
    month = item.verified
    command = f"taxi run {month.pipeline} --months {month_name(month.month)}"
    entry = item.ledger or month.entry
    if limit := entry and entry.configuration.get("limit"):
        return f"{command} --limit {limit}"
    elsewhere = ""
    pipeline = read_pipelines().get(month.pipeline)
    if pipeline and month.store == "postgres" and month.location != pipeline.location("postgres", month.month):
        elsewhere = f"POSTGRES_SCHEMA={month.location.rpartition('.')[0]} "
    return f"{elsewhere}{command} --force --only {month.store}"
