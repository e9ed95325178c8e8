"""`taxi` with a planted bug: PostgreSQL's load commits before its check, and then takes a moment."""

from __future__ import annotations

import time
from typing import Any

from taxi_assets.cli.app import main
from taxi_assets.stores.postgres import load

_replace = load._replace


def _replace_and_commit(connection: Any, *args: Any) -> Any:
    replaced = _replace(connection, *args)
    connection.execute("COMMIT")
    time.sleep(1)
    connection.execute("BEGIN")
    return replaced


if __name__ == "__main__":
    load._replace = _replace_and_commit  # type: ignore[assignment]
    main()
