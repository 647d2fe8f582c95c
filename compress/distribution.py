"""How much of which layer: one sparsity for a network becomes one for each of its layers.

    prune = Prune(0.9, Cubic(end=500), score="obd")          # how; 0.9 of all
    compress.prepare(model, global_sparsity(model, prune, x), x)

Each gives a Recipe in which every layer has this Prune with a sparsity of its own, such that exactly
round(sparsity · groups) groups are pruned in all, and at least one of each layer stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import nn

from .examples import Example
from .layer_gradients import Loss
from .prepare import Known
from .recipe import Recipe
from .schedule import Once
from .sensitivity import Sensitivity, cross_entropy, sensitivity_scan
from .techniques.prune import Prune

# Of the saliency of each group of a layer (groups,), and how many weights each has: what all are ranked by.
NORMALISED: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "size": lambda saliency, sizes: saliency / sizes,
    "rms": lambda saliency, sizes: saliency / (np.sqrt(np.mean(np.square(saliency, dtype=np.float64))) or 1),
    "none": lambda saliency, sizes: saliency,
}


def uniform_sparsity(model: nn.Module, prune: Prune, *, layers: Sequence[str] | None = None) -> Recipe:
    """The same sparsity for every layer, as nearly as whole groups allow: those that are nearest to one more
    have it, until the total is right.

    model: it is not changed. prune: how, and how much of all. layers: their names; by default all whose
    weights have such groups. Raises ValueError for a Prune without a sparsity to distribute, an unknown
    layer, one without such groups, and where so much can't be pruned with a group left in each layer."""
    weights = _weights("uniform_sparsity", model, prune, layers)
    sizes = np.array([prune.pattern.groups(w.shape) for w in weights.values()])
    wanted = sizes * prune.sparsity
    counts = np.minimum(np.floor(wanted + 1e-9), sizes - 1).astype(int)
    missing = _total("uniform_sparsity", prune, sizes) - counts.sum()
    while missing > 0:  # (several rounds only where layers are at their last group)
        free = np.flatnonzero(counts < sizes - 1)
        nearest = free[np.argsort((counts - wanted)[free], kind="stable")][:missing]
        counts[nearest] += 1
        missing -= len(nearest)
    return _recipe(prune, weights, counts)


def global_sparsity(model: nn.Module, prune: Prune, example: Any = None, *,
                    targets: np.ndarray | None = None, loss: Loss | None = None, normalise: str = "size",
                    layers: Sequence[str] | None = None) -> Recipe:
    """The groups that score least in all layers together are pruned: one threshold for the network.

    A group of 1000 weights has a larger sum than one of ten, which says nothing about what either is worth.
    normalise: "size", the mean over the weights of a group; "rms", in units of the root mean square of the
    layer's groups, for scores that are of no common unit, as "obs" is the error of its own layer's outputs;
    or "none", the sum, for those that are a loss ("obd", "taylor").
    model, prune, layers: as for `uniform_sparsity`. example, targets, loss: as for `prepare`, for scores that
    need them. Raises ValueError as `uniform_sparsity` and the score do, and for another `normalise`."""
    if normalise not in NORMALISED:
        raise ValueError(f"global_sparsity: normalise must be one of {', '.join(NORMALISED)}; got "
                         f"{normalise!r}")
    weights = _weights("global_sparsity", model, prune, layers)
    graph = None if example is None else (example := Example.of("global_sparsity", example)).trace(model)
    known = Known.of(model, graph, example, targets, loss)
    ranked, spared = [], []
    for name, w in weights.items():
        saliency = prune.pattern.collect(np.asarray(prune.score.saliency(w.data, known.context(name, w))))
        found = NORMALISED[normalise](saliency.astype(np.float64), prune.pattern.sizes(w.shape))
        ranked.append(found)
        spared.append(np.arange(found.size) == found.size - 1 - found[::-1].argmax())  # what a layer keeps
    sizes = np.array([found.size for found in ranked])
    total = _total("global_sparsity", prune, sizes)
    order = np.lexsort((np.concatenate(ranked), np.concatenate(spared)))[:total]  # spared ones come last
    counts = np.bincount(np.repeat(np.arange(len(sizes)), sizes)[order], minlength=len(sizes))
    return _recipe(prune, weights, counts)


def scanned_sparsity(model: nn.Module, prune: Prune, x: np.ndarray, y: np.ndarray, *,
                     nbytes: int | None = None, macs: int | None = None, loss: float | None = None,
                     layers: Sequence[str] | None = None, example: Any = None,
                     targets: np.ndarray | None = None,
                     sparsities: Sequence[float] = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95),
                     measure: Callable[[Any, np.ndarray], float] = cross_entropy) -> Recipe:
    """The sparsities that add least to the loss under a budget, by a scan in which each layer alone is pruned
    to each of `sparsities`, or not at all (Han et al. 2015, §3.4; exact here, if losses add up).

    model, prune, layers: as for `uniform_sparsity`, but the sparsity of `prune` is not looked at. x, y:
    held-out inputs and what `measure(outputs, y)` compares with. nbytes, macs, loss: the budget, one of them,
    as for Sensitivity.recipe. example, targets: what scores look at, by default x and y. The scan prunes at
    once, the recipe by the schedule of `prune`. Raises ValueError as `uniform_sparsity`, `sensitivity_scan`
    and Sensitivity.recipe do."""
    names = list(_weights("scanned_sparsity", model, prune, layers))
    scan: Sensitivity = sensitivity_scan(
        model, [replace(prune, sparsity=one, schedule=Once()) for one in sparsities], x, y, example=example,
        targets=targets, layers=[name.removesuffix(".weight") for name in names], measure=measure)
    chosen = scan.recipe(nbytes=nbytes, macs=macs, loss=loss).choices
    return Recipe({layer: None if chain is None else replace(chain.stages[0], schedule=prune.schedule)
                   for layer, chain in chosen.items()})


def _weights(who: str, model: nn.Module, prune: Prune, layers: Sequence[str] | None) -> dict[str,
nn.Parameter]:
    """The weights that are to be pruned, by their names."""
    if not isinstance(prune, Prune):
        raise TypeError(f"{who}: prune must be a Prune; got {prune!r}")
    if prune.sparsity is None or prune.pattern.sparsity is not None:
        raise ValueError(f"{who}: {prune!r} has no sparsity that could be another for each layer")
    if layers is not None and (isinstance(layers, str) or not layers):
        raise ValueError(f"{who}: layers must be a list of names, one at least, or None for all; got "
                         f"{layers!r}")
    named = dict(model.named_parameters())
    every = {name.removesuffix(".weight"): name for name in Recipe(prune).weights(model)}
    if unknown := set(layers or ()) - every.keys():
        raise ValueError(f"{who}: no layer with a weight is called {sorted(unknown)}; there are "
                         f"{sorted(every)}")
    found = {name: named[name] for layer, name in every.items() if layers is None or layer in layers}
    for name, w in list(found.items()):
        if w.parametrization is not None:
            raise ValueError(f"{who}: {name} is prepared already; give the model as it was")
        if said := prune.pattern.refuses(w.shape):
            if layers is not None:
                raise ValueError(f"{who}: {name}: {said}")
            del found[name]
    if not found:
        raise ValueError(f"{who}: no layer of this {type(model).__name__} has groups of the pattern "
                         f"{prune.pattern!r}")
    return found


def _total(who: str, prune: Prune, sizes: np.ndarray) -> int:
    """How many groups are pruned in all, with one left in each layer."""
    total, most = round(float(prune.sparsity) * int(sizes.sum())), int(sizes.sum()) - len(sizes)
    if total > most:
        raise ValueError(f"{who}: {total} of {sizes.sum()} groups can't be pruned: one of each of "
                         f"{len(sizes)} layers has to stay; prune less, or choose fewer layers")
    return total


def _recipe(prune: Prune, weights: Mapping[str, nn.Parameter], counts: np.ndarray) -> Recipe:
    """This Prune for each weight, so many of its groups."""
    return Recipe({name.removesuffix(".weight"): replace(
        prune, sparsity=int(count) / prune.pattern.groups(w.shape))
        for (name, w), count in zip(weights.items(), counts, strict=True)})
