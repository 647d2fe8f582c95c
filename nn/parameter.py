"""Parameter: a Tensor that is trained, and the View that may stand between it and its layer."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from nn.backward import wrote
from nn.context import ambient, no_grad
from nn.tensor import Tensor


class View(Protocol):
    """What stands between a weight and its layer while it is compressed in training.

    A view may compute the weight from other Parameters, which train in its place. The weight's array is
    read-only then: what is written there would be lost. The view itself sets it by `Parameter.computed`.
    """

    def project(self, parameter: Parameter) -> Tensor:
        """The weight as the layer sees it."""

    def trainables(self, parameter: Parameter) -> list[Parameter]:
        """What an optimizer trains in the weight's place: often the weight itself.

        Where that changes as the training goes on, all of them, and `active(parameter)`, which a view may
        have, names those that the layer sees now.
        """

    def update(self, parameter: Parameter, step: int) -> None:
        """Called after optimizer step number `step` (from 1): schedules, masks, moving averages."""

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of all that the view knows, by name: a part of the model's state."""

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `state_arrays()`; ValueError where they do not fit."""


class Parameter(Tensor):
    """A Tensor that is trained: of `data`, an array, which is copied; requires_grad: False for one that is
    frozen.

    `view` is None, or stands between it and its layer. `source` is set on a Parameter that is trained in the
    place of another one: it is that other one. What trains in its place is frozen (requires_grad) with it.
    Raises TypeError for data that has no floats, or is none.
    """

    __slots__ = ("_view", "source")

    def __init__(self, data: np.ndarray, requires_grad: bool = True) -> None:
        self._view: View | None = None
        self.source: Parameter | None = None
        super().__init__(data, requires_grad)

    @property
    def view(self) -> View | None:
        """What stands between this Parameter and its layer."""
        return self._view

    @view.setter
    def view(self, view: View | None) -> None:
        self._view = view
        if not self.requires_grad:
            self.requires_grad = False    # of what trains in its place
        self.settle()

    @property
    def requires_grad(self) -> bool:
        """Whether this Parameter, or what its view trains in its place, gets a gradient."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        Tensor.requires_grad.fset(self, wanted)
        for trainable in self.trainables():
            if trainable is not self:
                trainable.requires_grad = wanted

    def viewed(self) -> Tensor:
        """What a layer multiplies with: this Parameter, seen through its view.

        A trace speaks of a weight by its name, so while tracing the view stays closed.
        """
        if self._view is None or ambient.context.tracer is not None:
            return self
        return self._view.project(self)

    def trainables(self) -> list[Parameter]:
        """What an optimizer trains: this Parameter, or what its view names instead.

        Raises: TypeError if the view names anything but Parameters.
        """
        if self._view is None:
            return [self]
        found = self._view.trainables(self)
        for trainable in found:
            if not isinstance(trainable, Parameter):
                view, got = type(self._view).__name__, type(trainable).__name__
                raise TypeError(f"{view}.trainables must give Parameters, got {got}")
            if trainable is not self:
                trainable.source = self
        return found

    def active(self) -> list[Parameter]:
        """Those of `trainables()` that the layer sees now."""
        return self._view.active(self) if hasattr(self._view, "active") else self.trainables()

    # A weight that its view computes

    @property
    def trains(self) -> bool:
        """Whether this Parameter itself is trained now; else its view computes it from others."""
        return any(trainable is self for trainable in self.active())

    def settle(self) -> None:
        """Take note of what the view trains now: the array is read-only where that is not this Parameter."""
        if not self.trains:
            self._data.flags.writeable, self.grad = False, None
        elif not self._data.flags.writeable:
            try:
                self._data.flags.writeable = True
            except ValueError:    # the memory is someone's who does not want it written to
                self._data = self._data.copy()

    def computed(self, array: np.ndarray) -> None:
        """Have this array: for the view, which computed it."""
        if array is not self._data:
            wrote(self._data)
            self._data = array
        self.settle()

    def recompute(self) -> None:
        """Where the view computes it, do so anew: what it is computed from was written to."""
        if not self.trains:
            with no_grad():
                self.computed(np.array(self._view.project(self).data, order="C"))

    @property
    def data(self) -> np.ndarray:
        """The array itself; see Tensor.data. RuntimeError for a write to a weight that its view computes."""
        return self._data

    @data.setter
    def data(self, value: np.ndarray) -> None:
        self._check_own("data")
        Tensor.data.fset(self, value)

    def _check_own(self, operation):
        if self._view is not None and not self.trains:
            shapes = ", ".join(str(trainable.shape) for trainable in self.active())
            raise RuntimeError(f"{operation}: this weight {self.shape} is computed, by {self._view!r}, from "
                               f"what trains in its place (shapes {shapes}), so that a write would be lost; "
                               "write before the model is prepared, or to what its trainables() gives")

    def __reduce_ex__(self, protocol):
        new, arguments, state, *rest = super().__reduce_ex__(protocol)
        return new, arguments, (*state, self._data.flags.writeable), *rest

    def __setstate__(self, state):
        _, slots, writeable = state    # (no class of Tensors has a __dict__)
        for name, value in slots.items():
            setattr(self, name, value)
        if not writeable:    # NumPy forgets it in a copy
            self._data.flags.writeable = False
