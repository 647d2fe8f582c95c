"""The process that times a ladder, in no time: its numbers mean nothing."""

from unittest import mock

from compress.cli.bench import timing
from compress.cli.ladder import child


def main(name: str, libraries: str) -> None:
    with mock.patch.object(child, "SECONDS", 0), mock.patch.object(timing, "ROUNDS", 2), \
            mock.patch.object(child, "peers_of", return_value={}), mock.patch.object(timing, "TURN", 0):
        child.main(name, libraries)
