"""Two transactions at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tenacity import Retrying, stop_after_delay, wait_fixed

from taxi_assets.stores.postgres.connection import PostgresAddress, connect

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


def run_overlapping(
    address: PostgresAddress, first: Callable[[Connection], object], second: Callable[[Connection], object]
) -> None:
    """Runs `second` while the transaction of `first` is open; ends that one as soon as `second` waits for it."""
    waiting = "SELECT FROM pg_locks WHERE pid = %s AND NOT granted"
    with connect(address) as one, connect(address) as other, ThreadPoolExecutor(1) as pool:
        with one.transaction():
            first(one)
            done = pool.submit(second, other)
            for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.01), reraise=True):
                with attempt:
                    assert done.done() or one.execute(waiting, [other.info.backend_pid]).rowcount
        done.result(30)
