"""The console script `taxi`."""

from taxi_assets.cli.interrupts import INTERRUPTED, end_interrupted, leave, stop_taking_interrupts, take_interrupts


def script() -> None:
    """Runs the command as the process; one that is interrupted does not wait for its threads: see `leave`."""
    try:
        main()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            leave(INTERRUPTED)
        raise


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
