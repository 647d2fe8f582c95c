"""Optimal brain surgery: what a layer's outputs lose with a weight when all others of its row make it
good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn.arguments import flag, number

from ..second_order import damped, inverse_factor
from ..stored import as_matrix, from_matrix
from ..transform import Context
from .brain_surgery import compensated, removals, rising
from .score import Score


@dataclass(frozen=True)
class OBS(Score, name="obs"):
    """½·w²/[H⁻¹]ᵢᵢ with H⁻¹ of the weights of the row that are still there, and the rest of the row moved by
    what that weight's removal asks for (Hassibi & Stork 1993, "Second order derivatives for network
    pruning"). Layer by layer: the loss is the mean square of what the layer's outputs move by on prepare's
    example, whose H is that of GPTQ (second_order.py), damped by `damping` times the mean of its diagonal.

    Each row is taken apart weight by weight in the order of least cost, and a weight's saliency is what it
    cost when it went, so a whole row has ½·w·H·wᵀ, what it costs to prune it (and nothing can make that
    good). Where a later weight of a row cost less than an earlier one, they share their costs evenly: the
    earlier ones must go first. Groups across rows, as columns, have the sum, which is what their weights cost
    if each row goes on in its own order.

    That takes n³ operations for each row of n weights. greedy=False is for layers of more than a thousand
    inputs: all are ranked by what removing them alone would cost, which takes n³ for the layer.

    It moves the weights that stay, when a model is prepared and at each step of a schedule that prunes more.
    Raises TypeError or ValueError for another damping or greedy; in `prepare`, ValueError without an example.
    """

    damping: float = 0.01
    greedy: bool = True

    reads = True

    def __post_init__(self) -> None:
        number("OBS", "damping", self.damping, 0, 1, above=True, closed=True)
        flag("OBS", "greedy", self.greedy)

    def saliency(self, w: np.ndarray, context: Context) -> np.ndarray:
        ranked = []
        for rows, h in self._groups(as_matrix(w), context):
            factor = inverse_factor(h)
            inverse = factor.T @ factor
            if not self.greedy:
                ranked.append(np.square(rows, dtype=np.float64) / np.diag(inverse) / 2)
                continue
            order, costs = removals(rows, inverse)
            found = np.empty(rows.shape)
            np.put_along_axis(found, order, rising(costs), axis=1)
            ranked.append(found)
        return from_matrix(np.concatenate(ranked), w.shape)

    def adjusted(self, w: np.ndarray, mask: np.ndarray, context: Context) -> np.ndarray:
        groups = self._groups(as_matrix(w), context)
        stays = np.split(as_matrix(mask), len(groups))
        rows = [compensated(rows, some, h) for (rows, h), some in zip(groups, stays, strict=True)]
        most = np.finfo(w.dtype).max
        return from_matrix(np.concatenate(rows), w.shape).clip(-most, most).astype(w.dtype)

    def _groups(self, rows: np.ndarray, context: Context) -> list[tuple[np.ndarray, np.ndarray]]:
        """The rows of a convolution's groups (a linear layer is one), each with its H, damped."""
        if context.hessian is None:
            raise ValueError(f"OBS: {context.name} is scored by what its layer reads: give prepare an "
                             "example batch of inputs")
        hessian = context.hessian()
        width = rows.shape[1]
        if hessian.matrix.shape[1:] != (width, width) or len(rows) % len(hessian.matrix):
            raise ValueError(f"OBS: {context.name} is a matrix {rows.shape}, what its layer reads has a "
                             f"Hessian {hessian.matrix.shape}")
        return [(some, damped(h, self.damping))
                for some, h in zip(hessian.groups(rows), hessian.matrix, strict=True)]
