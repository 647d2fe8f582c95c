"""Recipes for training with pruning in it: dense-sparse-dense, and lottery tickets with their controls.

Each is a few lines on top of nn.train.fit, prepare and unprepare. What it is worth, a control of equal epochs
says: for dense-sparse-dense the same call without a recipe; for a ticket the same masks with weights that are
drawn anew (`rewound` to the state of a fresh network), which Liu et al. (2019), "Rethinking the value of
network pruning", found to do as well where learning rates are large, and Frankle & Carbin (2019) to do worse
where they are small; and the network that was only pruned and fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

import nn
from nn.arguments import count, instance
from nn.train import fit

from .prepare import prepare, prepared, unprepare

Builds = Callable[[Iterable[nn.Tensor]], nn.optim.Optimizer]


def dense_sparse_dense(model: nn.Module, x: np.ndarray, y: np.ndarray, recipe: Any, *,
                       epochs: tuple[int, int, int], optimizer: Builds, rng: np.random.Generator,
                       rates: tuple[float, float, float] = (1.0, 1.0, 0.1), example: Any = None,
                       targets: np.ndarray | None = None, **how: Any) -> nn.Module:
    """Train dense, then pruned by `recipe`, then all weights again, the pruned ones from 0 (Han et al. 2017,
    "DSD: dense-sparse-dense training for deep neural networks"): a regularisation, whose result is dense.

    model: trained in place on x and y, and returned. recipe: a Prune, such as Prune(0.3), or a recipe of
    them; None for the control, which is trained densely for the same epochs at the same rates. epochs: of the
    three phases. optimizer(parameters) builds one for each phase, whose learning rate is multiplied by that
    phase's of `rates` (the paper's last one is 0.1). example, targets: of `prepare`. rng, how: of
    nn.train.fit. Raises ValueError for a model that is prepared already, and a checkpoint, which could be of
    one phase only; and what `fit` and `prepare` raise."""
    _check("dense_sparse_dense", model, how)
    for name, phases in (("epochs", epochs), ("rates", rates)):
        if not isinstance(phases, (tuple, list)) or len(phases) != 3:
            raise ValueError(f"dense_sparse_dense: {name} must be those of three phases; got {phases!r:.80}")
    for many in epochs:
        count("dense_sparse_dense", "epochs", many, 0)
    for phase, (many, rate) in enumerate(zip(epochs, rates, strict=True)):
        if phase == 1 and recipe is not None:
            prepare(model, recipe, example, targets=targets)
        if phase == 2 and recipe is not None:
            unprepare(model)
        built = optimizer(model.parameters())
        for group in built.param_groups:
            group["lr"] *= rate
        fit(model, x, y, epochs=many, optimizer=built, rng=rng, **how)
    return model


def lottery_ticket(model: nn.Module, x: np.ndarray, y: np.ndarray, recipes: Sequence[Any], *, epochs: int,
                   optimizer: Builds, rng: np.random.Generator, rewind: int = 0, example: Any = None,
                   targets: np.ndarray | None = None, **how: Any) -> nn.Module:
    """Train, prune, set what is left back to where it was early in the training, and train that: Frankle &
    Carbin (2019), "The lottery ticket hypothesis".

    model: trained in place on x and y, and returned, prepared by the last of `recipes`. recipes: one for a
    ticket at once, or several of rising sparsity, [Prune(0.5), Prune(0.75), ...], before each of which the
    network is trained from the rewound weights (iterative magnitude pruning). epochs: of each training.
    rewind: the optimizer step of the first training, whose weights and buffers it goes back to: 0 for those
    it began with, some hundreds for larger networks (Frankle et al. 2020). optimizer(parameters) builds one
    for each training. example, targets: of `prepare`. rng, how: of nn.train.fit. Raises ValueError for no
    recipe, a `rewind` beyond the training, a model that is prepared already, and a checkpoint; and what
    `fit`, `prepare` and `rewound` raise."""
    _check("lottery_ticket", model, how)
    instance("lottery_ticket", "recipes", recipes, (tuple, list), "a list of recipes, one for each training")
    if not recipes:
        raise ValueError("lottery_ticket: wanted one recipe at least, got none")
    steps = epochs * ceil(len(x) / how.get("batch_size", 64))
    if count("lottery_ticket", "rewind", rewind, 0) > steps:
        raise ValueError(f"lottery_ticket: a training has {steps} steps; it can't be rewound to step "
                         f"{rewind}")
    early = {} if rewind else model.state_dict()
    told = how.pop("on_step", None)

    def remember(step: int, loss: float) -> None:
        if step == rewind and not early:
            early.update(model.state_dict())
        if told is not None:
            told(step, loss)

    def train() -> None:
        fit(model, x, y, epochs=epochs, optimizer=optimizer(model.parameters()), rng=rng, on_step=remember,
        **how)

    for recipe in recipes:
        train()
        if prepared(model) is not None:
            unprepare(model)
        prepare(model, recipe, example, targets=targets)
        rewound(model, early)
    train()
    return model


def rewound(model: nn.Module, state: Mapping[str, np.ndarray]) -> nn.Module:
    """Give a prepared model the weights and buffers of `state`, while its masks stay: in place, and returned.

    state: the state_dict of the same network before it was prepared, from early in its training; or of a
    fresh one, for the control. Build the optimizer afterwards. Raises ValueError for a model that is not
    prepared, one whose schedules have not ended or whose weights are computed from others, and for a state in
    which a weight or a buffer is missing."""
    if prepared(model) is None:
        raise ValueError(f"rewound: this {type(model).__name__} is not prepared: it has no masks to keep")
    for name, weight in model.named_parameters():
        chain = weight.parametrization
        if chain is not None and not chain.finished():
            raise ValueError(f"rewound: the schedule of {name} has not ended; its mask would go on to change")
        if not weight.trains:
            raise ValueError(f"rewound: {name} is computed, by {chain!r}, from what trains in its place")
    own = [name for name, _ in (*model.named_parameters(), *model.named_buffers())]
    if missing := [name for name in own if name not in state]:
        raise ValueError(f"rewound: the state has no {', '.join(missing)}")
    model.load_state_dict({name: state[name] for name in own}, strict=False)
    return model


def _check(who: str, model: nn.Module, how: Mapping[str, Any]) -> None:
    if prepared(model) is not None or any(one.parametrization is not None for one in model.parameters()):
        raise ValueError(f"{who}: this {type(model).__name__} is prepared already; give it as it was")
    if how.get("checkpoint") is not None:
        raise ValueError(f"{who}: a checkpoint is of one call of fit, and this calls it several times")
