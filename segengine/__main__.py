"""`segengine` and `python -m segengine`, so that `torchrun -m segengine run ...` works."""

import os

try:
    from segengine.cli.interrupts import end_without_threads, handle_from_the_start

    handle_from_the_start()
    from segengine.cli.main import main
except KeyboardInterrupt:  # before the handler was there
    os.write(2, b"error: interrupted\n")
    os._exit(130)


def start() -> None:
    """Run the command line as this process."""
    try:
        main()
    except SystemExit as end:
        end_without_threads(end.code)
        raise


if __name__ == "__main__":
    start()
