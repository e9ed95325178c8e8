"""What a store itself says is loaded, compared with the ledger and with what stands in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from taxi_assets.stores.month import LoadEntry, VerifiedMonth

LEDGER_KEY = "ledger"
"""The key of an entry's configuration with the identity of the ledger that its load is written to."""
TOKEN_KEY = "token"  # noqa: S105
"""The key of an entry's configuration with the number that orders the loads of two writers."""

EARLIER = "an earlier load than the ledger's"
"""What a store holds where an old record was put back."""

_SAME = ("sha256", "code_version", "rows_read", "rows_kept", "rows_rejected", "cents", "cents_rejected")


@dataclass(frozen=True)
class StoreRecord:
    """A month in a store, by the store's own record.

    Attributes:
        entry: The load that the store names as the newest.
        lost: What the store lacks of it, in words; empty: it is all there, as far as a quick look shows.
    """

    entry: LoadEntry
    lost: str = ""

    def is_load(self, other: LoadEntry | None) -> bool:
        """Whether that entry of the ledger is the load that the store names."""
        return other is not None and same_load(self.entry, other)


def same_load(one: LoadEntry, other: LoadEntry) -> bool:
    """Whether two entries are of one load: the same rows of the same file, with one token or by the same run."""
    runs = {one.run_id, other.run_id}
    tokens = {entry.configuration.get(TOKEN_KEY) for entry in (one, other)}
    together = len(tokens) == 1 and None not in tokens
    same_run = len(runs) == 1 or None in runs
    return (together or same_run) and all(getattr(one, name) == getattr(other, name) for name in _SAME)


def ledger_of(configuration: Mapping[str, Any]) -> str | None:
    """The identity of the ledger that a load is written to; None: the entry was made before ledgers had one."""
    value = configuration.get(LEDGER_KEY)
    return str(value) if value else None


def order(entry: LoadEntry) -> tuple[int, str]:
    """The order of the loads of a place in a store: by the writer's token, then by time."""
    token = entry.configuration.get(TOKEN_KEY)
    return (int(token) if token else 0, entry.loaded_at.isoformat() if entry.loaded_at else "")


def is_newer(record: LoadEntry, ledger: LoadEntry | None) -> bool:
    """Whether the load that a store names came after the newest one of the ledger.

    An old record that was put back has a new token, and keeps its time.
    """
    if ledger is None:
        return True
    put_back = record.loaded_at and ledger.loaded_at and record.loaded_at < ledger.loaded_at
    return order(record) > order(ledger) and not put_back


class Verdict(Enum):
    """What the comparison of a month says."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNWRITTEN = "is missing in the ledger alone"
    """The store has the load and the ledger lacks it: its run was killed between the two."""
    OTHER_HOME = "was loaded by another home"


@dataclass(frozen=True)
class Difference:
    """A number that is not the same everywhere; None: there is none."""

    what: str
    ledger: int | None
    record: int | None
    found: int | None


@dataclass(frozen=True)
class Comparison:
    """A month in a store: the ledger, the store's own record, and what stands there.

    Attributes:
        verified: The month, counted.
        ledger: The newest load of the month in the ledger; None: it has none.
        verdict: What the comparison says.
        differences: What differs.
    """

    verified: VerifiedMonth
    ledger: LoadEntry | None
    verdict: Verdict
    differences: tuple[Difference, ...] = ()


def compare(verified: VerifiedMonth, ledger: LoadEntry | None, identity: str | None) -> Comparison:
    """Compares a counted month with the ledger.

    Args:
        verified: The month, with the store's own record.
        ledger: The newest load of the month into this place in the ledger.
        identity: The ledger's identity.
    """
    origin = _origin(verified.entry, ledger, identity)
    if origin is Verdict.OTHER_HOME:
        return Comparison(verified, ledger, origin)
    trusted = verified.entry if origin is Verdict.UNWRITTEN else ledger
    differences = tuple(item for item in _numbers(verified, trusted) if not item.ledger == item.record == item.found)
    if origin is Verdict.DIFFERS and verified.entry is not None:
        differences = (Difference(EARLIER, None, None, None), *differences)
    if verified.gone and not differences:
        differences = (Difference("by name", None, None, None),)
    verdict = Verdict.DIFFERS if differences else origin
    return Comparison(verified, ledger, verdict, differences)


def _origin(record: LoadEntry | None, ledger: LoadEntry | None, identity: str | None) -> Verdict:
    """Whether the ledger and the store's record name the same load, and if not, why."""
    if record is None:
        return Verdict.DIFFERS
    if ledger is not None and same_load(record, ledger):
        return Verdict.AGREES
    writer = ledger_of(record.configuration)
    if writer != identity and (writer is not None or ledger is None):
        return Verdict.OTHER_HOME
    return Verdict.UNWRITTEN if is_newer(record, ledger) else Verdict.DIFFERS


def _numbers(verified: VerifiedMonth, ledger: LoadEntry | None) -> list[Difference]:
    in_ledger = (ledger.rows_kept, ledger.cents) if ledger else None
    rows = _pair("kept", in_ledger, verified.logged, verified.counted)
    if verified.rejected_logged is None and verified.rejected_counted is None:
        return rows
    rejected = (ledger.rows_rejected, ledger.cents_rejected) if ledger else None
    return rows + _pair("rejected", rejected, verified.rejected_logged, verified.rejected_counted)


def _pair(
    name: str, ledger: tuple[int, int] | None, record: tuple[int, int] | None, found: tuple[int, int] | None
) -> list[Difference]:
    pairs = (pair or (None, None) for pair in (ledger, record, found))
    return [
        Difference(f"{name} {unit}", *numbers)
        for unit, numbers in zip(("rows", "cents"), zip(*pairs, strict=True), strict=True)
    ]
