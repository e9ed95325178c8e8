"""What must not stand in a store: synthetic trips over or beside real ones, some rows in the place of a full month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from taxi_assets.errors import TaxiError
from taxi_assets.stores.month import LoadEntry
from taxi_assets.trips.months import month_name

_OVERRIDE = "or load it all the same: taxi run … --force, or `replace_real` in the run's configuration of raw_taxi"


@dataclass(frozen=True)
class HeldMonth:
    """A month that stands in a table or in the lake.

    Attributes:
        month: The month of the file.
        synthetic: Whether its trips are synthetic.
        trial: Whether it is only some rows of its file.
    """

    month: date
    synthetic: bool
    trial: bool

    @classmethod
    def of(cls, entry: LoadEntry) -> HeldMonth:
        """The month of a load."""
        return cls(entry.source_month, is_synthetic(entry), bool(entry.configuration.get("limit")))


def is_synthetic(entry: LoadEntry) -> bool:
    """Whether a load has synthetic trips."""
    return bool(entry.configuration.get("made_up"))


def must_not_replace(entry: LoadEntry) -> bool:
    """Whether a load may be refused by what its store holds."""
    return is_synthetic(entry) or bool(entry.configuration.get("limit"))


def refuse_worse(entry: LoadEntry, held: Iterable[HeldMonth]) -> None:
    """Keeps what must not stand there out of a store.

    Args:
        entry: The load that is to come.
        held: The months that its table, or the pipeline's part of the lake, holds.

    Raises:
        TaxiError: Its trips are synthetic, and the store has real months; or they are some rows of a month that it has.
    """
    months = {other.month: other for other in held}
    name = f"{entry.pipeline} {month_name(entry.source_month)}"
    same = months.get(entry.source_month)
    if entry.configuration.get("limit") and same and not same.trial:
        raise TaxiError(
            f"{name} stands whole in {entry.place}, and a trial does not replace it.",
            expected="a place without that month, such as the schema `trial`",
            found=f"a trial of {entry.rows_read:,} rows",
            where=entry.place,
            intact="every store",
            next_step=f"unset POSTGRES_SCHEMA or set it to another schema, {_OVERRIDE}",
        )
    real = sorted(month_name(month) for month, other in months.items() if not other.synthetic)
    if is_synthetic(entry) and real:
        over = same is not None and not same.synthetic
        what = "stands there from a real file" if over else "would stand beside months of real files"
        raise TaxiError(
            f"{name} {what}, and these trips are synthetic.",
            expected="a real source in TAXI_SOURCE_URL, or a place without real months",
            found=f"real months: {', '.join(real[:6])}{f' and {len(real) - 6} more' if len(real) > 6 else ''}",
            where=entry.place,
            intact="every store",
            next_step=f"set TAXI_SOURCE_URL, or load synthetic trips elsewhere with POSTGRES_SCHEMA and "
            f"BIGQUERY_DATASET; {_OVERRIDE}",
        )


def synthetic_beside(entry: LoadEntry, held: Iterable[HeldMonth]) -> list[str]:
    """The synthetic months that stand beside a real one after its load: they are left, and named."""
    others = (other for other in held if other.month != entry.source_month)
    return [] if is_synthetic(entry) else sorted(month_name(other.month) for other in others if other.synthetic)
