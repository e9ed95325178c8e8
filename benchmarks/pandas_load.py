"""A month into PostgreSQL as the Mage course does it: pandas in chunks, each written with COPY from a buffer.

    python -m benchmarks.pandas_load URL CONNINFO

Reads the gzipped CSV from the address, drops trips without passengers, and writes the table `pandas_trips`. It keeps no
rejected rows, checks nothing, and leaves half a month behind if it dies.
"""

from __future__ import annotations

import io
import sys

import pandas as pd
import psycopg

CHUNK_ROWS = 100_000
DATES = ["tpep_pickup_datetime", "tpep_dropoff_datetime"]
INTEGERS = ("VendorID", "passenger_count", "RatecodeID", "PULocationID", "DOLocationID", "payment_type")
POSTGRES = {"Int64": "bigint", "float64": "double precision", "datetime64[ns]": "timestamp"}


def load(url: str, conninfo: str) -> None:
    types = {**dict.fromkeys(INTEGERS, "Int64"), "store_and_fwd_flag": "string"}
    chunks = pd.read_csv(url, dtype=types, parse_dates=DATES, compression="gzip", chunksize=CHUNK_ROWS)
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pandas_trips")
        for number, chunk in enumerate(chunks):
            if number == 0:
                columns = (f'"{name}" {POSTGRES.get(str(kind), "text")}' for name, kind in chunk.dtypes.items())
                cursor.execute(f"CREATE TABLE pandas_trips ({', '.join(columns)})")
            kept = chunk[chunk["passenger_count"] > 0]
            buffer = io.StringIO()
            kept.to_csv(buffer, index=False, header=False)
            with cursor.copy("COPY pandas_trips FROM STDIN (FORMAT csv)") as copy:
                copy.write(buffer.getvalue())


if __name__ == "__main__":
    load(*sys.argv[1:])
