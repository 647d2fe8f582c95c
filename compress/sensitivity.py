"""Which layers bear fewer bits: each is compressed alone, by each choice, and the loss is measured; then the
choices for all layers under a budget of bytes, of multiply-adds or of loss, as if what they cost simply
added up.

That it adds up is an assumption (Dong et al. 2019, "HAWQ", rest on it too, with the trace of the Hessian in
the place of a measurement), so measure the recipe that comes out: `print(scan)` shows what was assumed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import nn

from .chain import Chain
from .convert import convert
from .prepare import prepare
from .recipe import Recipe
from .stored import Stored


@dataclass(frozen=True)
class Trial:
    """One `layer` by one `choice` (None: as it is), all others as they are: bytes of its weight as stored,
    how much more `loss` there was than without, the sum of the `squares` of what each weight moved by (of
    k-means the inertia), and how many more multiply-adds an example: less than 0."""

    layer: str
    choice: Chain | None
    nbytes: int
    loss: float
    macs: int = 0
    squares: float = 0.0


@dataclass(frozen=True)
class Sensitivity:
    """What `sensitivity_scan` found. loss, macs: of the network as it is. trials: of each layer, by its name.
    """

    loss: float
    trials: dict[str, tuple[Trial, ...]]
    macs: int = 0

    def recipe(self, *, nbytes: int | None = None, loss: float | None = None, macs: int | None = None
               ) -> Recipe:
        """The choices with the least loss in so many bytes of weights, or with so many multiply-adds (`macs`)
        an example; or, where `loss` is given, with the fewest bytes that add at most so much to the loss.
        Exact, if losses add up: all choices are compared.

        Raises ValueError unless just one budget is given, and where nothing fits it."""
        if sum(one is not None for one in (nbytes, loss, macs)) != 1:
            raise ValueError("Sensitivity.recipe: give nbytes=, loss= or macs=, one of them")
        front = self.front("nbytes" if macs is None else "macs")
        most = nbytes if macs is None else macs
        fits = [one for one in front if (one[0] <= most if loss is None else one[1] <= loss)]
        if not fits:
            least = min(size for size, *_ in front)
            what = "bytes" if macs is None else "multiply-adds"
            raise ValueError(f"Sensitivity.recipe: nothing fits; the smallest takes {least:,} {what}")
        _, _, chosen = min(fits, key=lambda one: (one[1], one[0]) if loss is None else (one[0], one[1]))
        return Recipe({trial.layer: trial.choice for trial in chosen})

    def front(self, by: str = "nbytes") -> list[tuple[int, float, tuple[Trial, ...]]]:
        """Bytes (or multiply-adds, by="macs"), loss beyond the network's and the trial for each layer, of all
        choices that no other beats in both: layer by layer, since what is beaten among some is beaten
        whatever the others take."""
        front: list[tuple[int, float, tuple[Trial, ...]]] = [(self.macs if by == "macs" else 0, 0.0, ())]
        for trials in self.trials.values():
            every = sorted(((size + getattr(one, by), loss + one.loss, (*chosen, one))
                            for size, loss, chosen in front for one in trials), key=lambda found: found[:2])
            front, best = [], np.inf
            for found in every:
                if found[1] < best:
                    front.append(found)
                    best = found[1]
        return front

    def predicted(self, recipe: Recipe) -> tuple[int, float]:
        """Bytes of the weights and the loss with the choices of one of its recipes, if losses add up."""
        chosen = [next(one for one in trials if one.choice is recipe.choices.get(layer))
                  for layer, trials in self.trials.items()]
        return sum(one.nbytes for one in chosen), self.loss + sum(one.loss for one in chosen)

    def by_squares(self) -> Sensitivity:
        """The same trials, with squares in the place of losses: its recipes know nothing of the data. The two
        need not agree on which layers bear fewer bits; `predicted` tells what the recipe of one costs by the
        other."""
        return Sensitivity(0.0, {layer: tuple(replace(one, loss=one.squares) for one in trials)
                                 for layer, trials in self.trials.items()})

    def __str__(self) -> str:
        lines = [f"loss {self.loss:.4g} as it is; with one layer compressed:"]
        wide = max(map(len, self.trials))
        for layer, trials in self.trials.items():
            for one in trials:
                how = "as it is" if one.choice is None else " + ".join(map(repr, one.choice.stages))
                lines.append(f"  {layer:<{wide}}  {one.nbytes:>10,} bytes  {one.loss:+.4f}  squares "
                             f"{one.squares:<9.4g}  {how}")
        return "\n".join(lines)


def cross_entropy(outputs: np.ndarray, y: np.ndarray) -> float:
    """Mean cross-entropy of logits (N, classes) and class numbers (N,)."""
    with nn.no_grad():
        return float(nn.functional.cross_entropy(nn.Tensor(outputs), y).data)


def sensitivity_scan(model: nn.Module, choices: Sequence[Any], x: np.ndarray, y: np.ndarray, *,
                     example: np.ndarray | None = None, targets: np.ndarray | None = None,
                     layers: Sequence[str] | None = None,
                     measure: Callable[[Any, np.ndarray], float] = cross_entropy) -> Sensitivity:
    """Compress one layer of a trained model after the other by each of `choices`, and measure the loss.

    model: plain, float32; it is not changed. choices: what a Recipe may have for a layer; each layer may stay
    as it is, too. x, y: held-out inputs (N, …) and what `measure(outputs, y)` compares with, smaller being
    better. example, targets: inputs to calibrate on and what is known of them, as for `prepare`; by default x
    and y. layers: their names, by default all with weights.
    Raises ValueError for no choices and for a model that is prepared already, and as `prepare` and `convert`
    do; TypeError for what is no choice for a layer, as a whole recipe is."""
    if not choices:
        raise ValueError("sensitivity_scan: wanted one choice at least, got none")
    for choice in choices:
        if choice is None or isinstance(choice, (dict, Recipe)):
            raise TypeError("sensitivity_scan: a choice is for any layer, a transform, a list of transforms "
                            f"or a Chain (as it is, None, each may stay anyway); got {choice!r}")
    if any(weight.parametrization is not None for weight in model.parameters()):
        raise ValueError(f"sensitivity_scan: this {type(model).__name__} is prepared already; give it as it "
                         "was")
    if targets is None and example is None and np.shape(y)[:1] == np.shape(x)[:1]:
        targets = y
    example = x if example is None else example
    chains = [Recipe(choice).choices["*"] for choice in choices]
    plain = copy.deepcopy(model).eval()
    weights = Recipe({"*": chains[0]}).weights(plain)
    names = {weight.removesuffix(".weight"): weight for weight in weights}
    unknown = set(layers or ()) - names.keys()
    if unknown:
        raise ValueError(f"sensitivity_scan: no layer with a weight is called {sorted(unknown)}; there are "
                         f"{sorted(names)}")
    dense = convert(plain, example)
    base, macs = measure(dense(x), y), dense.macs
    parameters = dict(plain.named_parameters())
    trials = {}
    for layer in layers or names:
        found = [Trial(layer, None, parameters[names[layer]].data.nbytes, 0.0)]
        for chain in chains:
            twin = prepare(copy.deepcopy(plain), {layer: chain}, example, targets=targets)
            program = convert(twin.eval())
            stored = program.constants[names[layer]]
            size = sum(stored.itemised().values()) if isinstance(stored, Stored) else stored.nbytes
            w = dict(twin.named_parameters())[names[layer]]
            seen = w.parametrization.encode(w.data).decode()
            squares = float(np.sum((parameters[names[layer]].data.astype(np.float64) - seen) ** 2))
            loss = measure(program(x), y) - base
            found.append(Trial(layer, chain, size, loss, program.macs - macs, squares))
        trials[layer] = tuple(found)
    return Sensitivity(base, trials, macs)
