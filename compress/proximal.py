"""Training that makes zeros of its own accord: L1 and group lasso, by proximal steps.

A penalty λ·Σ √n_g·‖w_g‖₂ over groups of n_g weights (L1 where each is alone; Yuan & Lin 2006 for the √n_g)
has no gradient where a group is 0, which is where it is to end; gradient steps on it come near and oscillate.
A proximal step (Parikh & Boyd 2014, §6.5) after each step of the optimizer, with its learning rate η,

    w_g ← argmin over v of  ½·‖v − w_g‖² + η·λ·√n_g·‖v‖ = w_g · max(0, 1 − η·λ·√n_g/‖w_g‖)

gives exact zeros (soft thresholding). Wen et al. (2016), "Learning structured sparsity in deep neural
networks", train filters, channels and shapes so; then Prune makes sure that zeros stay.

Before a batch norm this has a catch. The norm divides a filter's scale out again, so that a filter half as
large computes the same and pays half as much: the penalty only shrinks scales, and what goes to 0 says
nothing of what matters. So penalise what the norm multiplies with, its weight γ, one number for each filter
(Liu et al. 2017, "Learning efficient convolutional networks through network slimming")."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

import nn
from nn.arguments import instance, number

from . import pruning  # noqa: F401  loads all patterns
from .pruning.pattern import Pattern, pattern_named


class Proximal:
    """Proximal steps on some parameters of a model, as `on_step` of nn.train.fit.

        fit(model, x, y, ..., optimizer=optimizer,
            on_step=Proximal(model, optimizer, 1e-4, {"conv*.weight": "filter", "fc.weight": "element"}))

    strength: λ, as a part of the loss. groups: names of parameters, or patterns for names ("*" for all), and
    a pruning Pattern or its name for each; of a parameter of one dimension, such as a batch norm's γ, each
    number is alone. The first name that fits counts; None leaves a parameter alone. The learning rate is that
    of the optimizer's group in that moment. Under Adam, whose steps have a scale of their own, that is a
    penalty beside the loss, as AdamW's decay is one.

    It has no state, so a run that resumes from a checkpoint goes on to the same bits if it is given again. An
    AveragedModel sees the weights before it. Raises TypeError or ValueError for a strength that is no number
    of at least 0, a name that no parameter has, one whose shape has no such groups, a pattern that has none,
    as "2:4", and a parameter that this optimizer does not train, or that its parametrization computes."""

    def __init__(self, model: nn.Module, optimizer: nn.optim.Optimizer, strength: float,
                 groups: Mapping[str, Pattern | str | None]) -> None:
        instance("Proximal", "model", model, nn.Module, "an nn.Module")
        instance("Proximal", "optimizer", optimizer, nn.optim.Optimizer, "an Optimizer")
        instance("Proximal", "groups", groups, Mapping, "a dict of names and patterns")
        self.strength = number("Proximal", "strength", strength)
        self.optimizer = optimizer
        named = dict(model.named_parameters())
        for key in groups:
            if not any(fnmatchcase(name, key) for name in named):
                raise ValueError(f"Proximal: no parameter is called {key!r}; there are {', '.join(named)}")
        self.patterns: dict[str, Pattern | None] = {}
        for name, parameter in named.items():
            chosen = next((groups[key] for key in groups if fnmatchcase(name, key)), None)
            if chosen is not None:
                self.patterns[name] = self._pattern(name, parameter, chosen)
        self.parameters = {name: named[name] for name in self.patterns}

    def _pattern(self, name: str, parameter: nn.Parameter, chosen: Pattern | str) -> Pattern | None:
        """The pattern for a parameter; None where each number is alone."""
        if not any(one is parameter for one in self.optimizer.params):
            raise ValueError(f"Proximal: {name} is not trained by this optimizer (or its parametrization "
                             "computes it from others)")
        if parameter.ndim < 2:
            return None
        pattern = pattern_named(chosen, "Proximal")
        if pattern.sparsity is not None:
            raise ValueError(f"Proximal: {name}: the pattern {pattern!r} says how many of its neighbours a "
                             "weight may have, and has no groups that could become 0")
        if said := pattern.refuses(parameter.shape):
            raise ValueError(f"Proximal: {name}: {said}")
        return pattern

    def __call__(self, step: int = 0, loss: float = 0.0) -> None:
        """The proximal step after a step of the optimizer."""
        rates = {id(one): group["lr"] for group in self.optimizer.param_groups for one in group["params"]}
        for name, parameter in self.parameters.items():
            amount = rates[id(parameter)] * self.strength
            parameter.data = soft_threshold(parameter.data, amount, self.patterns[name])


def soft_threshold(w: np.ndarray, amount: float, pattern: Pattern | None = None) -> np.ndarray:
    """w·max(0, 1 − amount·√n/‖w‖) in each group of n weights: the proximal operator of amount·Σ √n·‖·‖₂.

    pattern: whose groups they are; None for each weight by itself, where it is sign(w)·max(|w| − amount, 0).
    Of w's shape and dtype."""
    sizes = np.abs(w, dtype=np.float64)
    if pattern is None:
        left = np.maximum(1 - amount / np.maximum(sizes, np.finfo(np.float64).tiny), 0)
        return (w * left).astype(w.dtype)
    labels = pattern.labels(w.shape)
    norms = np.sqrt(np.bincount(labels.ravel(), np.square(sizes).ravel()))
    counts = np.sqrt(np.bincount(labels.ravel()))
    left = np.maximum(1 - amount * counts / np.maximum(norms, np.finfo(np.float64).tiny), 0)
    return (w * left[labels]).astype(w.dtype)
