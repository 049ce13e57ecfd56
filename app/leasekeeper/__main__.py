"""Entry point. The health check is answered before anything heavy is imported."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return the exit code."""
    if sys.argv[1:2] == ["health"]:
        from leasekeeper.web.healthcheck import main as health

        return health(sys.argv[2:])
    import gc

    # What imports make lives as long as the process. Looking through it again and again costs a
    # sixth of the start (60 ms); the agent goes on with collecting when it has been set up.
    gc.disable()
    from leasekeeper.cli import main as command_line

    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
