"""Synthetic trips, a chunk of rows at a time: the same rows for the same service, month and size, on any machine.

Shares and spreads follow the TLC's files of 2020 and 2021: the last rows of a month lack vendor, passengers, rate,
flag, payment (and trip type); some passenger counts and distances are zero, some fares negative, some pickups lie years
away. Amounts are computed in whole cents. A service without a profile gets values of its columns' types.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.trips.columns import ZONES, Column, ColumnType, Service
from taxi_assets.trips.months import month_name, next_month

CHUNK_ROWS = 65_536
STRAY_EVERY = 10_000
"""Of so many trips, one has a pickup in another year."""
MISSING_SHARE = 0.02
"""The share of missing values in each column of a service without a profile, but not in the pickup."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_YEAR = 365 * 86_400
_HOURS = np.array([24, 17, 12, 8, 8, 9, 19, 33, 43, 48, 52, 56, 62, 64, 68, 70, 68, 65, 65, 56, 47, 41, 36, 29])


@dataclass(frozen=True)
class Profile:
    """What differs from service to service.

    Attributes:
        blank: Share of the rows, at the file's end, that lack vendor, passengers, rate, flag, payment and trip type.
        passengers: Weights of 0, 1, … passengers.
        no_distance: Share of the trips with distance 0.
        negative: Share of the trips with negative amounts.
        surcharged: Share of the trips with a congestion surcharge.
        surcharge: That surcharge, in cents.
        surcharge_blank: Whether the rows at the end lack the congestion surcharge too.
    """

    blank: float
    passengers: tuple[float, ...]
    no_distance: float
    negative: float
    surcharged: float
    surcharge: int
    surcharge_blank: bool


PROFILES = {
    "yellow": Profile(0.07, (0.022, 0.735, 0.145, 0.036, 0.016, 0.025, 0.021), 0.015, 0.005, 0.85, 250, False),
    "green": Profile(0.30, (0.003, 0.860, 0.073, 0.014, 0.005, 0.026, 0.019), 0.038, 0.003, 0.16, 275, True),
}


def chunks(service: Service, month: date, rows: int) -> Iterator[pa.RecordBatch]:
    """The month's rows in chunks of a fixed size. Columns have the TLC's names, and are more than a file needs.

    Whole numbers are int64, amounts and distances float64, times timestamp[s] without a zone.
    """
    profile = PROFILES.get(service.name)
    named_rows = rows - int(rows * profile.blank) if profile else rows
    for start in range(0, rows, CHUNK_ROWS):
        size = min(CHUNK_ROWS, rows - start)
        # One seed a chunk: numbers drawn for one never shift those of the next.
        seed = hashlib.sha256(f"{service.name} {month_name(month)} {rows} {start}".encode()).digest()
        random = np.random.Generator(np.random.PCG64(int.from_bytes(seed[:16], "big")))
        index = np.arange(start, start + size)
        if profile:
            yield _chunk(service, month, profile, random, index, named_rows, rows)
        else:
            yield _declared_chunk(service, month, random, index / rows)


def _chunk(
    service: Service,
    month: date,
    profile: Profile,
    random: np.random.Generator,
    index: Ints,
    named_rows: int,
    rows: int,
) -> pa.RecordBatch:
    size = len(index)
    blank = index >= named_rows
    # Either part of the file, with and without a vendor, runs through the month once.
    place = np.where(blank, (index - named_rows) / max(rows - named_rows, 1), index / max(named_rows, 1))
    distance: Floats = np.minimum(random.lognormal(0.65, 0.85, size), 60.0).round(2)
    minutes: Floats = np.maximum(1.0, distance * random.normal(4.5, 1.0, size) + 2.0)
    pickup = _pickups(month, random, place)
    pickup[index % STRAY_EVERY == 7] -= 12 * _YEAR
    pickup[index % (4 * STRAY_EVERY) == 7] += 32 * _YEAR
    distance[random.random(size) < profile.no_distance] = 0.0
    columns: dict[str, pa.Array] = {
        service.pickup: _times(pickup),
        service.dropoff: _times(pickup + (minutes * 60).astype(np.int64)),
        "trip_distance": pa.array(distance),
        "PULocationID": pa.array(_zones(random, size)),
        "DOLocationID": pa.array(_zones(random, size)),
        **_entered(profile, random, size, blank),
    }
    columns |= _amounts(profile, month, random, distance, minutes, columns["payment_type"])
    columns["ehail_fee"] = pa.nulls(size, pa.float64())
    if profile.surcharge_blank:
        columns["congestion_surcharge"] = pc.if_else(pa.array(blank), None, columns["congestion_surcharge"])
    return pa.RecordBatch.from_pydict(columns)


def _declared_chunk(service: Service, month: date, random: np.random.Generator, place: Floats) -> pa.RecordBatch:
    """Trips of a service without a profile: values of each column's type, now and then a missing one."""
    size = len(place)
    pickup = _pickups(month, random, place)
    dropoff = pickup + random.integers(120, 3600, size)
    columns = {}
    for column in service.columns:
        if column.sources:
            times = {service.pickup: pickup, service.dropoff: dropoff}.get(column.name, pickup)
            missing = random.random(size) < (0 if column.name == service.pickup else MISSING_SHARE)
            columns[column.sources[0]] = pc.if_else(pa.array(missing), None, _values(column, random, times))
    return pa.RecordBatch.from_pydict(columns)


def _values(column: Column, random: np.random.Generator, times: Ints) -> pa.Array:
    size = len(times)
    if column.type is ColumnType.DATETIME:
        return _times(times)
    if column.type is ColumnType.DATE:
        return pa.array(times.astype("datetime64[s]").astype("datetime64[D]"))
    if column.type is ColumnType.DOUBLE:
        return pa.array(np.round(random.lognormal(2.5, 0.8, size), 2))
    if column.type is ColumnType.TEXT:
        return pa.array([f"B{number:05d}" for number in random.integers(1, 900, size)])
    if column.name in ZONES:
        return pa.array(_zones(random, size))
    return pa.array(random.choice(list(column.values) or range(1, 10), size))


def _pickups(month: date, random: np.random.Generator, place: Floats) -> Ints:
    """Seconds since 1970, roughly in the order of the file, by the hours of the day at which people ride."""
    days = (next_month(month) - month).days
    bounds = np.concatenate([[0.0], np.cumsum(np.tile(_HOURS, days))])
    seconds = np.interp(place * bounds[-1], bounds, np.arange(len(bounds)) * 3600.0)
    seconds = np.clip(seconds + random.normal(0, 600, len(place)), 0, days * 86_400 - 1)
    first = int((datetime(month.year, month.month, 1) - datetime(1970, 1, 1)).total_seconds())
    drawn: Ints = first + seconds.astype(np.int64)
    return drawn


def _times(seconds: Ints) -> pa.Array:
    return pa.array(seconds.astype("datetime64[s]"))


def _zones(random: np.random.Generator, size: int) -> Ints:
    """Zones 1 to 265; a few get most of the trips."""
    zones: Ints = 1 + (265 * random.random(size) ** 1.5).astype(np.int64)
    return zones


def _picked(random: np.random.Generator, size: int, weights: tuple[float, ...]) -> Ints:
    """Numbers from 0 on, each with its weight."""
    bounds = np.cumsum(weights) / sum(weights)
    return np.searchsorted(bounds, random.random(size), side="right").astype(np.int64)


def _entered(profile: Profile, random: np.random.Generator, size: int, blank: Bools) -> dict[str, pa.Array]:
    """What a vendor's device enters: missing as a block where the trip came without one."""
    rates = np.array([1, 2, 5, 3, 4])
    drawn: dict[str, Ints] = {
        "VendorID": 1 + _picked(random, size, (0.32, 0.68)),
        "passenger_count": _picked(random, size, profile.passengers),
        "RatecodeID": rates[_picked(random, size, (0.967, 0.02, 0.01, 0.002, 0.001))],
        "payment_type": 1 + _picked(random, size, (0.70, 0.285, 0.009, 0.006)),
        "trip_type": 1 + _picked(random, size, (0.973, 0.027)),
    }
    columns = {name: pa.array(values, mask=blank) for name, values in drawn.items()}
    flags = pa.DictionaryArray.from_arrays(
        pa.array((random.random(size) < 0.01).astype(np.int8), mask=blank), pa.array(["N", "Y"])
    )
    return {**columns, "store_and_fwd_flag": flags.cast(pa.string())}


def _amounts(
    profile: Profile, month: date, random: np.random.Generator, distance: Floats, minutes: Floats, payment: pa.Array
) -> dict[str, pa.Array]:
    """Dollars, each a whole number of cents; the total is the sum of the others."""
    size = len(distance)
    card = payment.fill_null(1).to_numpy() == 1
    cents: Mapping[str, Ints] = {
        "fare_amount": 50 * np.round((250 + 180 * distance + 30 * minutes) / 50).astype(np.int64),
        "extra": 50 * _picked(random, size, (0.5, 0.2, 0.12, 0, 0, 0.13, 0.05)),
        "mta_tax": np.full(size, 50),
        "tolls_amount": np.where(random.random(size) < 0.05, 612, 0),
        "improvement_surcharge": np.full(size, 30),
        "congestion_surcharge": np.where(random.random(size) < profile.surcharged, profile.surcharge, 0),
        "cbd_congestion_fee": np.where(random.random(size) < 0.6, 75, 0) * (month >= date(2025, 1, 1)),
        "airport_fee": np.where(random.random(size) < 0.04, 125, 0),
    }
    tip = np.where(card, (cents["fare_amount"] * random.choice([0.0, 0.15, 0.2, 0.25], size)).astype(np.int64), 0)
    sign = np.where(random.random(size) < profile.negative, -1, 1)
    signed = {name: amount * sign for name, amount in {**cents, "tip_amount": tip}.items()}
    # The airport fee stands in Parquet only, so a total that leaves it out is the same in both layouts.
    total = sum(amount for name, amount in signed.items() if name != "airport_fee")
    return {name: pa.array(amount / 100) for name, amount in {**signed, "total_amount": total}.items()}
