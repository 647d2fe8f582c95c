"""Parameter: a Tensor that is trained, or that its parametrization computes from others."""

from __future__ import annotations

import numpy as np

from .context import ambient, no_grad
from .parametrize import Parametrization
from .tensor import Tensor
from .versions import wrote


class Parameter(Tensor):
    """A Tensor that is trained: of `data`, an array, which is copied; requires_grad: False for one that is
    frozen.

    `parametrization` is None, or stands between it and its layer. `source` is set on a Parameter that is
    trained in the place of another one: it is that other one. What trains in its place is frozen
    (requires_grad) with it.
    Raises TypeError for data that has no floats, or is none.
    """

    __slots__ = ("_parametrization", "source")

    def __init__(self, data: np.ndarray, requires_grad: bool = True) -> None:
        self._parametrization: Parametrization | None = None
        self.source: Parameter | None = None
        super().__init__(data, requires_grad)

    @property
    def parametrization(self) -> Parametrization | None:
        """What stands between this Parameter and its layer."""
        return self._parametrization

    @parametrization.setter
    def parametrization(self, parametrization: Parametrization | None) -> None:
        self._parametrization = parametrization
        if not self.requires_grad:
            self.requires_grad = False    # of what trains in its place
        self.settle()

    @property
    def requires_grad(self) -> bool:
        """Whether this Parameter, or what its parametrization trains in its place, gets a gradient."""
        return self._operation is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        Tensor.requires_grad.fset(self, wanted)
        for trainable in self.trainables():
            if trainable is not self:
                trainable.requires_grad = wanted

    def parametrized(self) -> Tensor:
        """What a layer multiplies with: this Parameter, seen through its parametrization.

        A trace speaks of a weight by its name, so while tracing the parametrization stays closed.
        """
        if self._parametrization is None or ambient.context.tracer is not None:
            return self
        return self._parametrization.project(self)

    def trainables(self) -> list[Parameter]:
        """What an optimizer trains: this Parameter, or what its parametrization names instead.

        Raises: TypeError if the parametrization names anything but Parameters.
        """
        if self._parametrization is None:
            return [self]
        found = self._parametrization.trainables(self)
        for trainable in found:
            if not isinstance(trainable, Parameter):
                parametrization, got = type(self._parametrization).__name__, type(trainable).__name__
                raise TypeError(f"{parametrization}.trainables must give Parameters, got {got}")
            if trainable is not self:
                trainable.source = self
        return found

    def active(self) -> list[Parameter]:
        """Those of `trainables()` that the layer sees now."""
        return self._parametrization.active(self) if hasattr(self._parametrization,
                                                             "active") else self.trainables()

    # A weight that its parametrization computes

    @property
    def trains(self) -> bool:
        """Whether this Parameter itself is trained now; else its parametrization computes it from others."""
        return any(trainable is self for trainable in self.active())

    def settle(self) -> None:
        """Take note of what the parametrization trains now: the array is read-only where that is not this
        Parameter."""
        if not self.trains:
            self._data.flags.writeable, self.grad = False, None
        elif not self._data.flags.writeable:
            try:
                self._data.flags.writeable = True
            except ValueError:    # the memory is someone's who does not want it written to
                self._data = self._data.copy()

    def computed(self, array: np.ndarray) -> None:
        """Have this array: for the parametrization, which computed it."""
        if array is not self._data:
            wrote(self._data)
            self._data = array
        self.settle()

    def recompute(self) -> None:
        """Where the parametrization computes it, do so anew: what it is computed from was written to."""
        if not self.trains:
            with no_grad():
                self.computed(np.array(self._parametrization.project(self).data, order="C"))

    @property
    def data(self) -> np.ndarray:
        """The array itself; see Tensor.data. RuntimeError for a write to a weight that its parametrization
        computes."""
        return self._data

    @data.setter
    def data(self, value: np.ndarray) -> None:
        self._check_own("data")
        Tensor.data.fset(self, value)

    def _check_own(self, operation):
        if self._parametrization is not None and not self.trains:
            shapes = ", ".join(str(trainable.shape) for trainable in self.active())
            raise RuntimeError(
                f"{operation}: this weight {self.shape} is computed, by {self._parametrization!r}, from "
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
