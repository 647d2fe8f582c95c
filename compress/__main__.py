"""`python -m compress`, and the command `espalier`."""

import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command as a process does; returns its exit code."""
    from .interrupt import answer

    answer()  # before anything that takes time is imported
    from .cli import command
    from .cli.terminal import accept_every_letter

    accept_every_letter()
    try:
        import nn.kernels  # noqa: F401
    except (ValueError, RuntimeError) as error:  # NN_ISA, NN_BACKEND or NN_THREADS asks for what is not there
        print(f"espalier: {error}", file=sys.stderr)
        sys.exit(2)
    return command(argv)


if __name__ == "__main__":
    sys.exit(main())
