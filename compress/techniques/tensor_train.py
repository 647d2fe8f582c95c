"""Tensor trains: the matrix of a linear layer as a product of small cores, trained, stored and multiplied.

Oseledets (2011) for the format and TT-SVD, Novikov et al. (2015) for layers. With in = i₁·…·i_d and out =
o₁·…·o_d an entry of the weight has d digits on either side, and

    W[o₁…o_d, i₁…i_d] = G₁[:, i₁, o₁, :] · … · G_d[:, i_d, o_d, :]       (Novikov et al., eq. 5)

Σ rₖ₋₁·iₖ·oₖ·rₖ numbers in place of in·out."""

from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any

import numpy as np

from nn.arguments import is_int, number
from nn.context import no_grad
from nn.kernels import tt_matmul
from nn.kernels.tt_matmul import multiply_adds
from nn.parameter import Parameter
from nn.tensor import Tensor

from ..stored import Part, Stored
from ..transform import Context, Invariant, Transform
from .tt_svd import SMALLEST, balanced_modes, equalized, growth, magnitude, tt_svd, underflow


@dataclass
class TensorTrainState:
    """The `cores` (rₖ₋₁, iₖ, oₖ, rₖ), which are trained; `error`, what TT-SVD cut off; `scale` (out,), a
    factor for each row after the product, or None."""

    cores: tuple[Parameter, ...]
    error: float
    scale: np.ndarray | None = None


@dataclass(frozen=True)
class TensorTrain(Transform):
    """A linear layer's weight as a tensor train, by TT-SVD; what is trained on are its cores.

    Either `rank`, a bound for all ranks r₁ … r_{d−1} or a tuple of them, or `eps`, the largest relative error
    ‖W − TT‖ / ‖W‖ that the ranks are chosen for. `in_modes` and `out_modes` are d factors of the two sides;
    where they are not given, there are as many as `cores`, as equal as possible, those of `in` falling and
    those of `out` rising: so a prime beside a prime has modes (p, 1, 1) and (1, 1, q), which is a plain
    low-rank product. Ranks that `eps` chose depend on the weight: their state fits a model that was prepared
    with the same weights, or with `rank` set to them. Raises TypeError or ValueError for settings that are
    none, or that no weight can have."""

    rank: int | tuple[int, ...] | None = None
    eps: float | None = None
    in_modes: tuple[int, ...] | None = None
    out_modes: tuple[int, ...] | None = None
    cores: int = 3

    makes = frozenset({Invariant.RANK})
    dimensions = frozenset({2})

    def __post_init__(self) -> None:
        if (self.rank is None) == (self.eps is None):
            raise ValueError(f"TensorTrain: give either rank or eps; got {self.rank!r} and {self.eps!r}")
        rank = self.rank if self.rank is None or isinstance(self.rank, tuple) else (self.rank,)
        for name, sizes in {"in_modes": self.in_modes, "out_modes": self.out_modes, "cores": (self.cores,),
                            "rank": rank}.items():
            if sizes is not None and not (isinstance(sizes, tuple) and all(map(is_int, sizes))):
                raise TypeError(f"TensorTrain: {name} must be whole numbers in a tuple; got {sizes!r}")
            if sizes is not None and min(sizes, default=int(name == "rank")) < 1:  # one core has no ranks
                raise ValueError(f"TensorTrain: {name} must be at least 1; got {sizes}")
        if self.in_modes and self.out_modes and len(self.in_modes) != len(self.out_modes):
            raise ValueError(f"TensorTrain: in_modes and out_modes must be equally many; got {self.in_modes} "
                             f"and {self.out_modes}")
        if self.eps is not None:
            number("TensorTrain", "eps", self.eps, 0, 1)

    @classmethod
    def samples(cls) -> list["TensorTrain"]:
        return [cls(eps=0.0), cls(eps=0.3), cls(rank=1), cls(rank=1, cores=2)]

    def trainables(self, state: TensorTrainState) -> tuple[Parameter, ...]:
        return state.cores

    def modes(self, shape: tuple[int, ...], name: str = "weight") -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The modes (in, out) of a weight of shape (out, in); ValueError where they do not multiply to it."""
        if len(shape) != 2:
            raise ValueError(f"TensorTrain: {name} must be the weight (out, in) of a linear layer; got shape "
                             f"{shape}")
        count = len(self.in_modes or self.out_modes or range(self.cores))
        outs = self.out_modes or balanced_modes(shape[0], count)
        ins = self.in_modes or balanced_modes(shape[1], count)[::-1]
        for which, modes, size in (("out_modes", outs, shape[0]), ("in_modes", ins, shape[1])):
            if prod(modes) != size:
                raise ValueError(f"TensorTrain: {which} {modes} multiply to {prod(modes)}; {name} {shape} "
                                 f"needs {size}")
        return ins, outs

    def fit(self, w: np.ndarray, context: Context) -> TensorTrainState:
        ins, outs = self.modes(w.shape, context.name)
        sizes = [i * o for i, o in zip(ins, outs, strict=True)]
        ranks = None if self.rank is None else self._ranks(sizes, context.name)
        pairs = [axis for k in range(len(ins)) for axis in (len(ins) + k, k)]  # o₁…o_d i₁…i_d → i₁ o₁ i₂ o₂ …
        tensor = w.astype(np.float64).reshape(*outs, *ins).transpose(pairs).reshape(sizes)
        cores, error = tt_svd(tensor, ranks, self.eps or 0.0)
        cores = [core.reshape(len(core), i, o, -1) for core, i, o in zip(cores, ins, outs, strict=True)]
        return TensorTrainState(tuple(Parameter(core.astype(np.float32)) for core in equalized(cores)), error)

    def _ranks(self, sizes: list[int], name: str) -> tuple[int, ...]:
        """The rank of each bond; ValueError where an unfolding of these sizes has no such rank."""
        possible = [min(prod(sizes[:k]), prod(sizes[k:])) for k in range(1, len(sizes))]
        if not isinstance(self.rank, tuple):
            if self.rank > (largest := max(possible, default=1)):
                raise ValueError(f"TensorTrain: {name}: rank {self.rank}; the largest possible is {largest}")
            return tuple(min(self.rank, largest) for largest in possible)
        if len(self.rank) != len(possible):
            raise ValueError(f"TensorTrain: {name} has {len(possible)} ranks between its {len(sizes)} cores; "
                             f"got {self.rank}")
        for k, rank in enumerate(self.rank):
            largest = min((1, *self.rank)[k] * sizes[k], possible[k])
            if rank > largest:
                raise ValueError(f"TensorTrain: {name}: rank {rank} between cores {k + 1} and {k + 2}; the "
                                 f"largest possible is {largest}")
        return self.rank

    def project(self, w: Tensor, state: TensorTrainState) -> Tensor:
        return product(state.cores, state.scale)

    def update(self, state: TensorTrainState, w: Tensor, step: int) -> None:
        """The weight becomes what its cores say, for traces, observers and state_dict: nothing is cut off."""
        with no_grad():
            w.data = np.array(product(state.cores, state.scale).data, order="C")  # never a core's own memory
        state.error = 0.0

    def rescaled(self, state: TensorTrainState, factor: np.ndarray) -> TensorTrainState:
        """A factor for every row is no tensor train of these ranks: it stays beside the cores."""
        scale = factor if state.scale is None else state.scale * factor
        return replace(state, scale=np.asarray(scale, np.float32))

    def encode(self, w: np.ndarray, state: TensorTrainState) -> "TensorTrainWeight":
        return TensorTrainWeight([core.data for core in state.cores], state.scale)

    def bound(self, w: np.ndarray, state: TensorTrainState) -> float:
        """√(Σ εₖ²) of what was cut off (Oseledets 2011, theorem 2.2), and float32 rounding of the product."""
        cores = [core.data for core in state.cores]
        cut = state.error + 1e-12 * float(np.linalg.norm(w.astype(np.float64)))  # the SVD's own rounding
        return cut + growth(cores) * magnitude(cores) + sqrt(w.size) * underflow(cores)


def product(cores: tuple[Tensor, ...], scale: np.ndarray | None = None) -> Tensor:
    """The weight (out, in) of these cores, differentiable in them."""
    w = cores[0]
    for core in cores[1:]:  # (i₁o₁…, r) · (r, iₖoₖr′)
        w = w.reshape(-1, core.shape[0]) @ core.reshape(core.shape[0], -1)
    pairs = [size for core in cores for size in core.shape[1:3]]  # i₁ o₁ i₂ o₂ …
    axes = range(len(pairs))
    w = w.reshape(*pairs).permute(*axes[1::2], *axes[::2]).reshape(prod(pairs[1::2]), prod(pairs[::2]))
    return w if scale is None else w * Tensor(scale.reshape(-1, 1))


class TensorTrainWeight(Stored):
    """The cores, and a scale for each row, if there is one."""

    kind = "tensor train"
    parts = {"cores": Part("payload", np.float32, (None,)), "shapes": Part("tables", np.int32, (None, 4)),
             "scale": Part("tables", np.float32, ("out",), optional=True)}
    kernel = tt_matmul
    skips = True

    def __init__(self, cores: list[np.ndarray], scale: np.ndarray | None = None) -> None:
        sizes = [core.shape for core in cores]
        shape = tuple(prod(size[axis] for size in sizes) for axis in (2, 1))
        self.hold(shape, {"cores": np.concatenate([core.ravel() for core in cores]),
                          "shapes": np.array(sizes, np.int32), "scale": scale})

    def check(self, who: str) -> None:
        sizes = self.sizes_of_cores()
        if np.any(self.held["shapes"] < 1):
            raise ValueError(f"{who}: shapes must be positive; got {sizes!r:.80}")
        if tuple(prod(size[axis] for size in sizes) for axis in (2, 1)) != self.shape:
            raise ValueError(f"{who}: the modes {sizes!r:.80} do not multiply to it")
        if len(self.held["cores"]) != sum(map(prod, sizes)):
            raise ValueError(f"{who}: {len(self.held['cores'])} numbers do not fit {sizes!r:.80}")
        self.operand()  # its kernel looks at the ranks

    def sizes_of_cores(self) -> list[tuple[int, ...]]:
        """(rₖ₋₁, iₖ, oₖ, rₖ) of each core."""
        return [tuple(size) for size in self.held["shapes"].tolist()]

    def cores(self) -> list[np.ndarray]:
        """The cores, read-only."""
        sizes = self.sizes_of_cores()
        parts = np.split(self.held["cores"], np.cumsum(list(map(prod, sizes)))[:-1])
        return [part.reshape(size) for part, size in zip(parts, sizes, strict=True)]

    def decode(self) -> np.ndarray:
        return product(tuple(map(Tensor, self.cores())), self.scale).data

    def operand(self, kernel: Any = None) -> Any:
        return (kernel or self.kernel).pack(self.cores())

    @classmethod
    def told(cls, kernel: Any) -> dict[str, Any]:
        made = {"cores": lambda w, shape: np.concatenate([core.ravel() for core in w])}
        return made if kernel is tt_matmul else {}

    def product_bound(self, x: np.ndarray) -> np.ndarray:
        """Twice the rounding of a chain, the kernel's and that of decode(), and of the scale."""
        cores = self.cores()
        sizes = product(tuple(Tensor(np.abs(core, dtype=np.float64)) for core in cores)).data
        scale = 1.0 if self.scale is None else np.abs(self.scale, dtype=np.float64)
        x = np.abs(x, dtype=np.float64)
        lost = (2 + x.sum(axis=1, keepdims=True)) * underflow(cores)
        return scale * ((2 * growth(cores) + 2.0**-22) * (x @ sizes.T) + lost) + SMALLEST * (1 + lost)

    def macs(self) -> int:
        return min(multiply_adds(self.sizes_of_cores(), mirrored) for mirrored in (False, True))
