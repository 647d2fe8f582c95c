"""When a technique tightens: the target as a function of the optimizer's step."""

from dataclasses import dataclass

from nn.arguments import is_int


class Schedule:
    """Which part of the full amount holds after an optimizer step; `end` is the step from which it is all.

    A subclass is a frozen dataclass with `end` and `fraction`. The fraction never falls, and is exactly 1
    from `end` on."""

    end: int

    def fraction(self, step: int) -> float:
        """The part of the full amount that holds after optimizer step `step`, 0 being before the first."""


@dataclass(frozen=True)
class Once(Schedule):
    """The full amount from the first moment on; `end` is 0, for nothing is still to come."""

    end: int = 0

    def fraction(self, step: int) -> float:
        """Always 1."""
        return 1.0


@dataclass(frozen=True)
class Cubic(Schedule):
    """Zhu & Gupta (2017), eq. 1, with initial sparsity 0: s_t = s_f · (1 − (1 − (t − t₀)/(t₁ − t₀))³).

    Fast while there is much to prune, slow towards the end. `begin` is t₀ and `end` t₁, in optimizer steps;
    from `end` on the target is met exactly, whatever `every` (the number of steps from one change to the
    next) is. Raises TypeError or ValueError for steps that are none or out of order."""

    end: int
    begin: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        for name, steps in vars(self).items():
            if not is_int(steps):
                raise TypeError(f"Cubic: {name} counts optimizer steps and must be an int; got {steps!r}")
        if not 0 <= self.begin < self.end:
            raise ValueError(f"Cubic: needs 0 <= begin < end; got begin={self.begin}, end={self.end}")
        if self.every < 1:
            raise ValueError(f"Cubic: every must be at least 1; got {self.every}")

    def fraction(self, step: int) -> float:
        """The part of the final amount that holds after optimizer step `step`: 0 to begin, 1 from end on."""
        if not self.begin < step < self.end:
            return float(step >= self.end)
        done = (step - self.begin) // self.every * self.every
        return 1.0 - (1.0 - done / (self.end - self.begin)) ** 3
