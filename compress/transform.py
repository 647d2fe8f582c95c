"""What every compression technique is: a Transform of one weight, with three faces.

    it trains       project(w)   the differentiable view of the weight that the layer uses while it trains
    it is stored    encode(w)    a Stored: fewer bytes, itemised, and decode() to get the weight back
    it multiplies   Stored.operand(): what its kernel reads, never the dense weight

A Transform is configuration and never changes. What it finds out about one weight (a mask, a scale) is that
weight's State, so that one Transform can serve many weights."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np

from nn.tensor import Tensor

from .formats.format import Format
from .formats.straight_through import USUAL_GRADIENT
from .ranges.minmax import MinMax
from .ranges.observer import Observer
from .schedule import Once, Schedule
from .second_order import Hessian
from .stored import Stored, complete


class Invariant(Enum):
    """A property of a weight that one stage of a Chain makes and a later stage may destroy."""

    SUPPORT = "which weights are zero"
    LEVELS = "the few values that weights share"
    GRID = "multiples of a scale"
    RANK = "the rank"
    NM = "N of every M are non-zero"


@dataclass(frozen=True)
class Context:
    """What a transform may know of a weight beside its values: its state-dict name, the op that reads it, the
    optimizer step at which earlier schedules end (`settled`), whether a stage before prunes (`pruned`).

    hessian: gives that of the layer's inputs on prepare's example (second_order.py), which takes a run of the
    network. gradients: gives those of each example's loss in the weight, (some, *its shape) at a time;
    curvature(samples, seed): the mean of their squares that the Gauss–Newton matrix has on its diagonal
    (layer_gradients.py). All three are None where there was no example."""

    name: str = "weight"
    op: str = "linear"
    settled: int = 0
    pruned: bool = False
    hessian: Callable[[], Hessian] | None = None
    gradients: Callable[[], Iterator[np.ndarray]] | None = None
    curvature: Callable[[int | None, int], np.ndarray] | None = None


class Transform:
    """Base class of a technique: every hook and its default.

    A subclass writes `fit`, `project`, `rescaled` and `encode`, and of the rest what differs from the
    default. `w` is float32, shape (out, in) or (O, I, kH, kW); channels are the first axis. A State is of
    dataclasses, tuples, lists and dicts, and in them arrays, Tensors, numbers and None: it is saved with the
    model. Raises TypeError when a subclass lacks one of the four."""

    keeps: ClassVar[frozenset[Invariant]] = frozenset()  # of earlier stages
    makes: ClassVar[frozenset[Invariant]] = frozenset()  # for later stages to keep
    dimensions: ClassVar[frozenset[int]] = frozenset({2, 4})  # of the weights that it takes
    regrows: ClassVar[bool] = False  # whether weights that it pruned may live again, from 0
    distinct: int = 0  # different values that a weight must have at least
    activations: Format | None = None  # of the numbers that its layer reads; None: reals
    gradient: str = USUAL_GRADIENT  # of GRADIENTS: through its rounding, and that of its activations
    observer: type[Observer] = MinMax  # what finds the range of these numbers
    rounding: str = "float"  # how sums of their products are requantised (nn.kernels.qgemm)
    schedule: Schedule = Once()  # when it tightens
    beside: ClassVar[bool] = False  # whether the weight is trained beside the `trainables`
    lossless: ClassVar[bool] = False  # whether it leaves the weight as it is, and only codes how it is stored

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:  # no base of others
            complete(cls, Transform, ("fit", "project", "rescaled", "encode"))

    @classmethod
    def samples(cls) -> Sequence[Any]:
        """Instances, or lists of stages, on which the laws of compress.testing are to hold."""
        return ()

    # What it does to a weight

    def refuses(self, shape: tuple[int, ...]) -> str | None:
        """Why `fit` raises ValueError for a weight of this shape, whatever is in it; None if it does not."""
        return None

    def fit(self, w: np.ndarray, context: Context) -> Any:
        """A State for this weight."""

    def adjusted(self, w: np.ndarray, state: Any, context: Context) -> np.ndarray:
        """The weight as it is to be from now on, when the technique has been fitted to it: `w` itself, by
        default. Only the first stage of a Chain may say otherwise."""
        return w

    def project(self, w: Tensor, state: Any) -> Tensor:
        """The weight as it will be after encode and decode, differentiable in `w`."""

    def update(self, state: Any, w: Tensor, step: int) -> np.ndarray | None:
        """After optimizer step `step` (from 1): move schedules on and fit `state` to the weight, in place.

        Returns where the optimizer's averages of the weight begin anew, booleans of its shape, or None."""

    def last_step(self, state: Any) -> int:
        """The last optimizer step that its State remembers; 0 where it counts none."""
        return 0

    def rescaled(self, state: Any, factor: np.ndarray) -> Any:
        """The State for `w` with its output channels multiplied by `factor` (O,): batch norm is folded so."""

    def encode(self, w: np.ndarray, state: Any) -> Stored:
        """The weight in its stored form: decode() of it equals project(w) bit for bit.

        One with `activations` takes `least` too, (O,) or None: the smallest scale that a channel may have."""

    def code(self, stored: Stored) -> Stored:
        """What a `lossless` stage makes of the stored form of the stages before it."""
        return stored

    def bound(self, w: np.ndarray, state: Any) -> float | None:
        """An upper bound of norm(w − project(w)) from theory, if known; `state` was fitted to w, not scaled.
        """
        return None

    def norm(self, change: np.ndarray, state: Any) -> float:
        """The size of a change of the weight, as `bound` means it: by default ‖change‖₂. A technique that
        looks at what the layer makes of the weight has a norm of its own, and then writes `longest` too."""
        return float(np.linalg.norm(change.astype(np.float64)))

    def longest(self, size: float, state: Any) -> float:
        """The largest `norm` that a change with ‖change‖₂ = size may have."""
        return size

    def prunes(self, w: np.ndarray) -> bool:
        """Whether it makes zeros of this weight that are to stay: by default if it makes SUPPORT or NM."""
        return bool(self.makes & {Invariant.SUPPORT, Invariant.NM})

    @property
    def folds(self) -> bool:
        """Whether `rescaled` only scales the weight's values, so that a layer that reads reals computes the
        same with its batch norm folded in: where not, the norm stays a call of its own."""
        return True

    # What a State trains, and whether it is done

    def trainables(self, state: Any) -> Sequence[Tensor]:
        """The Tensors that are trained in the weight's place: none, by default."""
        return ()

    def waits(self, state: Any) -> bool:
        """Whether the layer does not see the trainables yet, and the weight is trained itself for now."""
        return False

    def frozen(self, state: Any) -> bool:
        """Whether the statistics of a batch norm that is folded into the layer stand still as it trains."""
        return True

    def check_state(self, loaded: Any, own: Any) -> None:
        """Raise ValueError where a loaded State does not fit these settings; `own` is the present one."""

    def check_finished(self, state: Any) -> None:
        """Raise ValueError while a schedule has not ended: the weight is not yet what was asked for."""

    @property
    def end(self) -> int:
        """The optimizer step at which its schedule ends; 0 without one."""
        return self.schedule.end

    def ended(self) -> "Transform":
        """This transform as it will be when its schedule has ended."""
        last = copy.copy(self)
        object.__setattr__(last, "schedule", Once())  # a frozen one too: it is ours
        return last
