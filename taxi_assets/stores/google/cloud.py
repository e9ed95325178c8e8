"""Google Cloud, or what stands in for it: which one the settings name, with which credentials, and its clients.

Both halves, Cloud Storage and BigQuery, are of one kind, as BigQuery loads from the bucket:

- `google` where `GCS_BUCKET` is set: the real services. The project is `GCP_PROJECT`, or else the credentials' own.
- `emulator` where `STORAGE_EMULATOR_HOST` and `BIGQUERY_EMULATOR_HOST` are set: these two, without credentials.
- `embedded` where none of these is set: the local services, started when they are needed.

A key file alone names no store: it is used where a bucket is set. Anything in between is refused with the settings that
are missing. The libraries of Google and dagster-gcp are imported when a client is made: most commands and runs need
none of them, and a quick look (`rest.py`) does without. An import in the background slows down the cleaning of a month
by more than it saves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from taxi_assets.environment import Environment
from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.local.bigquery import BIGQUERY, PROJECT
from taxi_assets.local.cloud_storage import BUCKET, CLOUD_STORAGE
from taxi_assets.settings import Settings
from taxi_assets.stores.google.credentials import credentials_path, find_credentials

if TYPE_CHECKING:
    from google.cloud import bigquery, storage

Kind = Literal["embedded", "emulator", "google"]

_ADDRESSES = {
    "google": ("gcs_bucket",),
    "emulator": ("storage_emulator_host", "bigquery_emulator_host"),
}


class GoogleCloud(BaseModel):
    """Cloud Storage and BigQuery. No secret is part of it: a key is read from its file when a client is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(default="embedded", description="`embedded`, `emulator` or `google`.")
    home: str = Field(description="Folder of the local services.")
    bucket: str = Field(default=BUCKET, description="Bucket of the lake.")
    project: str | None = Field(default=PROJECT, description="Project; null: the one of the credentials.")
    location: str | None = Field(default=None, description="Where datasets are made; null: BigQuery's default.")
    dataset: str | None = Field(default=None, description="Overrides the dataset of every pipeline.")
    key_file: str | None = Field(default=None, description="Key file; null: application default credentials.")
    key_setting: str | None = Field(default=None, description="The setting that named the key file.")
    storage_url: str | None = Field(default=None, description="Address of a Cloud Storage emulator.")
    bigquery_url: str | None = Field(default=None, description="Address of a BigQuery emulator.")

    _run: Environment | None = PrivateAttr(None)

    @classmethod
    def from_settings(cls, configured: Settings) -> Self:
        """The services that the settings name.

        Raises:
            TaxiError: They name half of them; says what is missing.
        """
        kind = _kind(configured)
        setting, path = credentials_path(configured)
        return cls(
            kind=kind,
            home=str(configured.taxi_home),
            bucket=configured.gcs_bucket or BUCKET,
            project=configured.gcp_project or (None if kind == "google" else PROJECT),
            location=configured.gcp_location,
            dataset=configured.bigquery_dataset,
            key_file=str(path) if path and kind == "google" else None,
            key_setting=setting if path and kind == "google" else None,
            storage_url=_url(configured.storage_emulator_host),
            bigquery_url=_url(configured.bigquery_emulator_host),
        )

    def at_bucket(self, bucket: str) -> Self:
        """The same services with another bucket: the one that a manifest names."""
        return self if bucket == self.bucket else self.model_copy(update={"bucket": bucket})

    def require_run(self) -> None:
        """Requires that the run was asked for with this bucket and project.

        Raises:
            TaxiError: It was asked for with others.
        """
        if self._run:
            self._run.require_google(Environment.here())

    @property
    def retry_seconds(self) -> float:
        """Seconds for which a request is retried. A local server that is gone does not come back."""
        return 120.0 if self.kind == "google" else 5.0

    def storage_address(self) -> str | None:
        """The address of Cloud Storage where it is not Google's; starts the embedded one where it is needed.

        Raises:
            TaxiError: The embedded server did not start, or the run was asked for with another place.
        """
        self.require_run()
        return CLOUD_STORAGE.ensure(Path(self.home)).url if self.kind == "embedded" else self.storage_url

    def bigquery_address(self) -> str | None:
        """The address of BigQuery where it is not Google's; starts the embedded one, and the storage beside it.

        Raises:
            TaxiError: An embedded server did not start, or the run was asked for with another place.
        """
        self.require_run()
        if self.kind != "embedded":
            return self.bigquery_url
        CLOUD_STORAGE.ensure(Path(self.home))
        return BIGQUERY.ensure(Path(self.home)).url

    def storage(self) -> storage.Client:
        """A client of Cloud Storage.

        Raises:
            TaxiError: There are no usable credentials, or what `storage_address` raises.
        """
        from taxi_assets.stores.google.clients import storage_client

        project = self.credentials()[1]
        return storage_client(project, self.storage_address(), self.key_file, self.secret_home)

    def bigquery(self) -> bigquery.Client:
        """A client of BigQuery.

        Raises:
            TaxiError: There are no usable credentials, or what `bigquery_address` raises.
        """
        from taxi_assets.stores.google.clients import bigquery_client

        project = self.credentials()[1]
        return bigquery_client(project, self.bigquery_address(), self.key_file, self.job_location, self.secret_home)

    @property
    def job_location(self) -> str | None:
        """Where jobs run; None: BigQuery finds it by their tables, and the embedded one has no locations."""
        return None if self.kind == "embedded" else self.location

    @property
    def secret_home(self) -> str | None:
        """The home whose secret the servers ask for."""
        return self.home if self.kind == "embedded" else None

    def credentials(self) -> tuple[Any, str | None]:
        """Google's credentials, None for emulators, and the project: the one that is named, or else theirs.

        Raises:
            TaxiError: There are no usable credentials, or no project.
        """
        if self.kind != "google":
            return None, self.project
        path = Path(self.key_file) if self.key_file else None
        credentials, project = find_credentials(path, self.key_setting or "GOOGLE_APPLICATION_CREDENTIALS")
        if not (self.project or project):
            raise UsageError(
                "No Google Cloud project is named.",
                expected="GCP_PROJECT, or credentials that belong to a project",
                found=f"neither; the bucket is {self.bucket}",
                next_step="set GCP_PROJECT",
            )
        return credentials, self.project or project

    def __str__(self) -> str:
        where = {"embedded": "embedded", "emulator": f"emulators {self.storage_url}, {self.bigquery_url}"}
        return where.get(self.kind, f"Google Cloud, project {self.project or 'of the credentials'}")


def _kind(settings: Settings) -> Kind:
    given = {kind: [name for name in names if getattr(settings, name)] for kind, names in _ADDRESSES.items()}
    if given["emulator"]:
        if len(given["emulator"]) < 2:
            raise _half(
                given["emulator"], _ADDRESSES["emulator"], "the BigQuery emulator loads from the storage beside it"
            )
        return "emulator"
    if settings.gcp_project and not given["google"]:
        raise _half(["gcp_project"], ("gcp_project", "gcs_bucket"), "BigQuery loads from a bucket")
    return "google" if given["google"] else "embedded"


def _half(given: list[str], wanted: tuple[str, ...], reason: str) -> TaxiError:
    missing = ", ".join(name.upper() for name in wanted if name not in given)
    return UsageError(
        "Google Cloud is configured by half.",
        expected=f"{' and '.join(name.upper() for name in wanted)}, or none for the embedded services: {reason}",
        found=f"{', '.join(name.upper() for name in given)} without {missing}",
        intact="every store",
        next_step=f"set {missing}, or unset {', '.join(name.upper() for name in given)}",
    )


def _url(host: str | None) -> str | None:
    if not host:
        return None
    return (host if "://" in host else f"http://{host}").rstrip("/")
