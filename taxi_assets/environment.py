"""What a run reads and writes: its source and the places of its stores, resolved once, where the run is asked for.

A run carries its environment in its run configuration, at `execution.config.environment`. Whoever executes the run
compares it with the settings of the own process. Parts that need no access of their own are taken from the run: the
source's address, the number of synthetic rows, schema, dataset. Other parts that differ are refused.

No secret is part of it. An address with credentials is kept without them, with the name of the setting that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taxi_assets.errors import TaxiError
from taxi_assets.settings import SOURCES, Settings, settings, without_credentials

SAMPLE = "sample"
"""The name of the sample source."""
EMBEDDED = "embedded"

_SOURCE_SETTING = "TAXI_SOURCE_URL"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class SourcePart(_Part):
    """Where the files come from."""

    address: str = Field(description="Address without credentials, or `sample`")
    credentials: str | None = Field(None, description="The setting that has the address with its credentials")
    synthetic_rows: int | None = Field(None, description="Rows of a synthetic month; only of the source `sample`")


class PostgresPart(_Part):
    """The database of the trips."""

    server: str = Field(description="`embedded`, or host and port")
    database: str = Field(description="Database")
    schema_override: str | None = Field(
        None, alias="schema", description="Overrides the schema of every pipeline; null: the schemas of the YAML"
    )


class LakePart(_Part):
    """The bucket of the lake."""

    service: str = Field(description="`embedded`, `google`, or the address of an emulator")
    bucket: str = Field(description="Bucket")


class BigQueryPart(_Part):
    """The tables in BigQuery."""

    service: str = Field(description="`embedded`, `google`, or the address of an emulator")
    project: str = Field(description="Project")
    dataset: str | None = Field(
        None, description="Overrides the dataset of every pipeline; null: the datasets of the YAML"
    )


class Environment(_Part):
    """What a run reads and writes.

    Attributes:
        source: Where its files come from.
        postgres: The database of its trips.
        lake: The bucket of its lake.
        bigquery: Its project and dataset.
    """

    source: SourcePart
    postgres: PostgresPart
    lake: LakePart
    bigquery: BigQueryPart

    @classmethod
    def here(cls, source: str | None = None) -> Environment:
        """What a run reads and writes by the settings of this process; `source` replaces TAXI_SOURCE_URL."""
        return cls.of(settings(), source)

    @classmethod
    def of(cls, settings: Settings, source: str | None = None) -> Environment:
        """What a run reads and writes by these settings.

        Args:
            settings: The settings of a process.
            source: The source that the run names instead of TAXI_SOURCE_URL.
        """
        embedded = EMBEDDED if settings.postgres_host is None else f"{EMBEDDED} in {settings.taxi_home}"
        google = "google" if settings.gcs_bucket else embedded
        server = f"{settings.postgres_host}:{settings.postgres_port}" if settings.postgres_host else EMBEDDED
        return cls(
            source=_source(settings, source),
            postgres=PostgresPart(
                server=server, database=settings.postgres_dbname, schema_override=settings.postgres_schema
            ),
            lake=LakePart(
                service=without_credentials(settings.storage_emulator_host or google), bucket=settings.lake_bucket
            ),
            bigquery=BigQueryPart(
                service=without_credentials(settings.bigquery_emulator_host or google),
                project=settings.bigquery_project,
                dataset=settings.bigquery_dataset,
            ),
        )

    @property
    def run_config(self) -> dict[str, Any]:
        """The part of a run configuration that carries it."""
        return {"execution": {"config": {"environment": self.model_dump()}}}

    def completed(self, given: Mapping[str, Any]) -> Environment:
        """This environment, with the values that a run configuration names in their place.

        Raises:
            TaxiError: A value is none of an environment.
        """
        parts = {name: {**part, **(given.get(name) or {})} for name, part in self.model_dump().items()}
        try:
            return Environment.model_validate({**given, **parts})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise TaxiError(
                "The environment of the run is not valid.",
                expected="source, postgres, lake and bigquery, as another run of the platform has them",
                found=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
                where="execution.config.environment in the run configuration",
                intact="every store",
                next_step="correct the run configuration, or leave the environment out",
            ) from None

    def require_source(self, here: Environment) -> None:
        """Requires that a source with credentials is the one of the settings of this process.

        Raises:
            TaxiError: It is another one.
        """
        if self.source.credentials and self.source != here.source:
            raise _refusal("source", _source_text(self.source), _source_text(here.source), _SOURCE_SETTING)

    def require_postgres(self, here: Environment) -> None:
        """Requires that the database is the one of the settings of this process.

        Raises:
            TaxiError: It is another one.
        """
        asked, found = ((part.postgres.server, part.postgres.database) for part in (self, here))
        if asked != found:
            names = "POSTGRES_HOST, POSTGRES_PORT and POSTGRES_DBNAME"
            raise _refusal("database", " / ".join(asked), " / ".join(found), names)

    def require_google(self, here: Environment) -> None:
        """Requires that bucket and project are those of the settings of this process.

        Raises:
            TaxiError: One is another.
        """
        if self.lake != here.lake:
            asked, found = (f"gs://{part.lake.bucket} ({part.lake.service})" for part in (self, here))
            raise _refusal("lake", asked, found, "GCS_BUCKET and STORAGE_EMULATOR_HOST")
        asked, found = (f"{part.bigquery.project} ({part.bigquery.service})" for part in (self, here))
        if asked != found:
            raise _refusal("BigQuery project", asked, found, "GCP_PROJECT, GCS_BUCKET and BIGQUERY_EMULATOR_HOST")

    def require(self, here: Environment) -> None:
        """Requires that a process with these settings can do what the run asks for.

        Raises:
            TaxiError: A part is another one there.
        """
        self.require_source(here)
        self.require_postgres(here)
        self.require_google(here)


def environment_of(run_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a run configuration says of the environment; empty where it says nothing."""
    config = (run_config.get("execution") or {}).get("config") or {}
    return config.get("environment") or {}


def read_environment(run_config: Mapping[str, Any] | None) -> Environment | None:
    """The environment of a run; None: there is no run, or it carries none.

    Raises:
        TaxiError: The configuration has a value that is none of an environment.
    """
    asked = environment_of(run_config or {})
    return Environment.here().completed(asked) if asked else None


def with_environment(run_config: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    """The run configuration with this environment, completed by what it says of it already."""
    completed = environment.completed(environment_of(run_config))
    execution = dict(run_config.get("execution") or {})
    config = {**(execution.get("config") or {}), **completed.run_config["execution"]["config"]}
    return {**run_config, "execution": {**execution, "config": config}}


def _source(settings: Settings, name: str | None) -> SourcePart:
    address = SOURCES.get(name, name).rstrip("/") if name else settings.taxi_source_url
    if address is None or address == SAMPLE:
        return SourcePart(address=SAMPLE, synthetic_rows=settings.taxi_sample_rows)
    plain = without_credentials(address)
    return SourcePart(address=plain, credentials=None if plain == address else _SOURCE_SETTING)


def _source_text(source: SourcePart) -> str:
    return f"{source.address}, with the credentials in {source.credentials}" if source.credentials else source.address


def _refusal(what: str, asked: str, found: str, names: str) -> TaxiError:
    return TaxiError(
        f"The run asks for another {what} than this process has.",
        expected=f"{asked}, as the run was asked for",
        found=f"{found}, by the settings of the process that executes the run",
        where="execution.config.environment in the run configuration",
        intact="every store",
        next_step=f"set {names} for that process too (in .env.local, or where the daemon and the code server start), "
        "or start the run where they are set",
    )
