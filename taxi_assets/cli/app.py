"""`taxi`: the command line. Each command imports its module when it runs, so that `taxi --help` is fast."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from taxi_assets.cli import completion
from taxi_assets.cli.interrupts import end_interrupted
from taxi_assets.errors import TaxiError, UsageError

EXAMPLES = {
    "run": (
        "taxi run yellow --months 2021-01",
        "taxi run green --months 2020-10:2020-12 --only postgres",
        "taxi run green --months 2020-10:2020-12 --dry-run",
        "taxi run green --months 2020-10:2020-12 --detach",
        "taxi run yellow --months outdated --json",
    ),
    "verify": ("taxi verify", "taxi verify yellow --months 2021-01:2021-03 --json"),
    "log": ("taxi log yellow --months 2021-01", "taxi log --json | jq '.[0].started_by'"),
    "dev": ("taxi dev", "taxi dev --port 3100"),
    "doctor": ("taxi doctor", "taxi doctor --json | jq .ok"),
    "sql": (
        'taxi sql "select count(*) from ny_taxi.yellow_cab_data"',
        'taxi sql --csv "table mage.green_taxi" > green.csv',
    ),
    "bq": (
        'taxi bq "select count(*) as trips from ny_taxi.yellow_cab_data"',
        'taxi bq --json "select * from mage.green_taxi" > green.json',
    ),
    "status": ("taxi status", "taxi status --json"),
}


def epilog(name: str) -> str:
    """The examples of a command, as its help shows them."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[name])


class Commands(TyperGroup):
    """The commands; one that is interrupted says so, where Typer ends it without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that the words name."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            end_interrupted()


app = typer.Typer(
    name="taxi",
    cls=Commands,
    help="New York's taxi trips: from the TLC's files to PostgreSQL, Cloud Storage and BigQuery.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Pipeline = Annotated[str, typer.Argument(help="yellow, green, … : a folder of taxi_assets/defs", show_default=False)]
Months = Annotated[
    str | None,
    typer.Option(
        "--months",
        help="a month, 2021-01, a range, 2020-10:2020-12, or `outdated`: those that older rules or columns loaded",
        autocompletion=completion.months,
        show_default=False,
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="print CSV, for machines")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document, for machines")]
Query = Annotated[str, typer.Argument(help="one SQL query", show_default=False)]

_WARNED = "_TAXI_WARNED"
"""The variable that tells child processes that their parent named the unknown settings."""
_QUIET = {"-h", "--help", "--version", "--show-completion", "--install-completion"}
"""What needs no home and no settings."""


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"taxi_assets {version('taxi-assets')}")
        raise typer.Exit


@app.callback()
def taxi(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """New York's taxi trips: from the TLC's files to PostgreSQL, Cloud Storage and BigQuery."""


@app.command(epilog=epilog("run"))
def run(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            help="yellow, green, … : a folder of taxi_assets/defs",
            show_default=False,
            autocompletion=completion.pipelines,
        ),
    ] = None,
    months: Months = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="load this store alone (may be repeated): postgres, lake, bigquery, which includes the lake",
            autocompletion=completion.stores,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="fetch and load months that are loaded already")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            help="take the files from: tlc, mirror, sample, or an address; else TAXI_SOURCE_URL",
            autocompletion=completion.sources,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="a trial: only the first rows, into the schema `trial`")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="let the daemon run the months, and return")] = False,
    follow: Annotated[
        str | None, typer.Option(metavar="RUN_OR_BACKFILL", help="show a run or a backfill until it ends")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be fetched, loaded and skipped, and change nothing")
    ] = False,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Fetch, clean and load months of a pipeline."""
    from taxi_assets.cli.options import RunOptions
    from taxi_assets.cli.results import chosen_format

    form = chosen_format(csv=csv, json=json)
    options = RunOptions(force, source, limit)
    if follow is not None:
        if pipeline or months or only or detach or dry_run or csv or json or options != RunOptions():
            raise typer.BadParameter("it takes no pipeline and no other option", param_hint="--follow")
        from taxi_assets.cli.follow import follow as show

        raise typer.Exit(show(follow))
    if pipeline is None or months is None:
        example = f"taxi run {pipeline or 'yellow'} --months {months or '2021-01'}"
        missing = "--months" if pipeline else "the pipeline" if months else "the pipeline and --months"
        raise typer.BadParameter(f"needed, as in `{example}`", param_hint=missing)
    if dry_run:
        from taxi_assets.cli.dry_run import print_plan

        print_plan(pipeline, months, tuple(only or ()), options, form)
        return
    from taxi_assets.cli.run import run_months

    raise typer.Exit(run_months(pipeline, months, tuple(only or ()), options, form, detach=detach))


@app.command(epilog=epilog("verify"))
def verify(
    pipeline: Annotated[
        str | None, typer.Argument(help="one pipeline; without it: all", autocompletion=completion.pipelines)
    ] = None,
    months: Annotated[
        str | None,
        typer.Option(help="a month or a range; without it: all that are loaded", autocompletion=completion.months),
    ] = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Compare the ledger with what stands in the stores.

    Rows and cents of the ledger, of each store's own record and of its contents, rejected rows included.
    """
    from taxi_assets.cli.results import chosen_format
    from taxi_assets.cli.verify import verify_loads

    raise typer.Exit(verify_loads(pipeline, months, chosen_format(csv=csv, json=json)))


@app.command(epilog=epilog("log"))
def log(
    pipeline: Annotated[
        str | None, typer.Argument(help="one pipeline; without it: all", autocompletion=completion.pipelines)
    ] = None,
    months: Annotated[
        str | None, typer.Option(help="a month or a range; without it: all", autocompletion=completion.months)
    ] = None,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """List the loads: when, by whom, the file, the code, the rows."""
    from taxi_assets.cli.log import show_log
    from taxi_assets.cli.results import chosen_format

    raise typer.Exit(show_log(pipeline, months, chosen_format(csv=csv, json=json)))


@app.command(epilog=epilog("dev"))
def dev(port: Annotated[int, typer.Option(min=1, max=65535, help="port of the UI on loopback")] = 3000) -> None:
    """Start the local services, then the Dagster UI with its daemon."""
    from taxi_assets.cli.dev import develop

    raise typer.Exit(develop(port))


@app.command()
def webhook() -> None:
    """Serve HTTP requests that start or report runs, with a token."""
    from taxi_assets.settings import settings
    from taxi_assets.webhook.server import serve

    serve(settings())


@app.command(epilog=epilog("doctor"))
def doctor(csv: Csv = False, json: Json = False) -> None:
    """Test each connection, and show where each setting came from."""
    from taxi_assets.cli.doctor import check_connections
    from taxi_assets.cli.results import chosen_format

    raise typer.Exit(check_connections(chosen_format(csv=csv, json=json)))


@app.command(epilog=epilog("sql"))
def sql(query: Query, csv: Csv = False, json: Json = False) -> None:
    """Query PostgreSQL as the role that can only read."""
    from taxi_assets.cli.query import query_postgres
    from taxi_assets.cli.results import chosen_format

    query_postgres(query, chosen_format(csv=csv, json=json))


@app.command(epilog=epilog("bq"))
def bq(query: Query, csv: Csv = False, json: Json = False) -> None:
    """Query BigQuery, up to BIGQUERY_MAX_BYTES_BILLED."""
    from taxi_assets.cli.query import query_bigquery
    from taxi_assets.cli.results import chosen_format

    query_bigquery(query, chosen_format(csv=csv, json=json))


@app.command()
def up() -> None:
    """Start the local services."""
    from taxi_assets.cli.services import start_all

    start_all()


@app.command()
def down() -> None:
    """Stop the local services; their data stays."""
    from taxi_assets.cli.services import stop_all

    raise typer.Exit(stop_all())


@app.command(epilog=epilog("status"))
def status(csv: Csv = False, json: Json = False) -> None:
    """Show which local services run."""
    from taxi_assets.cli.results import chosen_format
    from taxi_assets.cli.services import show_status

    show_status(chosen_format(csv=csv, json=json))


def main() -> None:
    """Runs the command; an error ends it without a stack trace: with exit code 2 if it was asked wrongly, else 1."""
    try:
        if "_TAXI_COMPLETE" in os.environ:
            completion.join_ranges(os.environ)
        elif not _QUIET.intersection(sys.argv[1:]):
            from taxi_assets.instance.home import set_dagster_home

            set_dagster_home()
            _warn_of_unknown_settings()
        _keep_command(sys.argv[1:2])
        app()
    except TaxiError as error:
        from taxi_assets.cli.screen import show_error

        show_error(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        if not (shown := _home_error(error)):
            raise
        from taxi_assets.cli.screen import show_error

        show_error(shown)
        sys.exit(1)
    finally:
        gc.freeze()


def _keep_command(asked: list[str]) -> None:
    """Leaves the asked command alone in the app, if it is one: Typer builds every command at each start."""
    kept = [command for command in app.registered_commands if command.callback and [command.callback.__name__] == asked]
    app.registered_commands = kept or app.registered_commands


def _warn_of_unknown_settings() -> None:
    """Prints a line for each name that looks like a setting and is none, once for a command and its children."""
    from taxi_assets.unknown_settings import unknown_settings

    if os.environ.get(_WARNED) or sys.argv[1:2] == ["doctor"]:
        return
    if unknown := unknown_settings():
        from taxi_assets.cli.screen import escaped, messages

        for setting in unknown:
            messages().print(f"[yellow]Warning:[/] {escaped(str(setting))}", soft_wrap=True)
        os.environ[_WARNED] = "1"


def _home_error(error: OSError) -> TaxiError | None:
    """The error of a file below `TAXI_HOME` that a library could not use; None: it is another one."""
    from taxi_assets.files import unwritable
    from taxi_assets.settings import settings

    home, path = settings().taxi_home, Path(str(error.filename))
    return unwritable(path, error) if path.is_absolute() and path.is_relative_to(home) else None


if __name__ == "__main__":
    main()
