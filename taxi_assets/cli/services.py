"""`taxi up`, `taxi down`, `taxi status`: the local services."""

from __future__ import annotations

from taxi_assets.cli.screen import messages, table
from taxi_assets.local import services
from taxi_assets.settings import settings
from taxi_assets.ui.server import running_links


def start_all() -> None:
    """Starts each local service that these settings call for."""
    for name, service in services.needed(settings()).items():
        messages().print(f"{name}: {service.start(settings())}", soft_wrap=True)


def stop_all() -> None:
    """Stops each local service that runs."""
    for name, service in services.SERVICES.items():
        messages().print(f"{name}: {'stopped' if service.stop(settings().taxi_home) else 'was not running'}")


def show_status() -> None:
    """Prints whether and where each local service runs."""
    rows = table("service", "needed", "runs at")
    needed = services.needed(settings())
    for name, service in services.SERVICES.items():
        rows.add_row(name, "yes" if name in needed else "no", service.address(settings().taxi_home) or "not running")
    for link in running_links(settings().taxi_home):
        rows.add_row("UI", "by `taxi dev`", link)
    messages().print(rows)
