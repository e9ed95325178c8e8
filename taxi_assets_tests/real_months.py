"""Real trip records: the excerpts in `data/`, and the full months where they lie beside the checkout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data"
FULL_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
COUNTS = json.loads((DATA / "counts.json").read_text())


@dataclass(frozen=True)
class Counts:
    """Rows of a file, as pandas counts them.

    Attributes:
        rows: All rows.
        kept: Rows that the pipeline's rules keep.
        rejected: The other rows, by the reason of the first rule that fits.
        strays: Rows whose pickup lies outside the file's month.
        negative: Rows with a negative total.
    """

    rows: int
    kept: int
    rejected: dict[str, int]
    strays: int
    negative: int


@dataclass(frozen=True)
class RealMonths:
    """A folder of real months in the layout of the public source.

    Attributes:
        name: Its name in `counts.json`.
        folder: The folder.
    """

    name: str
    folder: Path

    @property
    def url(self) -> str:
        """The folder as a source."""
        return self.folder.as_uri()

    def path(self, service: str, month: str) -> Path:
        """The CSV file of a month such as "2020-04"."""
        return self.folder / service / f"{service}_tripdata_{month}.csv.gz"

    def counts(self, service: str, month: str) -> Counts:
        """The counts of that file."""
        return Counts(**COUNTS[self.name][self.path(service, month).relative_to(self.folder).as_posix()])

    def kept(self, service: str, months: list[str]) -> dict[str, int]:
        """The rows that the rules keep, by month."""
        return {month: self.counts(service, month).kept for month in months}


EXCERPTS = RealMonths("excerpts", DATA)
FULL_MONTHS = RealMonths("full_months", FULL_FOLDER)
