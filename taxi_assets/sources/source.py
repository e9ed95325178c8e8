"""A source of trip files: asks for a month in each public layout, fetches it once, and keeps it while it is the newest.

source = source_from_settings(settings())
raw = source.fetch("yellow", date(2021, 1, 1))     # RawFile: path, url, bytes, sha256, …
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from taxi_assets.errors import TaxiError
from taxi_assets.settings import SOURCES, Settings, readable
from taxi_assets.sources.addresses import folder_name, join, shown
from taxi_assets.sources.content import CsvCheck, check_for
from taxi_assets.sources.download import Progress, Request, fetch_file
from taxi_assets.sources.errors import INTACT, NotFound, NotPublished
from taxi_assets.sources.folder import FileTransport, is_file, require_folder
from taxi_assets.sources.http import HttpTransport
from taxi_assets.sources.layouts import LAYOUTS, ZONE_LOOKUP
from taxi_assets.sources.record import Published, RawFile, SourceFile
from taxi_assets.sources.retry import RetryPolicy, with_retries
from taxi_assets.sources.transport import Transport
from taxi_assets.trips.months import month_name


@dataclass(frozen=True)
class TripSource:
    """An address that holds trip files, and the folder in which the fetched ones are kept.

    Attributes:
        url: The address, http, https or file; may carry credentials, so it is shown by `address` only.
        folder: The files of this address, and of no other, are kept here, in a folder a service.
        sample: Whether the trips are made up.
        retry_policy: How long and how often to ask.
    """

    url: str = field(repr=False)
    folder: Path
    sample: bool = False
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

    @property
    def address(self) -> str:
        """The address without credentials."""
        return shown(self.url)

    def fetch(self, service: str, month: date, *, force: bool = False, progress: Progress | None = None) -> RawFile:
        """The file of a month: fetched, or the one that was fetched before while it is still the newest.

        Args:
            service: `yellow` or `green`.
            month: Its first day.
            force: Fetch it even though it is here.
            progress: Told the bytes that are here and the bytes of the whole file (None: not known), as they come.

        Raises:
            NotPublished: The month is in none of the layouts there; says where it was looked for.
            SourceUnavailable: The source does not deliver now; asking later is worth it.
            SourceError: The source refuses, or what it has is broken.
        """
        looked = []
        with self._transport() as transport:
            for layout in LAYOUTS:
                address = layout.address(self.url, service, month)
                target = self.folder / service / Path(layout.path(service, month)).name
                request = Request(address, target, partial(check_for, layout.name), force, progress)
                try:
                    found = fetch_file(transport, request, self.retry_policy, sample=self.sample)
                except NotFound:
                    looked.append(shown(address))
                else:
                    return RawFile(service=service, month=month, layout=layout.name, **vars(found))
        raise _not_published(service, month, looked)

    def fetch_lookup(
        self, path: str = ZONE_LOOKUP, *, force: bool = False, progress: Progress | None = None
    ) -> SourceFile:
        """A small CSV table of the source: the taxi zones. Raises what `fetch` raises."""
        address = join(self.url, path)
        request = Request(address, self.folder / path, CsvCheck, force, progress)
        with self._transport() as transport:
            try:
                return fetch_file(transport, request, self.retry_policy, sample=self.sample)
            except NotFound:
                raise NotPublished(
                    f"The source has no {path}.", where=shown(address), intact=INTACT, next_step=_OTHER_SOURCE
                ) from None

    def probe(self, service: str, month: date, *, known: Published | None = None) -> Published | None:
        """What is published of a month, without fetching it; None where nothing is. Raises what `fetch` raises.

        Args:
            service: `yellow` or `green`.
            month: Its first day.
            known: What was loaded, or found the last time: a file of this source is looked for first, in the version
                that is known (a conditional request). The other layout's appearance is no change.
        """
        addresses = [(layout, layout.address(self.url, service, month)) for layout in LAYOUTS]
        addresses.sort(key=lambda found: known is None or shown(found[1]) != known.url)
        with self._transport() as transport:
            for layout, address in addresses:
                here = known if known and known.url == shown(address) else None
                version = here.validators if here else None
                try:
                    found, _ = with_retries(self.retry_policy, partial(transport.look, address, known=version))
                except NotFound:
                    continue
                size = here.bytes if here and found.total is None else found.total
                now = found.validators
                return Published(shown(address), layout.name, now.etag, now.last_modified, size)
        return None

    @contextmanager
    def _transport(self) -> Iterator[Transport]:
        if is_file(self.url):
            require_folder(self.url)
            yield FileTransport()
            return
        transport = HttpTransport(self.retry_policy)
        try:
            yield transport
        finally:
            transport.close()


# A key file or a project alone names no store: many people have them in their shell.
_REAL_STORES = ("postgres_host", "gcs_bucket")
_NAMES = {url: name for name, url in SOURCES.items()}
_OTHER_SOURCE = "name another source in TAXI_SOURCE_URL"


def _not_published(service: str, month: date, looked: list[str]) -> NotPublished:
    return NotPublished(
        f"{service} {month_name(month)} is not published yet.",
        expected="the month's file, as gzipped CSV or as Parquet",
        found="nothing at " + " and ".join(looked),
        intact=INTACT,
        next_step="the TLC publishes a month about two months after its end: try again then, choose an earlier month, "
        f"or {_OTHER_SOURCE}",
    )


def source_from_settings(settings: Settings) -> TripSource:
    """The source of TAXI_SOURCE_URL; where that is unset, the sample source, whose server is started.

    Raises:
        TaxiError: No source is named and a real store is configured: made-up trips go to embedded stores only.
    """
    if settings.taxi_source_url is None:
        return _sample_source(settings)
    url = settings.taxi_source_url
    folder = settings.taxi_home / "raw" / (_NAMES.get(url) or folder_name(url))
    return TripSource(url, folder, retry_policy=RetryPolicy(attempts=settings.taxi_source_attempts))


def source_named(name: str, settings: Settings) -> TripSource:
    """The source that a run names, in the place of TAXI_SOURCE_URL: `tlc`, `mirror`, `sample` or an address.

    Raises:
        TaxiError: It is none of these; it carries credentials, which the records of runs would show; or it is `sample`
            and a real store is configured.
    """
    if name == "sample":
        return _sample_source(settings)
    url = SOURCES.get(name, name).rstrip("/")
    if not readable(url) or not url.startswith(("http://", "https://", "file://")) or shown(url) != url:
        raise TaxiError(
            "A run cannot take its file from that source.",
            expected=f"{', '.join(SOURCES)}, sample, or an http, https or file address without credentials",
            found=_found(name),
            intact=INTACT,
            next_step="name the source in one of these ways; an address with credentials belongs in TAXI_SOURCE_URL",
        )
    return source_from_settings(settings.model_copy(update={"taxi_source_url": url}))


def _found(name: str) -> str:
    if not readable(name):
        return "an address whose host or port cannot be read"
    return shown(name) if "://" in name else repr(name)


def _sample_source(settings: Settings) -> TripSource:
    _demand_embedded_stores(settings)
    from taxi_assets.local.sample_source import sample_url

    rows = settings.taxi_sample_rows
    # A month of many rows is made while the first request for it waits.
    retry_policy = RetryPolicy(attempts=settings.taxi_source_attempts, read_timeout=600)
    folder = settings.taxi_home / "raw" / f"sample-{rows}"
    return TripSource(sample_url(settings.taxi_home, rows), folder, sample=True, retry_policy=retry_policy)


def _demand_embedded_stores(settings: Settings) -> None:
    real = [name for name in _REAL_STORES if getattr(settings, name) is not None]
    if real:
        raise TaxiError(
            "No source of trips is named, and made-up trips are not loaded into a real store.",
            expected="TAXI_SOURCE_URL, because a real store is configured",
            found=", ".join(f"{name.upper()} (set in: {settings.origin(name)})" for name in real),
            intact="nothing was fetched or loaded",
            next_step="set TAXI_SOURCE_URL to `tlc` (the TLC's Parquet files), `mirror` (the CSV files of "
            "DataTalksClub) or an http, https or file address; or unset the settings above to use the embedded stores",
        )
