"""The library's source of randomness: one NumPy Generator, seeded by nn.manual_seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from .arguments import instance, is_int
from .context import Brief, ambient, within

FAR = 0x9E3779B97F4A7C15F39CC0605CEDC835  # 2¹²⁸/φ: steps of this size through 2¹²⁸ states stay far apart
_lock = Brief()


def manual_seed(seed: int | None) -> np.random.Generator:
    """Start the library's random numbers afresh from `seed`, an int (None: unpredictable). Raises ValueError
    for anything else."""
    if seed is not None and not (is_int(seed) and seed >= 0):
        raise ValueError(f"manual_seed: seed is {seed!r}, wanted an int of at least 0")
    run = ambient.context.numbers or _LIBRARY
    run.generator, run.seeded = np.random.default_rng(seed), True
    return run.generator


def generator() -> np.random.Generator:
    """The Generator that dropout and the initialisers draw from; unpredictable until it is seeded. All
    threads share it: their order decides who gets which numbers. Inside nn.checkpoint each call has its
    own."""
    return (ambient.context.numbers or _LIBRARY).draw_from()


def chosen(who: str, name: str, given: np.random.Generator | None) -> np.random.Generator:
    """The Generator that is given, or the library's own in place of None. Raises TypeError, naming the
    function `who` and its argument `name`, for anything else."""
    return instance(who, name, generator() if given is None else given, np.random.Generator,
                    "a numpy.random.Generator")


def state() -> dict[str, Any]:
    """Where the library's Generator stands."""
    return generator().bit_generator.state


@cache
def _no_seed():
    """Seeds for a Generator whose state will be set; making real ones would take most of the time."""
    class Zeros(np.random.bit_generator.ISeedSequence):
        def generate_state(self, n_words, dtype=np.uint32):
            return np.zeros(n_words, dtype)
    return Zeros()


class Run:
    """The random numbers of one run of a function that must run again with the same numbers.

    They are the numbers that the shared Generator would give. Since other threads share it, the run copies
    its state at the first draw into a Generator of its own and moves the shared one FAR ahead, so that others
    draw other numbers meanwhile. If no other has drawn when the run is over, the shared Generator goes on
    after the run's numbers, as if they had come from it.

    outer: the run that this one is part of; None for the outermost, whose Generator is the shared one. start:
    the state before the first number; None while nothing has been drawn. replay: whether these are the
    numbers of an earlier run, again.
    """

    __slots__ = ("ahead", "generator", "origin", "outer", "replay", "seeded", "start")

    def __init__(self, outer: Run | None, start: dict[str, Any] | None = None, replay: bool = False) -> None:
        self.outer, self.start, self.replay = outer, start, replay
        self.generator = self.origin = self.ahead = None
        self.seeded = False  # by manual_seed, within the run

    def draw_from(self) -> np.random.Generator:
        """The run's own Generator."""
        if self.generator is None and self.outer is None:
            with _lock:
                self.generator = self.generator or np.random.default_rng()
        elif self.generator is None:
            if self.start is None:
                self.origin = self.outer.draw_from().bit_generator
                with self.origin.lock:  # every draw takes it
                    self.start = self.origin.state
                    self.origin.advance(FAR)
                    self.ahead = self.origin.state
            self.generator = np.random.Generator(np.random.PCG64(_no_seed()))
            self.generator.bit_generator.state = self.start
        return self.generator

    def over(self) -> None:
        """Let the Generator that the run began from go on where the run ended; after a replay, as if that had
        not been."""
        if self.seeded and not self.replay:
            self.outer.generator, self.outer.seeded = self.generator, True
        elif self.origin is not None:
            with self.origin.lock:
                if self.origin.state == self.ahead:
                    self.origin.state = self.start if self.replay else self.generator.bit_generator.state


_LIBRARY = Run(None)


@contextmanager
def running(again: Run | None = None, replay: bool = False) -> Iterator[Run]:
    """A block with the random numbers that come next, as the Run that this yields, or with those of the Run
    `again`. After a replay all goes on as if nothing had been drawn."""
    run = Run(ambient.context.numbers or _LIBRARY, again and again.start, replay)
    try:
        with within("numbers", run):
            yield run
    finally:
        run.over()
