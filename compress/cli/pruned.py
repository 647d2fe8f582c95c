"""What the rows of pruning attach to a network, and cut out of it. Each takes the option of its row, and the
optimizer steps of the training that follows."""

from __future__ import annotations

import copy

import compress
import nn

from .. import Cubic, Iterative, Prune, Recipe, RigL

ROUNDS = 5  # cuts of iterative pruning
SCANNED = (0.5, 0.8, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)  # sparsities that a scan tries in each layer
PRUNED = ("conv2", "conv3", "fc")  # of digits_cnn: the first layer's 288 weights see the image itself
CONVOLUTIONS = ("conv1", "conv2", "conv3")


def prune(option: float, steps: int, **how: str) -> Prune:
    """By the cubic schedule, which ends after two thirds of the training."""
    return Prune(option, Cubic(end=max(2 * steps // 3, 1)), **how)


def by_pattern(pattern: str, layers: tuple[str, ...], option: float | None, steps: int) -> Recipe:
    """This pattern in these layers; what has no other sparsity than its own (N:M) needs no option."""
    schedule = Cubic(end=max(2 * steps // 3, 1))
    return Recipe(dict.fromkeys(layers, Prune(option, schedule, pattern=pattern)))


def by_score(score: str, option: float | None, steps: int) -> Recipe:
    """In a few cuts, for what looks at the loss, or at what layers read, anew at each of them."""
    return Recipe(dict.fromkeys(PRUNED, Prune(option, iterative(option, steps), score=score)))


def iterative(sparsity: float, steps: int) -> Iterative:
    """ROUNDS cuts within the first two thirds of so many steps, fewer where there are fewer steps, each of
    the same part of what is left."""
    within = max(2 * steps // 3, 1)
    rounds = min(ROUNDS, within)
    return Iterative(rounds, within // rounds, ratio=(1 - sparsity) ** (1 / rounds))


def regrown(option: float | None, steps: int) -> Recipe:
    """The mask begins by magnitude, as the network is trained already, and moves every fortieth part of the
    training."""
    how = {"every": max(steps // 40, 1), "until": min(max(0.75, 2 / steps), 1.0), "score": "magnitude"}
    return Recipe(dict.fromkeys(PRUNED, RigL(option, steps, **how)))


def at_once(option: float | None, steps: int) -> Recipe:
    """Pruned at the first step, by magnitude."""
    return Recipe(dict.fromkeys(PRUNED, Prune(option)))


def globally(model: nn.Module, data: nn.data.Digits, option: float | None, steps: int) -> Recipe:
    """One threshold for the weights of all layers but the first."""
    return compress.global_sparsity(model, prune(option, steps), layers=PRUNED)


def scanned(model: nn.Module, data: nn.data.Digits, option: float | None, steps: int) -> Recipe:
    """By a scan on training images: the sparsities that should add least to the loss, for as many
    multiply-adds as this sparsity in each layer leaves."""
    x, y = data.x_train[:512], data.y_train[:512]
    uniform = compress.prepare(copy.deepcopy(model), at_once(option, steps))
    return compress.scanned_sparsity(model, prune(option, steps), x, y, layers=PRUNED, sparsities=SCANNED,
                                     macs=compress.convert(uniform, x[:1]).macs)


def without_channels(model: nn.Module, data: nn.data.Digits, option: float) -> nn.Module:
    """The network without the channels that matter least: this share of its multiply-adds is left."""
    x = data.x_train[:512]
    return compress.recalibrate(compress.prune_channels(model, x[:1], macs=option), x)
