"""The console script `taxi`."""

import sys


def main() -> None:
    """Runs the command; an interrupt while it is imported ends it without a stack trace, too."""
    try:
        from taxi_assets.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
