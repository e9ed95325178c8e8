"""`taxi up`, `taxi down`, `taxi status`: the local services."""

from __future__ import annotations

from taxi_assets.cli.broken_files import show_broken_files
from taxi_assets.cli.results import Format, print_document, print_table, standard_output
from taxi_assets.cli.screen import messages, show_error
from taxi_assets.errors import TaxiError
from taxi_assets.local import services
from taxi_assets.settings import settings
from taxi_assets.ui.server import running_links


def start_all() -> None:
    """Starts each local service that these settings call for."""
    for name, service in services.needed(settings()).items():
        messages().print(f"{name}: {service.start(settings())}", soft_wrap=True)


def stop_all() -> int:
    """Stops each local service that runs; returns 1 if one cannot be stopped."""
    errors: list[TaxiError] = []
    for name, service in services.SERVICES.items():
        try:
            messages().print(f"{name}: {'stopped' if service.stop(settings().taxi_home) else 'was not running'}")
        except TaxiError as error:
            errors.append(error)
            messages().print(f"{name}: not stopped")
    for found in errors:
        show_error(found)
    return 1 if errors else 0


def show_status(form: Format) -> None:
    """Prints whether and where each local service runs, links to the UI, and what is wrong with broken YAML files."""
    needed, home = services.needed(settings()), settings().taxi_home
    found = [
        {"service": name, "needed": name in needed, "runs_at": service.address(home)}
        for name, service in services.SERVICES.items()
    ]
    links = [{"service": "UI", "needed": False, "runs_at": link} for link in running_links(home)]
    if form is not Format.TABLE:
        print_document({"services": found, "ui": [link["runs_at"] for link in links]}, [*found, *links], form)
        show_broken_files()
        return
    rows = [
        [str(row["service"]), "yes" if row["needed"] else "no", str(row["runs_at"] or "not running")] for row in found
    ]
    print_table(["service", "needed", "runs at"], rows, sparse=True)
    for link in links:
        # Not in the table, which breaks what is longer than a line.
        standard_output().print(f"UI of `taxi dev`: {link['runs_at']}", markup=False, soft_wrap=True)
    show_broken_files()
