"""A source of trip files: fetches a month in one of the public layouts, and keeps it while it is the newest version.

source = source_from_settings(settings())
raw = source.fetch("yellow", date(2021, 1, 1))     # RawFile: path, url, bytes, sha256, …
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from taxi_assets.environment import SAMPLE, Environment
from taxi_assets.errors import UsageError
from taxi_assets.settings import SOURCES, Settings, readable
from taxi_assets.sources.addresses import folder_name, is_file, join, redacted
from taxi_assets.sources.content import CsvCheck, check_for
from taxi_assets.sources.errors import OTHER_SOURCE, NotFound, NotPublished
from taxi_assets.sources.folder import FileTransport, newest_file, require_folder
from taxi_assets.sources.layouts import LAYOUTS, ZONE_LOOKUP, Layout
from taxi_assets.sources.record import Published, RawFile, SourceFile
from taxi_assets.sources.retry import RetryPolicy, with_retries
from taxi_assets.sources.sample.head import sample_head
from taxi_assets.sources.transport import SourceResponse, Transport
from taxi_assets.trips.months import month_name

if TYPE_CHECKING:
    from taxi_assets.sources.download import Progress


@dataclass(frozen=True)
class TripSource:
    """An address of trip files, and the folder of the fetched ones.

    Attributes:
        url: The address, http, https or file. It may carry credentials: show `address` instead.
        folder: The files of this address only, in a folder for each service.
        synthetic: Whether the trips are synthetic.
        retry_policy: How long and how often to try.
    """

    url: str = field(repr=False)
    folder: Path
    synthetic: bool = False
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)

    @property
    def address(self) -> str:
        """The address without credentials."""
        return redacted(self.url)

    def fetch(self, service: str, month: date, *, force: bool = False, progress: Progress | None = None) -> RawFile:
        """Fetches the file of a month, unless its newest version is on this machine.

        Args:
            service: `yellow` or `green`.
            month: Its first day.
            force: Fetch it even where its newest version is on this machine.
            progress: Called with the number of bytes so far and the size of the file (None: not known).

        Raises:
            NotPublished: The source has the month in no layout; names the addresses.
            SourceUnavailable: The source does not deliver now.
            SourceError: The source refuses, or its file is broken.
        """
        from taxi_assets.sources.download import Request, fetch_file

        with self._transport() as transport:
            for layout in LAYOUTS:
                address = layout.address(self.url, service, month)
                target = self._target(layout, service, month)
                check = partial(check_for, layout.name)
                request = Request(address, redacted(address), target, check, force, progress)
                try:
                    file = fetch_file(transport, request, self.retry_policy, synthetic=self.synthetic)
                except NotFound:
                    continue
                return RawFile(service=service, month=month, layout=layout.name, **vars(file))
        raise self.absence(service, month)

    def fetch_lookup(
        self, path: str = ZONE_LOOKUP, *, force: bool = False, progress: Progress | None = None
    ) -> SourceFile:
        """Fetches a small CSV table of the source: the taxi zones. Raises what `fetch` raises."""
        from taxi_assets.sources.download import Request, fetch_file

        address = join(self.url, path)
        request = Request(address, redacted(address), self.folder / path, CsvCheck, force, progress)
        with self._transport() as transport:
            try:
                return fetch_file(transport, request, self.retry_policy, synthetic=self.synthetic)
            except NotFound:
                raise NotPublished(f"The source has no {path}.", where=request.url, next_step=OTHER_SOURCE) from None

    def probe(self, service: str, month: date, *, known: Published | None = None) -> Published | None:
        """What is published of a month, without fetching it; None where nothing is. Raises what `fetch` raises.

        Args:
            service: `yellow` or `green`.
            month: Its first day.
            known: What was loaded, or published the last time. A file of this source is requested first, by a
                conditional request. The appearance of the other layout is no change.
        """
        addresses = [(layout, layout.address(self.url, service, month)) for layout in LAYOUTS]
        addresses.sort(key=lambda entry: known is None or redacted(entry[1]) != known.url)
        with self._head() as head:
            for layout, address in addresses:
                same = known if known and known.url == redacted(address) else None
                version = same.validators if same else None
                try:
                    response, _ = with_retries(self.retry_policy, partial(head, address, known=version))
                except NotFound:
                    continue
                size = same.bytes if same and response.total is None else response.total
                newest = response.validators
                return Published(redacted(address), layout.name, newest.etag, newest.last_modified, size)
        return None

    def has(self, service: str, month: date, published: Published) -> bool:
        """Whether this version of a month's file is on this machine, so that `fetch` would fetch nothing."""
        from taxi_assets.sources.download import read_record

        layout = next(layout for layout in LAYOUTS if layout.name == published.layout)
        record = read_record(self._target(layout, service, month))
        return record is not None and record.validators == published.validators

    def _target(self, layout: Layout, service: str, month: date) -> Path:
        return self.folder / service / Path(layout.path(service, month)).name

    def absence(self, service: str, month: date) -> NotPublished:
        """The error of a month that is published in no layout; names the addresses."""
        urls = [redacted(layout.address(self.url, service, month)) for layout in LAYOUTS]
        return _not_published(service, month, urls)

    @contextmanager
    def _head(self) -> Iterator[Callable[..., SourceResponse]]:
        """How the source is asked for what it knows of a file: `Transport.head`."""
        if self.synthetic:
            yield sample_head
            return
        with self._transport() as transport:
            yield transport.head

    def _transport(self) -> Transport:
        if is_file(self.url):
            require_folder(self.url)
            return FileTransport()
        # The import of requests takes longer than the sample source's answer.
        from taxi_assets.sources.http import HttpTransport

        return HttpTransport(self.retry_policy)


# A key file or a project alone names no store: many people have them in their shell.
_REAL_STORES = ("postgres_host", "gcs_bucket")
_NAMES = {url: name for name, url in SOURCES.items()}


LATE_MONTHS = 6
"""A month that is missing so many months after its beginning is not worth waiting for."""


def _not_published(service: str, month: date, urls: list[str]) -> NotPublished:
    """The error of a month that its source lacks: one that may come, or a gap in a folder."""
    name = f"{service} {month_name(month)}"
    if newest := newest_file(urls, service, month):
        return NotPublished(
            f"The source's folder has no file of {name}, but of later months.",
            expected="the month's file, as gzipped CSV or as Parquet",
            found="nothing at " + " and ".join(urls) + f"; the newest file there is {newest}",
            next_step=f"add the file, choose another month, or {OTHER_SOURCE}",
        )
    today = date.today()
    late = (today.year - month.year) * 12 + today.month - month.month > LATE_MONTHS
    wait = "the TLC publishes a month about two months after its end: try again then, choose an earlier month, or "
    return NotPublished(
        f"{name} is not published yet.",
        expected="the month's file, as gzipped CSV or as Parquet",
        found="nothing at " + " and ".join(urls),
        next_step=f"{'choose another month, or ' if late else wait}{OTHER_SOURCE}",
    )


def source_from_settings(settings: Settings) -> TripSource:
    """The source of TAXI_SOURCE_URL; where that is unset, the sample source. Starts the sample source's server.

    Raises:
        TaxiError: No source is configured, but a real store: synthetic trips go to embedded stores only.
    """
    if settings.taxi_source_url is None:
        return _sample_source(settings)
    url = settings.taxi_source_url
    folder = settings.taxi_home / "raw" / (_NAMES.get(url) or folder_name(url))
    return TripSource(url, folder, retry_policy=RetryPolicy(attempts=settings.taxi_source_attempts))


def source_asked_for(environment: Environment, settings: Settings) -> TripSource:
    """The source of a run's environment, whatever TAXI_SOURCE_URL is here.

    Raises:
        TaxiError: It has credentials, and TAXI_SOURCE_URL names another source here; or what `source_named` raises.
    """
    asked = environment.source
    if asked.credentials:
        environment.require_source(Environment.of(settings))
        return source_from_settings(settings)
    rows = {"taxi_sample_rows": asked.synthetic_rows} if asked.synthetic_rows else {}
    return source_named(asked.address, settings.model_copy(update=rows))


def source_named(name: str, settings: Settings) -> TripSource:
    """The source that a run names instead of TAXI_SOURCE_URL: `tlc`, `mirror`, `sample` or an address.

    Raises:
        TaxiError: It is none of these; it carries credentials, which the records of runs would show; or it is `sample`
            and a real store is configured.
    """
    if name == SAMPLE:
        return _sample_source(settings)
    url = SOURCES.get(name, name).rstrip("/")
    if not readable(url) or not url.startswith(("http://", "https://", "file://")) or redacted(url) != url:
        raise UsageError(
            "A run cannot take its file from that source.",
            expected=f"{', '.join(SOURCES)}, sample, or an http, https or file address without credentials",
            found=_source_text(name),
            next_step="name the source in one of these ways; an address with credentials belongs in TAXI_SOURCE_URL",
        )
    return source_from_settings(settings.model_copy(update={"taxi_source_url": url}))


def _source_text(name: str) -> str:
    if not readable(name):
        return "an address whose host or port cannot be read"
    return redacted(name) if "://" in name else repr(name)


def is_sample(name: str | None, settings: Settings) -> bool:
    """Whether a run takes synthetic trips, by the source that it names, or by TAXI_SOURCE_URL; starts no server.

    Raises:
        TaxiError: It does, and a real store is configured.
    """
    sample = name == SAMPLE if name else settings.taxi_source_url is None
    if sample:
        _require_embedded_stores(settings)
    return sample


def _sample_source(settings: Settings) -> TripSource:
    _require_embedded_stores(settings)
    from taxi_assets.local.sample_source import sample_url

    rows = settings.taxi_sample_rows
    # The first request for a month of many rows waits until the server has generated it.
    retry_policy = RetryPolicy(attempts=settings.taxi_source_attempts, read_timeout=600)
    folder = settings.taxi_home / "raw" / f"sample-{rows}"
    return TripSource(sample_url(settings.taxi_home, rows), folder, synthetic=True, retry_policy=retry_policy)


def _require_embedded_stores(settings: Settings) -> None:
    real = [name for name in _REAL_STORES if getattr(settings, name) is not None]
    if real:
        raise UsageError(
            "No source of trips is configured, and synthetic trips are not loaded into a real store.",
            expected="TAXI_SOURCE_URL, because a real store is configured",
            found=", ".join(f"{name.upper()} (set in: {settings.origin(name)})" for name in real),
            intact="nothing was fetched or loaded",
            next_step="set TAXI_SOURCE_URL to `tlc` (the TLC's Parquet files), `mirror` (the CSV files of "
            "DataTalksClub) or an http, https or file address; or unset the settings above to use the embedded stores",
        )
