"""A Chain of transforms: the parametrization through which a layer sees its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nn.parametrize import Parametrization
from nn.tensor import Tensor, shared

from .formats.format import Format
from .formats.straight_through import USUAL_GRADIENT
from .state import from_arrays, to_arrays
from .stored import Stored
from .transform import Context, Transform


class Chain(Parametrization):
    """Transforms applied to one weight, one after the other.

    `attach(parameter)` fits a copy of the chain to a weight and makes it that weight's parametrization.
    stages: the transforms, first to last. states: what they know of a weight, once they are fitted to it.
    Raises TypeError for what is no Transform, ValueError for no stages and, as `check()` does, for an order
    in which a later stage would destroy what an earlier one made."""

    def __init__(self, stages: Sequence[Transform], states: Sequence[Any] | None = None) -> None:
        self.stages = tuple(stages)
        self.states = None if states is None else tuple(states)
        self.check()
        self._coded = max(sum(not stage.lossless for stage in self.stages), 1)  # the first that only codes
        last = self.stages[self._coded - 1]  # of those that change the weight: what it is stored as
        self.activations: Format | None = last.activations  # what the layer reads once converted
        self.observer, self.rounding = last.observer, last.rounding
        self.gradient = last.gradient  # through the rounding of both
        trains = type(last).trainables is not Transform.trainables  # what its rounding has a gradient for
        self.own_gradient = self.gradient != USUAL_GRADIENT or trains
        self.folds = all(stage.folds for stage in self.stages)  # a batch norm, into the weight
        self._owns = any(type(stage).trainables is not Transform.trainables for stage in self.stages)

    def check(self) -> None:
        """Raise where a stage is no transform, or where it would destroy an invariant of an earlier one."""
        if not self.stages:
            raise ValueError("Chain: needs at least one transform")
        for i, later in enumerate(self.stages):
            if not isinstance(later, Transform):
                raise TypeError(f"Chain: stage {i} is no transform: {later!r}; a technique is an instance of "
                                "a subclass of compress.Transform")
            for earlier in self.stages[:i]:
                if earlier.lossless:
                    raise ValueError(f"Chain: {type(later).__name__} can't come after "
                                     f"{type(earlier).__name__}, which codes what is stored in the end")
                if lost := earlier.makes - later.keeps:
                    first, what = type(earlier).__name__, min(lost, key=lambda one: one.name)
                    raise ValueError(f"Chain: {type(later).__name__} after {first} would destroy "
                                     f"{what.value} ({what.name}), which {first} made")

    def attach(self, parameter: Any, context: Context) -> Chain:
        """Fit a fresh chain of the same transforms to `parameter` and make it its parametrization.

        A frozen weight (requires_grad=False) is at the end of all schedules at once: it isn't trained, so a
        slow schedule would spare nothing, and there may be no optimizer whose steps move it on."""
        if parameter.parametrization is not None:
            raise ValueError(f"{context.name}: it has a parametrization already "
                             f"({parameter.parametrization!r}); one weight, one chain")
        chain = Chain(self.stages)
        w = chain.fit(parameter.data, context)
        if w is not parameter.data:
            parameter.data = w
        parameter.parametrization = chain
        if chain.end and not parameter.requires_grad:
            chain.update(parameter, chain.end)
        return chain

    @property
    def end(self) -> int:
        """The optimizer step at which the last schedule has ended; 0 without one."""
        return max(stage.end for stage in self.stages)

    def fit(self, w: np.ndarray, context: Context) -> np.ndarray:
        """Fit every stage to the weight as the stages before it leave it; gives the weight as the first stage
        wants it to be. Raises ValueError for a weight that is empty or holds NaN or infinity, as the stages
        do, and where a later stage wants another weight."""
        if not np.isfinite(w).all():
            raise ValueError(f"{context.name}: the weight holds NaN or infinity")
        if not w.size:
            raise ValueError(f"{context.name}: the weight is empty (shape {w.shape})")
        states, whole = [], w
        for i, stage in enumerate(self.stages):
            states.append(stage.fit(w, context))
            moved = stage.adjusted(w, states[-1], context)
            if moved is not w and i:
                raise ValueError(f"{context.name}: {stage!r} moves the weights that stay, which only the "
                                 f"first stage of a Chain can do; here {self.stages[0]!r} is the first")
            if not i:
                whole = w = moved
            context = replace(context, settled=max(context.settled, stage.end),
                              pruned=context.pruned or stage.prunes(w))
            w = stage.project(Tensor(w), states[-1]).data
        self.states = tuple(states)
        return whole

    # What a Parameter and an optimizer call

    def project(self, w: Tensor) -> Tensor:
        """The weight as the layer sees it while it trains."""
        for stage, state in self._fitted():
            w = stage.project(w, state)
        return w

    def trainables(self, parameter: Any) -> list[Tensor]:
        """What the optimizer trains: what the stages own, or if they own nothing the weight itself.

        Both where there is a schedule or a stage `waits`: one optimizer is right before and after that."""
        return self._trained(parameter, later=True)

    def active(self, parameter: Any) -> list[Tensor]:
        """Those of `trainables` that the layer sees now."""
        return self._trained(parameter, later=False)

    def _trained(self, parameter: Any, later: bool) -> list[Tensor]:
        if not self._owns and self.states is not None:
            return [parameter]
        fitted = self._fitted()
        waiting = [stage.waits(state) for stage, state in fitted]
        owned = [tensor for (stage, state), waits in zip(fitted, waiting, strict=True) if later or not waits
                 for tensor in stage.trainables(state)]
        both = any(waiting) or (later and self.end) or any(stage.beside for stage in self.stages)
        return [parameter, *owned] if both or not owned else owned

    def update(self, parameter: Any, step: int) -> np.ndarray | None:
        """After an optimizer step: every stage moves on, in place. Returns where the optimizer's averages
        begin anew, booleans of the weight's shape, or None.

        Steps are those of the weight since it was prepared: an optimizer that is new counts from 1, and the
        schedules go on from where they stood."""
        array, fitted = parameter.data, self._fitted()
        w = shared(array)  # a stage may set its array, even where the weight's is read-only
        step = max([step, *(stage.last_step(state) + 1 for stage, state in fitted)])
        changed = [stage.update(state, w, step) for stage, state in fitted]
        if self._owns or w.data is not array:
            parameter.computed(w.data)
        anew = [where for where in changed if where is not None]
        return np.logical_or.reduce(anew) if anew else None

    # What the state of the model calls

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of what the stages know of the weight, by name: a part of the model's state_dict."""
        return to_arrays(tuple(state for _, state in self._fitted()))

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from the `state_arrays` of a chain of the same stages. Raises ValueError where names, shapes
        or dtypes are those of another, or a stage finds that they do not fit its settings."""
        fitted = self._fitted()
        loaded = from_arrays(tuple(state for _, state in fitted), arrays)
        for (stage, own), new in zip(fitted, loaded, strict=True):
            stage.check_state(new, own)
        self.states = loaded

    # What convert calls

    def check_finished(self) -> None:
        """Raise ValueError where a schedule has not ended: the weight is not yet what was asked for."""
        for stage, state in self._fitted():
            stage.check_finished(state)

    def finished(self) -> bool:
        """Whether all schedules have ended."""
        try:
            self.check_finished()
        except ValueError:
            return False
        return True

    def storable(self) -> bool:
        """Whether the weight can be stored now: all schedules have ended; or the layer reads activations of a
        format, for which it is rounded all the while, and no stage `waits`."""
        if self.activations is None:
            return self.finished()
        return not any(stage.waits(state) for stage, state in self._fitted())

    def frozen(self) -> bool:
        """Whether the statistics of a batch norm that is folded into the layer stand still as it trains."""
        *_, (last, state) = self._changing()
        return last.frozen(state)

    def ended(self, w: np.ndarray, context: Context) -> Chain:
        """The chain as it will be when its schedules have ended, if the weight stays what it is now."""
        if not self.end:
            return self
        last = Chain([stage.ended() for stage in self.stages])
        last.fit(w, context)
        return last

    def rescaled(self, factor: np.ndarray) -> Chain:
        """The fitted chain of the same weight with its output channels multiplied by `factor` (O,)."""
        chain = Chain.__new__(Chain)  # whose stages have been checked
        rescaled = [stage.rescaled(state, factor) for stage, state in self._fitted()]
        vars(chain).update(vars(self), states=tuple(rescaled))
        return chain

    def before_last(self, w: Tensor) -> Tensor:
        """The weight as the stages before the last one leave it, differentiable."""
        for stage, state in self._changing()[:-1]:
            w = stage.project(w, state)
        return w

    def encode(self, w: np.ndarray, least: np.ndarray | None = None) -> Stored:
        """The weight in the stored form of the last stage that changes it, after the stages before it; coded
        by those that follow.

        least: (O,), the smallest scale that a channel may have; only where there are `activations`."""
        *before, (last, state) = self._changing()
        for stage, earlier in before:
            w = stage.project(Tensor(w), earlier).data
        stored = last.encode(w, state) if least is None else last.encode(w, state, least)
        for stage in self.stages[self._coded:]:
            stored = stage.code(stored)
        return stored

    def bound(self, w: np.ndarray) -> float | None:
        """Certified norm(w − project(w)): the sum of the stages' bounds (triangle inequality). None where a
        stage has none, or one before the last has a norm of its own."""
        *before, (last, state) = self._changing()
        total = 0.0
        for stage, earlier in before:
            bound = stage.bound(w, earlier)
            if bound is None or type(stage).norm is not Transform.norm:
                return None
            total += bound
            w = stage.project(Tensor(w), earlier).data
        bound = last.bound(w, state)
        return None if bound is None else last.longest(total, state) + bound

    def norm(self, change: np.ndarray) -> float:
        """The size of a change of the weight as the last stage means it: what `bound` bounds."""
        *_, (last, state) = self._changing()
        return last.norm(change, state)

    def _changing(self) -> list[tuple[Transform, Any]]:
        """The stages that change the weight, and their States: those that only code come after them."""
        return self._fitted()[: self._coded]

    def _fitted(self) -> list[tuple[Transform, Any]]:
        if self.states is None:
            raise RuntimeError(f"{self!r} has not been fitted to a weight yet")
        return list(zip(self.stages, self.states, strict=True))

    def __repr__(self) -> str:
        return f"Chain([{', '.join(map(repr, self.stages))}])"
