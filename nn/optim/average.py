"""Averages of weights along a run, which often do better than the weights at its end.

Polyak & Juditsky, "Acceleration of stochastic approximation by averaging" (1992); Izmailov et al., "Averaging
weights leads to wider optima and better generalization" (2018).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from ..arguments import count, flag, instance, number
from ..context import no_grad, undoing
from ..half import wide
from ..layers import BatchNorm1d, BatchNorm2d
from ..module import Module, in_mode
from ..tensor import Tensor
from ..versions import wrote
from .optimizer import fitting


class AveragedModel:
    """The average of a model's parameters over the calls of update_parameters.

        decay None:  w̄ ← w̄ + (w − w̄)/(n + 1)          all n updates alike (SWA)
        decay d:     w̄ ← d w̄ + (1 − d) w              the recent ones more (EMA); the first is taken as it is

    `swap` exchanges the model's weights and their average, so that the model itself is measured and saved.
    What its layers do not see now (what a parametrization is yet to train, or a weight that it computes) has
    no average; once they see it, its average begins with the next update. use_buffers: the float buffers
    (batch norm's running statistics) are averaged too; else they stay as they are, and update_bn should
    measure them again after a swap. Averages of float16 weights are float32.
    Raises: TypeError for what is not a Module, ValueError for a decay outside [0, 1).
    """

    def __init__(self, model: Module, decay: float | None = None, use_buffers: bool = False) -> None:
        instance("AveragedModel", "model", model, Module, "a Module")
        if decay is not None:
            number("AveragedModel", "decay", decay, 0, 1)
        self.decay, self.use_buffers = decay, flag("AveragedModel", "use_buffers", use_buffers)
        self.n_averaged, self.swapped = 0, False
        self._model, self._parameters = model, list(model.parameters())
        # For each of _arrays() its average and the number of updates in it; None and -1 if it has none.
        self._averages: list[np.ndarray | None] = []
        self._averages = [_first(array) if seen else None for array, seen in self._arrays()]
        self._counts = [-1 if average is None else 0 for average in self._averages]
        self._unrounded: dict[int, np.ndarray] = {}  # what float16 weights are, rounded, since the last swap

    def update_parameters(self) -> None:
        """Add the present weights to the average. RuntimeError while the average is swapped in."""
        self._not_swapped("update_parameters")
        for i, (array, seen) in enumerate(self._arrays()):
            n = self._counts[i] = max(self._counts[i], 0) + 1 if seen else -1
            if n > 1:
                share = 1 / n if self.decay is None else 1 - self.decay
                self._averages[i] += share * (array - self._averages[i])
            else:
                self._averages[i] = _first(array) if seen else None
        self.n_averaged += 1

    def swap(self) -> None:
        """Exchange the model's weights and their average; a second call exchanges them back."""
        for i, (average, (array, seen)) in enumerate(zip(self._averages, self._arrays(), strict=True)):
            if average is not None and seen:
                now = array.astype(average.dtype)
                if array.dtype != average.dtype:  # where unchanged, with the digits that were rounded
                    whole, self._unrounded[i] = self._unrounded.get(i, now), average.copy()
                    now = np.where(whole.astype(array.dtype) == array, whole, now)
                array[...], average[...] = average, now
                wrote(array)
        for _, weight in self._model.named_parameters():
            weight.recompute()
        self.swapped = not self.swapped

    @contextmanager
    def applied(self) -> Iterator[None]:
        """`with average.applied():` the model has the averaged weights inside, and its own afterwards."""
        self._not_swapped("applied")
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state_dict(self) -> dict[str, np.ndarray]:
        """The averages and how many updates are in them, as named arrays. RuntimeError while swapped in."""
        self._not_swapped("state_dict")
        return {"n_averaged": np.array(self.n_averaged), "counts": np.array(self._counts),
                **{f"average.{i}": mean.copy() for i, mean in enumerate(self._averages) if mean is not None}}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from the state_dict of an average of the same model. Raises ValueError if names, shapes or
        dtypes do not fit; then nothing was changed."""
        self._not_swapped("load_state_dict")
        arrays, counts = [array for array, _ in self._arrays()], np.asarray(state.get("counts"))
        has = counts >= 0 if counts.shape == (len(arrays),) else [True] * len(arrays)
        own = {"n_averaged": np.array(0), "counts": np.array(self._counts),
               **{f"average.{i}": _first(array) for i, array in enumerate(arrays) if has[i]}}
        new, problems = fitting(own, state)
        if new.get("n_averaged", 0) < 0:
            problems.append(f"n_averaged is {new['n_averaged']}")
        if problems:
            raise ValueError(f"AveragedModel: the state does not fit: {'; '.join(problems)}")
        self.n_averaged, self._counts = int(new["n_averaged"]), counts.tolist()
        self._averages = [new[f"average.{i}"].astype(own[f"average.{i}"].dtype) if has[i] else None
                          for i in range(len(arrays))]

    def __repr__(self) -> str:
        arrays = len(self._averages)
        return f"AveragedModel(decay={self.decay}, use_buffers={self.use_buffers}), {arrays} arrays"

    def _arrays(self) -> list[tuple[np.ndarray, bool]]:
        """The present arrays of what is averaged, and whether the layers see them now: `p.data = ...` gives a
        weight another array, and a parametrization may compute it later from others."""
        now = list(self._model.parameters())
        if [id(p) for p in now] != [id(p) for p in self._parameters]:
            raise RuntimeError("AveragedModel: the model trains other tensors than when this average was "
                               "built: build it after preparing the model and its parametrizations")
        seen = {id(p) for _, weight in self._model.named_parameters() for p in weight.active()}
        buffers = self._model.named_buffers() if self.use_buffers else ()
        arrays = [*((p.data, id(p) in seen) for p in now),
                  *((b, True) for _, b in buffers if b.dtype.kind == "f")]
        if any(average is not None and average.dtype != wide(array.dtype)
               for (array, _), average in zip(arrays, self._averages, strict=False)):  # none yet in __init__
            raise RuntimeError("AveragedModel: a dtype changed after this average was begun; begin it after "
                               "model.to(dtype)")
        return arrays

    def _not_swapped(self, what: str) -> None:
        if self.swapped:
            raise RuntimeError(f"AveragedModel: {what} while the average is swapped in; swap back first")


def _first(array: np.ndarray) -> np.ndarray:
    """What an average begins with."""
    return array.astype(wide(array.dtype))


def update_bn(model: Module, x: np.ndarray, batch_size: int = 256) -> None:
    """Set the running statistics of all batch norms in model to their means over the batches of x (N, …), for
    weights that no forward pass has seen, such as averages (Izmailov et al. 2018, section 3.2). The model's
    mode is restored; without batch norm nothing is done. Raises ValueError for an empty x, batch_size < 1."""
    if not isinstance(x, np.ndarray) or x.ndim < 2 or not len(x):
        raise ValueError(f"update_bn: x must be an array of shape (N, …), N > 0, got {np.shape(x)}")
    count("update_bn", "batch_size", batch_size)
    norms = [module for _, module in model.named_modules() if isinstance(module, (BatchNorm1d, BatchNorm2d))]
    momenta = [norm.momentum for norm in norms]

    def measure():
        with no_grad():
            for n, start in enumerate(range(0, len(x), batch_size), start=1):
                for norm in norms:
                    norm.momentum = 1 / n  # m̄ ← m̄ + (m − m̄)/n: the mean of n batches; the first replaces
                model(Tensor(x[start:start + batch_size]))

    def as_before():
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    if norms:
        in_mode(model, True, undoing, as_before, measure)
