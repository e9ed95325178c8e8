"""What only one pipeline may have: its name, job, schedules, sensors and tables. Two that claim the same are refused.

It imports no Dagster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taxi_assets.environment import Environment
from taxi_assets.errors import UsageError
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.stores.table import TRIAL, TableRef, postgres_table
from taxi_assets.yaml_files import InvalidYaml, YamlFile

_TITLES = {"postgres": "table of PostgreSQL", "bigquery": "table of BigQuery"}
_VARIABLES = {"postgres": "POSTGRES_SCHEMA", "bigquery": "BIGQUERY_DATASET"}


@dataclass(frozen=True)
class Claim:
    """Something that no other pipeline may have.

    Attributes:
        kind: What it is: `name`, `job`, `table of PostgreSQL`, …
        value: Its name.
    """

    kind: str
    value: str

    @property
    def compared(self) -> Claim:
        """The claim as it is compared: the embedded BigQuery takes names that differ in case alone for one."""
        return Claim(self.kind, self.value.lower()) if self.kind == _TITLES["bigquery"] else self

    def __str__(self) -> str:
        return f"the {self.kind} {self.value!r}"


def conflicts(declared: Mapping[Path, PipelineSpec]) -> dict[Path, InvalidYaml]:
    """The errors of pipelines that claim the same, for each of their files; each names the other file.

    Args:
        declared: File → its pipeline.
    """
    owners: dict[Claim, list[tuple[Path, str]]] = {}
    for path, pipeline in declared.items():
        for claim, key in _claims(pipeline):
            owners.setdefault(claim.compared, []).append((path, key))
    mistakes: dict[Path, dict[tuple[str, Path], Claim]] = {}
    for claim, found in owners.items():
        for path, key in found:
            for other, _ in found:
                if other != path:
                    # A name that two have is also the name of what they make: it is said once.
                    mistakes.setdefault(path, {}).setdefault((key, other), claim)
    return {path: _invalid(path, each) for path, each in mistakes.items()}


def _claims(pipeline: PipelineSpec) -> Iterator[tuple[Claim, str]]:
    """What a pipeline claims, each with the key of its file that says so."""
    yield Claim("name", pipeline.name), "name"
    yield Claim("job", pipeline.job), "job"
    if pipeline.schedule:
        yield Claim("schedule", f"{pipeline.job}_schedule"), "job"
    if pipeline.publication:
        yield Claim("sensor", f"{pipeline.name}_publication"), "name"
    if pipeline.freshness:
        yield Claim("job", f"{pipeline.name}_freshness"), "name"
        yield Claim("schedule", f"{pipeline.name}_freshness_schedule"), "name"
    for store in _TITLES:
        # That of its rejected rows is no other's, as no declared name ends like it.
        if table := getattr(pipeline, store):
            yield Claim(_TITLES[store], str(table)), store


def _invalid(path: Path, claims: Mapping[tuple[str, Path], Claim]) -> InvalidYaml:
    file = YamlFile.read(path)
    mistakes = [
        file.mistake(("attributes", key), f"{claim}, which {other} has, too", f"a {claim.kind} of its own")
        for (key, other), claim in claims.items()
    ]
    return InvalidYaml(path, mistakes)


def refuse_mixing(
    pipeline: PipelineSpec,
    pipelines: Mapping[str, PipelineSpec],
    stores: Sequence[str],
    environment: Environment,
    *,
    trial: bool = False,
) -> None:
    """Keeps a load out of a table that is another pipeline's in this environment, though not in the files.

    POSTGRES_SCHEMA and BIGQUERY_DATASET override the schemas and datasets of all pipelines; a trial has one schema.

    Args:
        pipeline: The pipeline that loads.
        pipelines: All pipelines.
        stores: The stores that it loads into.
        environment: What the run writes.
        trial: Whether it loads a trial.

    Raises:
        UsageError: A table of one is a table of the other.
    """
    overrides = {"postgres": environment.postgres.schema_override, "bigquery": environment.bigquery.dataset}
    for store in stores:
        override = overrides.get(store)
        own = _moved(pipeline, store, override, trial)
        for other in pipelines.values():
            if own and other.name != pipeline.name and own == _moved(other, store, override, trial):
                raise _mixed(pipeline, other, store, str(own), override)


def _moved(pipeline: PipelineSpec, store: str, override: str | None, trial: bool) -> TableRef | None:
    if store == "postgres":
        return postgres_table(pipeline.postgres, override, trial=trial)
    return pipeline.bigquery.moved(namespace=override) if store == "bigquery" and pipeline.bigquery else None


def _mixed(pipeline: PipelineSpec, other: PipelineSpec, store: str, table: str, override: str | None) -> UsageError:
    variable = _VARIABLES[store]
    reason = f"{variable}={override}" if override else f"the schema {TRIAL!r} of trials"
    declared = " and ".join(str(getattr(each, store)) for each in (pipeline, other))
    remedy = f"unset {variable}" if override else f"set {variable} to a schema of this trial's own"
    return UsageError(
        f"{pipeline.name} and {other.name} would both load into {table}.",
        expected="tables of its own for each pipeline",
        found=f"{reason}, in the place of the files' {declared}",
        intact="every store",
        next_step=f"{remedy}, or name another table in one of the files",
    )
