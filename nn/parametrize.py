"""Parametrizations: what computes a weight, or a whole Module, from something else while the network trains.

    class Symmetric(Parametrization):
        def project(self, parameter):
            return (parameter + parameter.T) / 2

    layer.weight.parametrization = Symmetric()

Subclass a base class below, and write the hooks that differ from its defaults.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .tensor import Tensor


class Stateful:
    """What a parametrization knows beside the weights, as a part of the model's state."""

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of all arrays that this object must get back to go on, by name. Raises TypeError where it
        has attributes and this method is not overridden: they would be lost."""
        if vars(self):
            raise TypeError(f"{type(self).__name__} has the attributes {', '.join(vars(self))}, and no "
                            "methods state_arrays() and load_state(arrays) to save them by")
        return {}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `state_arrays()`. Raises ValueError for arrays that do not fit."""
        if arrays:
            raise ValueError(f"a {type(self).__name__} has no {', '.join(arrays)}")


class Parametrization(Stateful):
    """Base class of what stands between a weight (a Parameter) and its layer.

    It may compute the weight from other Parameters, which train in its place. Then the weight's array is
    read-only, since a write would be lost, and the parametrization sets it by `Parameter.computed`.
    """

    def project(self, parameter: Tensor) -> Tensor:
        """The weight as the layer sees it. Raises TypeError in a subclass that does not override it."""
        raise TypeError(f"{type(self).__name__} has no project method")

    def trainables(self, parameter: Tensor) -> list[Tensor]:
        """The Parameters that an optimizer trains in the weight's place: the weight itself, by default. Where
        they change as the training goes on, name all of them here and the present ones in `active`."""
        return [parameter]

    def active(self, parameter: Tensor) -> list[Tensor]:
        """Those of `trainables` that the layer sees now: all, by default."""
        return self.trainables(parameter)

    def update(self, parameter: Tensor, step: int) -> np.ndarray | None:
        """Called after optimizer step number `step` (from 1), for schedules and moving averages.

        Returns where the optimizer's averages of the weight begin anew, booleans of its shape, or None."""


class ModuleParametrization(Stateful):
    """Base class of what computes in place of a Module's forward, except while the Module is traced.

    What a call changes it must replace, not change in place: when a step fails, the attributes are put back.
    """

    def __call__(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        """What `module` gives for its arguments. Raises TypeError in a subclass that does not override it."""
        raise TypeError(f"{type(self).__name__} has no __call__ method")
