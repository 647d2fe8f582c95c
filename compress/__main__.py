"""`python -m compress`, and the command `bonsai`."""

import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    from .cli import command

    return command(argv)


if __name__ == "__main__":
    sys.exit(main())
