"""When a technique tightens: the target as a function of the optimizer's step."""

from dataclasses import dataclass

from nn.arguments import is_int, number


class Schedule:
    """Which part of the full amount holds after an optimizer step; `end` is the step from which it is all.

    Steps are counted for each weight since it was prepared, whatever optimizers take them: a training that
    goes on with a new one goes on in the schedule. A subclass is a frozen dataclass with `end` and
    `fraction`. The fraction never falls, and is exactly 1 from `end` on."""

    end: int

    def fraction(self, step: int) -> float:
        """The part of the full amount that holds after optimizer step `step`, 0 being before the first."""


def check_steps(who: str, **steps: int) -> None:
    """Raise TypeError, naming it, for a number of optimizer steps that is no int."""
    for name, count in steps.items():
        if not is_int(count):
            raise TypeError(f"{who}: {name} counts optimizer steps and must be an int; got {count!r}")


@dataclass(frozen=True)
class Once(Schedule):
    """The full amount from the first moment on; `end` is 0, for nothing is still to come."""

    end: int = 0

    def fraction(self, step: int) -> float:
        """Always 1."""
        return 1.0


@dataclass(frozen=True)
class Linear(Schedule):
    """The same part at each change: s_t = s_f · (t − t₀)/(t₁ − t₀).

    `begin` is t₀ and `end` t₁, in optimizer steps; from `end` on the target is met exactly, whatever `every`
    (the number of steps from one change to the next) is. Raises TypeError or ValueError for steps that are
    none or out of order."""

    end: int
    begin: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        who = type(self).__name__
        check_steps(who, **vars(self))
        if not 0 <= self.begin < self.end:
            raise ValueError(f"{who}: needs 0 <= begin < end; got begin={self.begin}, end={self.end}")
        if self.every < 1:
            raise ValueError(f"{who}: every must be at least 1; got {self.every}")

    def fraction(self, step: int) -> float:
        """The part of the final amount that holds after optimizer step `step`: 0 to begin, 1 from end on."""
        if not self.begin < step < self.end:
            return float(step >= self.end)
        done = (step - self.begin) // self.every * self.every
        return self.eased(done / (self.end - self.begin))

    def eased(self, part: float) -> float:
        """The part of the amount that holds when this part of the time, in [0, 1), has gone."""
        return part


@dataclass(frozen=True)
class Cubic(Linear):
    """Zhu & Gupta (2017), eq. 1, with initial sparsity 0: s_t = s_f · (1 − (1 − (t − t₀)/(t₁ − t₀))³).

    Fast while there is much to prune, slow towards the end. `begin` is t₀ and `end` t₁; `every`, and what
    is raised, as of Linear."""

    def eased(self, part: float) -> float:
        return 1.0 - (1.0 - part) ** 3


@dataclass(frozen=True)
class Iterative(Schedule):
    """Train, prune, retrain (Han et al. 2015): so many `rounds`, each a cut and `every` steps of training.

    The first cut is at step `begin`; before it there is nothing, and after the last there is as much
    retraining as the caller trains on. All cuts are equal; with a `ratio` r below 1 each is r times the one
    before: (1 − rⁱ)/(1 − rⁿ) after the i-th of n. With r = (1 − s)^(1/n) each cut takes the same part of what
    is left, as for lottery tickets (Frankle & Carbin 2019), 20 % of it a round with
    `Prune(1 - 0.8**n, Iterative(n, every, ratio=0.8))`. Raises TypeError or ValueError for counts that are
    none or too small, and a ratio outside (0, 1]."""

    rounds: int
    every: int
    begin: int = 0
    ratio: float = 1.0

    def __post_init__(self) -> None:
        check_steps("Iterative", rounds=self.rounds, every=self.every, begin=self.begin)
        if self.rounds < 1 or self.every < 1 or self.begin < 0:
            raise ValueError(f"Iterative: needs rounds >= 1, every >= 1 and begin >= 0; got {self.rounds}, "
                             f"{self.every} and {self.begin}")
        number("Iterative", "ratio", self.ratio, 0, 1, above=True, closed=True)

    @property
    def end(self) -> int:
        """The step of the last cut."""
        return self.begin + (self.rounds - 1) * self.every

    def fraction(self, step: int) -> float:
        """0 before `begin`, 1 from the last cut on."""
        if not self.begin <= step < self.end:
            return float(step >= self.end)
        cuts = (step - self.begin) // self.every + 1
        if self.ratio == 1:
            return cuts / self.rounds
        return (1.0 - self.ratio**cuts) / (1.0 - self.ratio**self.rounds)
