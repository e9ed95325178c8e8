"""`dg scaffold defs taxi_assets.components.TaxiPipeline NAME`: a new pipeline's YAML file, with comments."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

import click
import dagster as dg
from pydantic import BaseModel, Field

from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import FOLDER, read_files
from taxi_assets.trips.registry import read_service, service_names

_SCHEMA = "ny_taxi"
_TEMPLATE = """\
# {title}: the pipeline {name}.
# `dg check defs` checks this file; `taxi run {name} --months 2021-01` loads a month.
type: {type}

attributes:
  service: {service} # {services}: the files of taxi_assets/services
  owners: [team:data-platform] # e-mail addresses, or teams as team:name: alerts go to them
  # job: {name}_etl # the job of the whole pipeline; by default so
  # start: {start} # the first month; by default the service's first

  # A row that matches a rule goes to {name}/rejected_taxi with the reason of the first such rule. A rule has one of
  # `missing: true`, `equals: number`, `at_most: number`, and may have its own reason: `reason: no fare`.
{rules}

  # The tables, which no other pipeline has. Rejected rows stand beside them, in {table}_rejected.
  postgres: {{schema: {schema}, table: {table}}}
  lake: {{shape: month}} # one object a month{date}
  bigquery: {{dataset: {schema}, table: {table}}} # loaded from the lake

  # What starts it: `state: running`, or a person who switches it on in the UI. A switch in the UI wins.
  schedule: {{cron: "0 6 * * *", timezone: UTC, state: stopped}} # looks for months that are not loaded
  publication: {{state: stopped}} # watches which months the source publishes or changes
  # A check warns if a month does not stand in every store so many days after its end.
  freshness: {{days: 75, cron: "0 6 * * *", state: stopped}}
"""


class PipelineParams(BaseModel):
    """The options of the command."""

    service: str = Field("yellow", description="The service whose files it reads, of taxi_assets/services")


class PipelineScaffolder(dg.Scaffolder[PipelineParams]):
    """Writes the file of a pipeline that loads a service into tables of its own, and that nothing starts yet."""

    @classmethod
    def get_scaffold_params(cls) -> type[PipelineParams]:
        """The options of the command."""
        return PipelineParams

    def scaffold(self, request: dg.ScaffoldRequest[PipelineParams]) -> None:
        """Writes `defs.yaml`.

        Raises:
            click.ClickException: No pipeline has such a name or service; nothing was written.
        """
        file = request.target_path / "defs.yaml"
        try:
            if request.scaffold_format != "yaml" or request.append or request.target_path.parent != FOLDER:
                raise UsageError(
                    "A pipeline is one YAML file in a folder of its own.",
                    expected=f"a name without a folder, and the format yaml; the file is in {FOLDER}",
                    found=str(request.target_path),
                )
            file.write_text(scaffold(request.type_name, request.target_path.name, request.params.service))
            read_files.cache_clear()
            if error := read_files().broken.get(request.target_path.name):
                raise error
        except TaxiError as error:
            if not request.append:
                file.unlink(missing_ok=True)
                _remove_empty(request.target_path)
            raise click.ClickException(f"{error}\nNothing was written.") from None


def _remove_empty(folder: Path) -> None:
    """Removes the folder and those above it that became empty, below the folder of pipelines."""
    with suppress(OSError):
        while folder.is_relative_to(FOLDER) and folder != FOLDER:
            folder.rmdir()
            folder = folder.parent


def scaffold(component: str, name: str, service: str) -> str:
    """The text of a new pipeline's file.

    Args:
        component: The type of the component.
        name: The pipeline.
        service: The service that it reads.

    Raises:
        UsageError: There is no such service.
    """
    known = read_service(service)
    columns = {column.name for column in known.columns}
    rules = [
        f"    - {{{rule}}}"
        for rule in ("column: passenger_count, missing: true", "column: trip_distance, at_most: 0")
        if rule.split()[1].rstrip(",") in columns
    ]
    days = [column.name for column in known.columns if column.day_of]
    return _TEMPLATE.format(
        title=known.title,
        type=component,
        name=name,
        service=service,
        services=", ".join(service_names()),
        start=f"{known.first_month:%Y-%m}",
        rules="\n".join(["  reject:", *rules]) if rules else "  reject: []",
        schema=_SCHEMA,
        table=_free_table(name, read_files().valid.values()),
        date=f"; `date`: one folder per day, {days[0]}" if days else "",
    )


def _free_table(name: str, pipelines: Iterable[PipelineSpec]) -> str:
    """The pipeline's name, or the first with a number that is no table of another pipeline."""
    taken = {table.name for each in pipelines for table in (each.postgres, each.bigquery) if table}
    base = f"{name}_trips" if name.endswith("_rejected") else name
    names = (base if number == 1 else f"{base}_{number}" for number in count(1))
    return next(each for each in names if each not in taken)
