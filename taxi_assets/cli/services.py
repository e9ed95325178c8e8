"""`taxi up`, `taxi down`, `taxi status`: the local services."""

from __future__ import annotations

from taxi_assets.cli.broken_files import show_broken_files
from taxi_assets.cli.screen import messages, show_error, table
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


def show_status() -> None:
    """Prints whether and where each local service runs, and what is wrong with broken YAML files."""
    rows = table("service", "needed", "runs at")
    needed = services.needed(settings())
    for name, service in services.SERVICES.items():
        rows.add_row(name, "yes" if name in needed else "no", service.address(settings().taxi_home) or "not running")
    for link in running_links(settings().taxi_home):
        rows.add_row("UI", "by `taxi dev`", link)
    messages().print(rows)
    show_broken_files()
