"""Real trip records: the excerpts in this folder, and the full months where they lie beside the checkout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FULL_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Counts:
    """Rows of a file, as pandas counts them.

    Attributes:
        rows: All rows.
        kept: Rows that the pipeline's rules keep.
        rejected: The other rows, by the reason of the first rule that fits.
        strays: Rows whose pickup lies outside the file's month.
    """

    rows: int
    kept: int
    rejected: dict[str, int]
    strays: int


@dataclass(frozen=True)
class RealMonths:
    """A folder of real months, which a source can serve, and the counts of its files."""

    name: str
    folder: Path

    def path(self, service: str, month: str) -> Path:
        """The CSV file of a month such as "2020-04"."""
        return self.folder / service / f"{service}_tripdata_{month}.csv.gz"

    def counts(self, service: str, month: str) -> Counts:
        """The counts of that file."""
        return Counts(**self._counts[f"{service} {month}"])
