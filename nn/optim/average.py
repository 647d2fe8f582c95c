"""Averages of weights along a run, which often do better than the weights at its end.

Polyak & Juditsky, "Acceleration of stochastic approximation by averaging" (1992); Izmailov et al., "Averaging
weights leads to wider optima and better generalization" (2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from nn.backward import wrote
from nn.half import wide
from nn.layers import BatchNorm1d, BatchNorm2d
from nn.mode import no_grad
from nn.module import Module
from nn.optim.settings import number
from nn.tensor import Tensor


class AveragedModel:
    """The average of a model's parameters over the updates that it is told of.

        decay None:  w̄ ← w̄ + (w − w̄)/(n + 1)          all n updates alike (SWA)
        decay d:     w̄ ← d w̄ + (1 − d) w              the recent ones more (EMA); the first is taken as it is

    The average lies beside the model; `swap` exchanges the two, so that the model itself is measured and
    saved. use_buffers: its float buffers (batch norm's running statistics) are averaged too; else the model's
    stay, and after a swap update_bn should measure them again. Averages of float16 weights are float32.

    Raises: TypeError for what is no Module, ValueError for a decay outside [0, 1).
    """

    def __init__(self, model: Module, decay: float | None = None, use_buffers: bool = False) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"AveragedModel: model must be a Module, got {type(model).__name__}")
        if decay is not None:
            number("AveragedModel", "decay", decay, 0, 1)
        self.decay, self.use_buffers = decay, use_buffers
        self.n_averaged, self.swapped = 0, False
        self._model, self._parameters = model, list(model.parameters())
        self._averages = [array.astype(wide(array.dtype)) for array in self._arrays()]
        self._unrounded: dict[int, np.ndarray] = {}    # averages of float16 weights while they are swapped in

    def update_parameters(self) -> None:
        """Take in the weights as they are now. RuntimeError while the average is swapped in."""
        self._not_swapped("update_parameters")
        share = 1 / (self.n_averaged + 1) if self.decay is None or not self.n_averaged else 1 - self.decay
        for average, array in zip(self._averages, self._arrays(), strict=True):
            if share == 1:
                average[...] = array
            else:
                average += share * (array - average)
        self.n_averaged += 1

    def swap(self) -> None:
        """Exchange the model's weights and their average; a second time, back."""
        for i, (average, array) in enumerate(zip(self._averages, self._arrays(), strict=True)):
            now = array.astype(average.dtype)
            array[...] = average
            if array.dtype != average.dtype:
                now = self._restored(i, average, now, array.dtype)
            average[...] = now
            wrote(array)
        self.swapped = not self.swapped

    def _restored(self, i: int, average: np.ndarray, now: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """What goes in the place of average i, `now` in the model: of an average that was rounded to go there
        its digits, where the model has not been changed since."""
        if not self.swapped:
            self._unrounded[i] = average.copy()
            return now
        whole = self._unrounded.pop(i)
        return np.where(whole.astype(dtype) == now, whole, now)

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
        return {"n_averaged": np.array(self.n_averaged),
                **{f"average.{i}": average.copy() for i, average in enumerate(self._averages)}}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from the state_dict of an average of the same model.

        Raises: ValueError if names or shapes do not fit; then nothing was changed.
        """
        own = self.state_dict()
        wrong = sorted(own.keys() ^ state.keys())
        wrong += [key for key in own.keys() & state.keys() if np.shape(state[key]) != own[key].shape]
        if wrong:
            raise ValueError(f"AveragedModel: the state does not fit in {', '.join(wrong)}")
        self.n_averaged = int(state["n_averaged"])
        for i, average in enumerate(self._averages):
            average[...] = state[f"average.{i}"]

    def __repr__(self) -> str:
        arrays = len(self._averages)
        return f"AveragedModel(decay={self.decay}, use_buffers={self.use_buffers}), {arrays} arrays"

    def _arrays(self) -> list[np.ndarray]:
        """What is averaged, as it lies now: p.data = ... gives a weight another array."""
        buffers = self._model.named_buffers() if self.use_buffers else ()
        return [*(p.data for p in self._parameters), *(b for _, b in buffers if b.dtype.kind == "f")]

    def _not_swapped(self, what: str) -> None:
        if self.swapped:
            raise RuntimeError(f"AveragedModel: {what} while the average is swapped in; swap back first")


def update_bn(model: Module, x: np.ndarray, batch_size: int = 256) -> None:
    """Measure the running statistics of all batch norms anew, as the mean over the batches of x (N, …).

    For weights that no forward pass has seen, such as averages (Izmailov et al. 2018, section 3.2). The
    model comes back in the mode it had; without a batch norm nothing is done.
    Raises: ValueError for an empty x or a batch_size < 1.
    """
    if not isinstance(x, np.ndarray) or x.ndim < 2 or not len(x):
        raise ValueError(f"update_bn: x must be an array of shape (N, …), N > 0, got {np.shape(x)}")
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"update_bn: batch_size must be a whole number >= 1, got {batch_size!r}")
    modules = [module for _, module in model.named_modules()]
    norms = [module for module in modules if isinstance(module, (BatchNorm1d, BatchNorm2d))]
    if not norms:
        return
    before = [(module, module.training) for module in modules]
    momenta = [norm.momentum for norm in norms]
    try:
        for module in modules:
            module.training = True
        with no_grad():
            for n, start in enumerate(range(0, len(x), batch_size), start=1):
                for norm in norms:
                    norm.momentum = 1 / n    # m̄ ← m̄ + (m − m̄)/n: the mean of n batches; the first replaces
                model(Tensor(x[start:start + batch_size]))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in before:
            module.training = training
