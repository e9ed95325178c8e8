"""The command `taxi`, run as people run it: the installed script, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from taxi_assets.local.postgres import running
from taxi_assets.settings import Settings
from taxi_assets.stores.postgres.connection import READER, PostgresAddress, connect_as
from taxi_assets_tests.servers import require_marker

SCRIPT = Path(sys.executable).parent / "taxi"
LONGEST_SECONDS = 240
# An empty value wins over the files of a developer, and means the default.
UNSET = {name.upper(): "" for name, described in Settings.model_fields.items() if not described.exclude}


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Taxi:
    """`taxi` with a home and settings of its own, and nothing of the developer's.

    Attributes:
        home: Its `TAXI_HOME`.
        cwd: Where it is called from.
        settings: Its environment, besides what every program needs.
    """

    home: Path
    cwd: Path
    settings: dict[str, str] = field(default_factory=dict)

    def having(self, **settings: str) -> Taxi:
        """The same with other settings."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def script(self) -> Path:
        """The installed command."""
        return SCRIPT

    def environment(self) -> dict[str, str]:
        """What its process gets."""
        require_marker()
        known = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**known, **UNSET, "HOME": str(self.cwd), "TAXI_HOME": str(self.home), **self.settings}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts it; the caller ends it."""
        return subprocess.Popen(
            [str(SCRIPT), *words],
            cwd=self.cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str) -> Said:
        """Runs it to its end; whatever happens, it shows nobody a stack trace."""
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=LONGEST_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert "Traceback" not in err, err
        return Said(process.returncode, out, err)

    def well(self, *words: str) -> Said:
        """Runs it to its end, which is a good one."""
        said = self(*words)
        assert said.code == 0, said.err
        return said

    def sql(self, query: str) -> str:
        """What PostgreSQL answers: a single value, or CSV without its header."""
        return self.well("sql", "--csv", query).out.partition("\n")[2].strip().replace("\r\n", "\n")

    def stored(self, table: str) -> dict[str, int]:
        """Rows by month, of a table of its embedded server."""
        return dict(self.asks(f"SELECT to_char(source_month, 'YYYY-MM'), count(*) FROM {table} GROUP BY 1"))

    def loads(self) -> int:
        """How many loads the log has."""
        return int(self.asks("SELECT count(*) FROM taxi_assets.load_log")[0][0])

    def database(self) -> PostgresAddress:
        """Its embedded server, which runs."""
        server = running(self.home)
        assert server
        return PostgresAddress(str(server.folder), server.port, server.database, server.user)

    def asks(self, query: str) -> list[tuple[Any, ...]]:
        """What its embedded server answers: asked past the command, which takes longer."""
        with connect_as(READER, self.database()) as connection:
            return connection.execute(query.encode()).fetchall()
