"""Weight sharing: all weights of a layer take one of 2^bits values, which are trained.

Han, Mao & Dally (2016), §3. The values are found by k-means, here its global optimum (`kmeans1d`), so there
is nothing to initialise, unless one of their starts is asked for (lloyd.py). Which weight has which value
stays as it is then, and the values are trained."""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from nn.arguments import is_int
from nn.kernels import kmeans1d
from nn.kernels.kmeans1d import nearest
from nn.kernels.nbit_gemm import LEAST
from nn.parameter import Parameter
from nn.rules.record import CONSTANT, Rule
from nn.tensor import Tensor, apply, shared
from nn.train import Diverged

from ..formats.dynamic import INT8_DYNAMIC
from ..formats.format import Format
from ..formats.straight_through import STRAIGHT_THROUGH
from ..lloyd import STARTS, lloyd
from ..transform import Context, Invariant, Transform
from .shared import FLOATS, PrunedSharedWeight, SharedWeight, scaled, smallest_form
from .shared_integers import INT8, INTEGERS, as_integers, times


def _shared_vjp(g: np.ndarray, saved: tuple, needs: tuple) -> tuple[np.ndarray]:
    codes, rates = saved
    return ((np.bincount(codes.ravel(), g.ravel(), len(rates)) * rates).astype(g.dtype),)


# A centroid's gradient is the sum of its members' gradients (Han et al., eq. 3). With a rate of 1 this is the
# true derivative, with other rates a surrogate: 1/n for the mean of n members, 0 for a centroid that stays.
SHARED = Rule(
    "shared", "w = c[codes];  dcⱼ = rateⱼ · Σ g over the members of cⱼ",
    lambda c, *, codes, rates: (c[codes], (codes, rates)), _shared_vjp,
    samples=lambda rng: [([rng.normal(size=3)], {"codes": rng.integers(0, 3, 20), "rates": rng.random(3)})],
    surrogate=lambda c, *, codes, rates: lambda c: (c * rates)[codes], saves=CONSTANT, fresh=True)


@dataclass
class ClusterState:
    """`centroids` (2^bits,), rising at first, are trained; `codes`, in the weight's shape: the centroid of
    each weight; `rates`: see SHARED; `zero`: the code of the zeros that stay, or −1; `error`: a bound of what
    sharing changed; `scale` (out,): a factor for each row, after the centroids, or None; `pruned`: whether
    zeros are to stay. Until optimizer step `begin` nothing is shared (not `shares`): the weight trains."""

    name: str
    begin: int
    centroids: Parameter
    codes: np.ndarray
    rates: np.ndarray
    zero: int = -1
    shares: bool = False
    error: float = 0.0
    scale: np.ndarray | None = None
    pruned: bool = False


@dataclass(frozen=True)
class Cluster(Transform):
    """2^bits values for all weights of a layer, by k-means; these values are what is trained.

    After a stage that prunes, zeros stay zero: one value is 0 for good, and only pruned weights have it. A
    zero that nobody pruned is a weight like any other (Han et al., figure 3). After a stage with a schedule
    the weight is trained as it is until that ends, and then shared. gradient: "sum" of the gradients of a
    value's members, the true derivative, or their "mean". With SGD the mean moves a value of n members by 1/n
    as much. Adam divides by the gradient's size and takes the same steps with both, but for its eps
    (tests/compress/test_cluster.py: after 30 steps on digits_mlp the values of the two differ by 1 % of their
    way with Adam, by 99 % with SGD). start: "optimal", or from where Lloyd's iteration finds the values:
    "linear", "density", "random", "k-means++", for comparison; those that draw draw the same every time.
    activations: None, reals; or "int8-dynamic", int8 that are made inside of the call, with a scale for each
    row of a linear layer's input, or each image (formats/dynamic.py): the values are then rounded to int8 of
    one scale, straight through as they train, and products are of integers (shared_integers.py).

    Raises TypeError or ValueError for bits that are not 2…8 and for another gradient, start or activations.
    A layer with fewer different weights than values can't be shared (ValueError): its recipe wants fewer
    bits, or None."""

    bits: int = 4
    gradient: str = "sum"
    start: str = "optimal"
    activations: Format | str | None = None

    keeps = frozenset({Invariant.SUPPORT, Invariant.NM})
    makes = frozenset({Invariant.LEVELS})

    def __post_init__(self) -> None:
        if not is_int(self.bits):
            raise TypeError(f"Cluster: bits must be a whole number; got {self.bits!r}")
        if not 2 <= self.bits <= 8:
            raise ValueError(f"Cluster: bits must be in 2…8; got {self.bits}")
        if self.gradient not in ("sum", "mean"):
            raise ValueError(f"Cluster: gradient must be 'sum' or 'mean'; got {self.gradient!r}")
        if self.start not in ("optimal", *STARTS):
            raise ValueError(f"Cluster: start must be one of optimal, {', '.join(STARTS)}; got "
                             f"{self.start!r}")
        if self.activations not in (None, INT8_DYNAMIC, INT8_DYNAMIC.name):
            raise ValueError(f"Cluster: activations must be {INT8_DYNAMIC.name!r}, or None for reals; got "
                             f"{self.activations!r:.80}")
        object.__setattr__(self, "activations", self.activations and INT8_DYNAMIC)

    @property
    def distinct(self) -> int:
        """How many different weights a layer must have."""
        return 2**self.bits

    @classmethod
    def samples(cls) -> list["Cluster"]:
        return [cls(2), cls(3, gradient="mean", start="k-means++"), cls(4), cls(8),
                *(cls(bits, activations=INT8_DYNAMIC) for bits in (3, 5))]

    def trainables(self, state: ClusterState) -> tuple[Parameter, ...]:
        return (state.centroids,)

    def waits(self, state: ClusterState) -> bool:
        return not state.shares

    def fit(self, w: np.ndarray, context: Context) -> ClusterState:
        zeros = np.zeros(self.distinct, np.float32)
        state = ClusterState(context.name, context.settled, Parameter(zeros), np.zeros(w.shape, np.uint8),
                             zeros, pruned=context.pruned)
        if not state.begin:
            self._share(w, state)
        return state

    def _share(self, w: np.ndarray, state: ClusterState) -> None:
        """Find the centroids of a weight and which each has."""
        if not np.isfinite(w).all():
            raise Diverged(f"{state.name} holds NaN or infinity; try a smaller learning rate", None)
        alive = w != 0 if state.pruned else np.ones(w.shape, bool)
        pinned = not alive.all()
        if (found := len(np.unique(w))) < self.distinct:
            raise ValueError(f"Cluster: {state.name} has {found} different values, fewer than the "
                             f"{self.distinct} that bits={self.bits} shares; choose fewer bits for it in the "
                             "recipe, or None")
        values = w[alive]
        centroids, state.error = self._centroids(values, self.distinct - pinned)
        codes = nearest(values, centroids)
        if pinned:
            state.zero = int(np.searchsorted(centroids, 0))
            codes += codes >= state.zero
            centroids = np.insert(centroids, state.zero, 0)
            state.codes[~alive] = state.zero
        state.codes[alive] = codes
        if self.activations is not None:
            state.error += error_of_integers(centroids) * sqrt(len(values))
        state.rates[:] = self._rates(state)
        state.centroids.data = centroids
        state.shares = True

    def _centroids(self, values: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        """k of them, rising, and an upper bound of the norm of what they are off by. Evenly spaced ones, from
        end to end, are as close as the middles of k − 1 equal parts of the range, and Lloyd makes nothing
        worse; from elsewhere one iteration leaves no more than the variance."""
        if self.start == "optimal":
            return kmeans1d(values, k), error_at_most(values, k)
        found = lloyd(values, k, self.start, rng=np.random.default_rng(0))
        return found.centroids, error_at_most(values, k - 1 if self.start == "linear" else 1)

    def _rates(self, state: ClusterState) -> np.ndarray:
        """What SHARED multiplies the gradient of each centroid with."""
        counts = np.bincount(state.codes.ravel(), minlength=self.distinct)
        rates = np.ones(self.distinct) if self.gradient == "sum" else 1 / np.maximum(counts, 1)
        if state.zero >= 0:
            rates[state.zero] = 0
        return rates.astype(np.float32)

    def project(self, w: Tensor, state: ClusterState) -> Tensor:
        if not state.shares:
            return w
        w = scaled(apply(SHARED, state.centroids, codes=state.codes, rates=state.rates), state.scale)
        return w if self.activations is None else apply(STRAIGHT_THROUGH, w, shared(self._values(state)))

    def _values(self, state: ClusterState) -> np.ndarray:
        """The weight that is seen."""
        centroids, scale = self._codebook(state)
        return (scaled if self.activations is None else times)(centroids[state.codes], scale)

    def _codebook(self, state: ClusterState) -> tuple[np.ndarray, np.ndarray | None]:
        """The values as they are stored, and their scale."""
        if self.activations is None:
            return state.centroids.data, state.scale
        integers, step = as_integers(state.centroids.data)
        return integers, step if state.scale is None else step * state.scale

    def update(self, state: ClusterState, w: Tensor, step: int) -> None:
        """The weight becomes what is seen, for traces, observers and state_dict: nothing is rounded now."""
        if not state.shares and step >= state.begin:
            self._share(w.data, state)
        if state.shares:
            w.data, state.error = self._values(state), 0.0

    def check_state(self, loaded: ClusterState, own: ClusterState) -> None:
        """ValueError for codes that name no centroid, or sharing that begins at another step."""
        if loaded.begin != own.begin and not loaded.shares:
            raise ValueError(f"the weight is shared from optimizer step {loaded.begin} on, here from step "
                             f"{own.begin} on")
        if loaded.codes.max(initial=0) >= self.distinct or not -1 <= loaded.zero < self.distinct:
            raise ValueError(f"a code is beyond the {self.distinct} values of {self!r}")
        if loaded.shares and not np.array_equal(loaded.rates, self._rates(loaded)):
            raise ValueError(f"its values are not trained by the {self.gradient} of their gradients")

    def rescaled(self, state: ClusterState, factor: np.ndarray) -> ClusterState:
        """There is one codebook for a tensor; a factor for each row stays beside it."""
        scale = factor if state.scale is None else state.scale * factor
        return replace(state, scale=np.asarray(scale, np.float32) if state.shares else None)

    def encode(self, w: np.ndarray, state: ClusterState) -> SharedWeight | PrunedSharedWeight:
        self.check_finished(state)
        codebook, scale = self._codebook(state)
        forms = FLOATS if self.activations is None else INTEGERS
        return smallest_form(state.codes, codebook, state.zero, scale, forms)

    def check_finished(self, state: ClusterState) -> None:
        if not state.shares:
            raise ValueError(f"Cluster: {state.name} is shared from optimizer step {state.begin} on, when "
                             "the schedule before it ends; train on before converting")

    def bound(self, w: np.ndarray, state: ClusterState) -> float:
        """√(n·(range/2k)²): the optimum is no worse than k equal parts of the range of its n weights; and
        half a step for each of them, where the values are rounded to integers."""
        return state.error


def error_at_most(values: np.ndarray, k: int) -> float:
    """An upper bound of ‖values − nearest of their k best centroids‖ that nothing was measured for.

    With k equal parts of the range no value is farther from the middle of its part than range/2k; the
    variance bounds it too. kmeans1d's sums and the centroids are rounded."""
    values = values.astype(np.float64)
    n, spread = len(values), float(np.sum((values - values.mean()) ** 2))
    parts = n * (float(np.ptp(values)) / (2 * k)) ** 2
    slack = 8 * (n * sqrt(n * k) + 8) * 2.0**-53 * spread
    rounding = sqrt(n) * (2.0**-24 * float(np.abs(values).max()) + 2.0**-150)
    return sqrt(min(parts, spread) + slack) * (1 + 1e-12) + rounding


def error_of_integers(centroids: np.ndarray) -> float:
    """How far rounding to integers of one scale moves one of these at most: half a step, in float32; or all
    of what is too small for a scale."""
    largest = float(np.abs(centroids).max(initial=0))
    return largest / (2 * INT8.most) * (1 + 2.0**-14) + min(largest, LEAST)
