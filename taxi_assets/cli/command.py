"""The console script `taxi`."""

from taxi_assets.cli.interrupts import end_interrupted, stop_taking_interrupts, take_interrupts


def main() -> None:
    """Runs the command. Ctrl-C and SIGTERM end it with a line and without a stack trace, also while it is imported."""
    try:
        take_interrupts()
        from taxi_assets.cli.app import main as run

        run()
    except KeyboardInterrupt:
        end_interrupted()
    finally:
        stop_taking_interrupts()
