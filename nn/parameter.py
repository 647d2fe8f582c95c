"""Parameter: a Tensor that is trained, or that its parametrization computes from others."""

from __future__ import annotations

from operator import attrgetter

import numpy as np

from .arguments import instance
from .context import ambient, no_grad
from .parametrize import Parametrization
from .tensor import Tensor
from .versions import wrote


class Parameter(Tensor):
    """A Tensor that is trained, made from a copy of the array `data`. requires_grad=False freezes it.

    `parametrization` stands between it and its layer, if it is not None. What trains in its place is frozen
    with it, and has this Parameter as its `source`.
    Raises TypeError for data that is not an array of floats, and for what is not a Parametrization; writes to
    a weight that its parametrization computes raise RuntimeError.
    """

    __slots__ = ("_parametrization", "source")

    def __init__(self, data: np.ndarray, requires_grad: bool = True) -> None:
        self._parametrization: Parametrization | None = None
        self.source: Parameter | None = None
        super().__init__(data, requires_grad)

    parametrization = property(attrgetter("_parametrization"), doc="What stands between it and its layer.")

    @parametrization.setter
    def parametrization(self, parametrization: Parametrization | None) -> None:
        instance("Parameter", "parametrization", parametrization, (Parametrization, type(None)),
                 "an nn.parametrize.Parametrization or None")
        _trainables(parametrization, self)
        self._parametrization = parametrization
        if not self.requires_grad:
            self.requires_grad = False  # of what trains in its place, too
        self.settle()

    @Tensor.requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        Tensor.requires_grad.fset(self, wanted)
        for other in self.trainables():
            if other is not self:
                other.requires_grad = wanted

    def parametrized(self) -> Tensor:
        """What a layer multiplies by: the weight as its parametrization computes it. While a network is
        traced this is the Parameter itself, for a Graph names weights and not their parametrizations."""
        if self._parametrization is None or ambient.context.tracer is not None:
            return self
        return self._parametrization.project(self)

    def trainables(self) -> list[Parameter]:
        """What an optimizer trains: this Parameter, or what its parametrization names instead. Raises
        TypeError if the parametrization names anything but Parameters."""
        return _trainables(self._parametrization, self)

    def active(self) -> list[Parameter]:
        """Those of `trainables()` that the layer sees now."""
        return [self] if self._parametrization is None else self._parametrization.active(self)

    # A weight that its parametrization computes

    @property
    def trains(self) -> bool:
        """Whether this Parameter itself is trained now; else its parametrization computes it from others."""
        return any(trainable is self for trainable in self.active())

    def settle(self) -> None:
        """Follow a change of what the parametrization trains: a computed weight's array is read-only."""
        for other in self.trainables():
            if other is not self:
                other.source = self
        if not self.trains:
            self._data.flags.writeable, self.grad = False, None
        elif not self._data.flags.writeable:
            try:
                self._data.flags.writeable = True
            except ValueError:  # memory that its owner has made read-only
                self._data = self._data.copy()

    def computed(self, array: np.ndarray) -> None:
        """Take `array` as the weight. Only the parametrization that computed it calls this."""
        if array is not self._data:
            wrote(self._data)
            self._data = array
        self.settle()

    def recompute(self) -> None:
        """Compute the weight anew after a write to what its parametrization computes it from."""
        if not self.trains:
            with no_grad():
                self.computed(np.array(self._parametrization.project(self).data, order="C"))

    @Tensor.data.setter
    def data(self, value: np.ndarray) -> None:
        self._check_own("data")
        Tensor.data.fset(self, value)

    def _check_own(self, operation):
        if not self.trains:
            shapes = ", ".join(str(trainable.shape) for trainable in self.active())
            raise RuntimeError(
                f"{operation}: this weight {self.shape} is computed, by {self._parametrization!r}, from "
                f"what trains in its place (shapes {shapes}), so that a write would be lost; "
                "write before the parametrization is attached, or to what its trainables() gives")

    def __reduce_ex__(self, protocol):
        new, arguments, state, *rest = super().__reduce_ex__(protocol)
        return new, arguments, (*state, self._data.flags.writeable), *rest

    def __setstate__(self, state):
        _, slots, writeable = state  # (no class of Tensors has a __dict__)
        for name, value in slots.items():
            setattr(self, name, value)
        if not writeable:  # a copy of an array is writeable
            self._data.flags.writeable = False


def parametrized(weight: Parameter | None, bias: Parameter | None) -> tuple[Tensor | None, Tensor | None]:
    """parametrized() of both, and None for one that a layer does not have."""
    return None if weight is None else weight.parametrized(), None if bias is None else bias.parametrized()


def _trainables(parametrization, weight):
    found = [weight] if parametrization is None else parametrization.trainables(weight)
    for trainable in found:
        if not isinstance(trainable, Parameter):
            raise TypeError(f"{type(parametrization).__name__}.trainables must give Parameters, got "
                            f"{type(trainable).__name__}")
    return found
