"""Which channels go: those with the least score of all that goes with them, to a number of channels or to a
budget of multiply-adds."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

import nn
from nn.arguments import count, flag, number
from nn.sizes import at

from ..layer_gradients import Loss
from ..prepare import Known
from ..pruning.score import Score, score_named
from .cut import Cut
from .groups import ChannelGroup
from .removal import without

OwnScore = Callable[[str, np.ndarray], np.ndarray]


def prune_channels(model: nn.Module, example: Any, *, macs: float | None = None,
                   fraction: float | None = None, score: str | Score | OwnScore = "magnitude",
                   globally: bool = False, multiple: int = 16, targets: np.ndarray | None = None,
                   loss: Loss | None = None) -> nn.Module:
    """A smaller network, without the channels that matter least.

        small = compress.prune_channels(model, x, macs=0.5)
        compress.recalibrate(small, x)      # then train on

    model: an nn.Module, which stays as it is. example: a batch of inputs, to trace it with; a tuple or dict
    of them where there are several.
    macs: the share of the multiply-adds of its convolutions and linear layers that may be left, in (0, 1]. Or
    fraction: the share of the channels that go at least, in [0, 1).
    score: a Score of compress/pruning/ or its name, as for Prune: "magnitude" (Li et al. 2017), "l2",
    "random", or by what the network loses on the example "taylor", "obd" and "obs", which here moves nothing;
    or a function of a weight's name and array that gives a number for each of its entries. What a channel
    counts is the sum over all weights that go with it, in all layers of its group. targets, loss: as for
    `prepare`, for the scores that need them.
    globally: whether the least of all groups go, wherever they are, a channel's score being divided by the
    mean of its group (for channels with more weights would otherwise never go); else each group gives up the
    same share. multiple: how many channels stay is rounded to a multiple of it, if they are more than it:
    kernels compute 16 channels in a register of AVX-512, so that 22 take nearly as long as 32. At least one
    channel of each group stays, and all outputs of the network.

    Returns a network of the same class, as remove_channels does. Raises TypeError or ValueError for settings
    that do not fit, for a score of another shape or that is NaN, and for a budget that can't be met; what the
    score raises, and remove_channels for a network whose forward has sizes of its own."""
    if (macs is None) == (fraction is None):
        came = "neither" if macs is None else "both"
        raise ValueError("prune_channels: wants macs, the share of the multiply-adds to be left, or "
                         f"fraction, the share of the channels to go; got {came}")
    flag("prune_channels", "globally", globally)
    if fraction is None:
        number("prune_channels", "macs", macs, 0, 1, closed=True)
    else:
        number("prune_channels", "fraction", fraction, 0, 1)
    count("prune_channels", "multiple", multiple)
    if isinstance(score, str) or not callable(score):
        score = score_named(score, "prune_channels")
    cut = Cut.of("prune_channels", model, example)
    if isinstance(score, Score):
        score = _told(cut, score, targets, loss)
    elif targets is not None or loss is not None:
        raise ValueError("prune_channels: targets and loss are for a Score; a function of one's own is not "
                         "told of them")
    scores = [_scores(cut, group, score) for group in cut.groups]
    if globally:
        scores = [one / (one.mean() or 1) for one in scores]
    else:
        scores = [np.argsort(np.argsort(one, kind="stable")) / len(one) for one in scores]
    share, wanted = (_work(cut), macs) if fraction is None else (_channels(cut), 1 - fraction)
    bounds = np.unique(np.concatenate([[0.0], *scores]))
    low, high = 0, len(bounds)  # the least bound below which all go, so that enough is gone
    while low < high:
        middle = (low + high) // 2
        enough = share(_below(cut, scores, bounds[middle], multiple)) <= wanted + 1e-12
        low, high = (low, middle) if enough else (middle + 1, high)
    roots = _below(cut, scores, bounds[low] if low < len(bounds) else np.inf, multiple)
    if share(roots) > wanted + 1e-12 and not len(cut.groups):
        raise ValueError(f"prune_channels: no channel of this {type(model).__name__} can be removed: "
                         + str(cut.groups).partition("\n")[0])
    if share(roots) > wanted + 1e-12:
        what = "multiply-adds" if fraction is None else "channels"
        raise ValueError(f"prune_channels: {share(roots):.1%} of the {what} are left when each group has one "
                         f"channel; wanted {wanted:.1%}")
    return without(cut, roots)


def _told(cut: Cut, score: Score, targets: np.ndarray | None, loss: Loss | None) -> OwnScore:
    """A score that knows the network on the example; of each weight it is asked once."""
    known, found = Known.of(cut.model, cut.graph, cut.example, targets, loss), {}

    def saliency(name: str, w: np.ndarray) -> np.ndarray:
        if name not in found:
            found[name] = score.saliency(w, known.context(name, w))
        return found[name]

    return saliency


def _scores(cut: Cut, group: ChannelGroup, score: OwnScore) -> np.ndarray:
    """Of each channel of a group the sum over the weights that go with it (of what layers multiply with: not
    of biases, nor of batch norm's parameters and statistics)."""
    total = np.zeros(len(group))
    for (name, axis), places in group.parts.items():
        if group.roles[name, axis] == "entry":
            continue
        w = cut.graph.constants[name]
        found = np.asarray(score(name, w), np.float64)
        if found.shape != w.shape or not np.isfinite(found).all():
            raise ValueError(f"prune_channels: the score of {name} must be finite and have its shape "
                             f"{w.shape}; got {found.shape}")
        along = found.sum(axis=tuple(a for a in range(w.ndim) if a != axis))
        total += [along[some].sum() for some in places]
    return total


def _below(cut: Cut, scores: list[np.ndarray], bound: float, multiple: int) -> set[int]:
    """The channels with a score below the bound, but for those with the highest that stay all the same."""
    roots: set[int] = set()
    for group, own in zip(cut.groups, scores, strict=True):
        stay = max(int(np.count_nonzero(own >= bound)), 1)
        if stay > multiple:
            stay = min(round(stay / multiple) * multiple, len(own))
        roots |= {group.roots[i] for i in np.argsort(own, kind="stable")[:len(own) - stay].tolist()}
    return roots


def _channels(cut: Cut) -> Callable[[set[int]], float]:
    """The share of all channels that is left without some."""
    total = sum(map(len, cut.groups)) or 1
    return lambda roots: 1 - len(roots) / total


def _work(cut: Cut) -> Callable[[set[int]], float]:
    """The share of the multiply-adds of convolutions and linear layers that is left without some channels."""
    sizes, followed = cut.graph.sizes(cut.row()), cut.groups.followed
    layers = []
    for node in cut.graph.nodes:
        if node.op in ("conv2d", "conv_transpose2d", "linear"):
            weight = cut.graph.value(node.inputs[1]).shape
            image = cut.graph.value(node.inputs[0] if node.op == "conv_transpose2d" else node.output).shape
            image = at(image, sizes)
            times = prod(image[:-1] if node.op == "linear" else (image[0], *image[2:])) * prod(weight[2:])
            along = [np.array([followed.entries.root(int(entry)) for entry in axis])
                     for axis in followed.axes[node.inputs[1]][:2]]
            layers.append((times, *along))

    def macs(roots: set[int]) -> int:
        gone = np.array(sorted(roots), int)
        return sum(times * int((~np.isin(first, gone)).sum()) * int((~np.isin(second, gone)).sum())
                   for times, first, second in layers)

    whole = macs(set()) or 1
    return lambda roots: macs(roots) / whole
