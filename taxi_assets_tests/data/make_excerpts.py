"""Makes the excerpts in this folder from a folder of full months, and counts the rows of both with pandas alone.

    python taxi_assets_tests/data/make_excerpts.py ../shared/data

The same full months give the same CSV files, byte for byte. Nothing here uses `taxi_assets`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
EVERY = {"green": 25, "yellow": 20, "yellow_tripdata_2021-01.csv.gz": 8}
"""Every how many rows one is taken, by service or file."""
ODD = 5
"""How many rows of each oddity are taken besides."""


def service_of(path: Path) -> str:
    return path.name.partition("_")[0]


def stray(rows: pd.DataFrame, path: Path) -> pd.Series:
    """Whether the pickup lies outside the file's month."""
    pickup = rows[{"green": "lpep_pickup_datetime", "yellow": "tpep_pickup_datetime"}[service_of(path)]]
    return pd.to_datetime(pickup).dt.strftime("%Y-%m") != path.name.split(".")[0][-7:]


def oddities(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """What makes rows hard, apart from strays."""
    return {
        "passenger_count missing": rows.passenger_count.isna(),
        "passenger_count = 0": rows.passenger_count == 0,
        "trip_distance = 0": rows.trip_distance == 0,
        "trip_distance < 0": rows.trip_distance < 0,
        "total_amount < 0": rows.total_amount < 0,
    }


def chosen(rows: pd.DataFrame, path: Path) -> pd.Series:
    """Whether a row is in the excerpt: every n-th, all strays, the first rows of each oddity."""
    taken = pd.Series(False, index=rows.index)
    taken[:: EVERY.get(path.name, EVERY[service_of(path)])] = True
    for odd in oddities(rows).values():
        taken[odd[odd].index[:ODD]] = True
    return taken | stray(rows, path)


def read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"store_and_fwd_flag": str})


def excerpt_csv(path: Path, target: Path) -> None:
    """Copies the header and the chosen lines as they are."""
    header, *lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    taken = chosen(read_csv(path), path)
    if len(taken) != len(lines):
        raise SystemExit(f"{path}: a row is not a line")
    body = b"".join([header, *(line for line, is_taken in zip(lines, taken, strict=True) if is_taken)])
    target.write_bytes(gzip.compress(body, mtime=0))


def excerpt_parquet(path: Path, target: Path) -> None:
    """Writes the chosen rows with the schema and the compression of the published file."""
    published = pq.ParquetFile(path)
    table = published.read()
    # Without the metadata of pandas, which tells how many rows the published file has.
    taken = table.filter(pa.array(chosen(table.to_pandas(), path))).replace_schema_metadata(None)
    written = published.metadata
    pq.write_table(
        taken,
        target,
        compression=written.row_group(0).column(0).compression,
        version=written.format_version,
        store_schema=b"ARROW:schema" in written.metadata,
    )


def counted(path: Path) -> dict[str, object]:
    """The rows of a file, the rejected ones by the reason of the first rule that fits, and the strays."""
    rows = read_csv(path) if path.suffix == ".gz" else pd.read_parquet(path)
    odd = oddities(rows)
    reasons = {name: odd[name] for name in ("passenger_count missing", "passenger_count = 0")}
    if service_of(path) == "green":
        reasons["trip_distance <= 0"] = odd["trip_distance = 0"] | odd["trip_distance < 0"]
    kept, rejected = pd.Series(True, index=rows.index), {}
    for reason, fits in reasons.items():
        rejected[reason] = int((kept & fits).sum())
        kept &= ~fits
    return {
        "rows": len(rows),
        "kept": int(kept.sum()),
        "rejected": {reason: count for reason, count in rejected.items() if count},
        "strays": int(stray(rows, path).sum()),
        "negative": int(odd["total_amount < 0"].sum()),
    }


def main(full: Path) -> None:
    excerpts, full_months = {}, {}
    paths = [*full.glob("*/*_tripdata_*.csv.gz"), *full.glob("*/trip-data/*.parquet")]
    for path in sorted(paths):
        name = path.relative_to(full)
        target = HERE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (excerpt_csv if path.suffix == ".gz" else excerpt_parquet)(path, target)
        excerpts[name.as_posix()], full_months[name.as_posix()] = counted(target), counted(path)
    (HERE / "misc").mkdir(exist_ok=True)
    shutil.copyfile(full / "misc" / "taxi_zone_lookup.csv", HERE / "misc" / "taxi_zone_lookup.csv")
    counts = {"excerpts": excerpts, "full_months": full_months}
    (HERE / "counts.json").write_text(json.dumps(counts, indent=1) + "\n")
    files = [HERE / name for name in [*excerpts, "misc/taxi_zone_lookup.csv"]]
    sums = (f"{hashlib.sha256(file.read_bytes()).hexdigest()}  ./{file.relative_to(HERE).as_posix()}" for file in files)
    (HERE / "SHA256SUMS").write_text("\n".join(sums) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
