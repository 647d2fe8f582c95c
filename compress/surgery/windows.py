"""Kernel windows that are larger than what is not zero in them: 5×5 with a border of zeros is 3×3."""

from __future__ import annotations

import numpy as np

import nn
from nn.graph import Graph

from .layers import owner_of, take_up


def shrink_windows(model: nn.Module, graph: Graph) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Cut rows and columns of zeros off the windows of convolutions, in place, where that is exact: as many
    before as behind, with as much less padding; the middle stays. graph: of the model, with its modules.
    Returns the shapes of weights before and after."""
    shapes = {}
    for name, parameter in list(model.named_parameters()):
        conv = owner_of(model, name)
        users = graph.users(name)
        if type(conv) not in (nn.Conv1d, nn.Conv2d) or parameter is not conv.weight or len(users) != 1 or (
                users[0].module != name.rpartition(".")[0]):
            continue
        w, cuts = parameter.data, []
        for axis, (k, dilation) in enumerate(zip(conv.kernel_size, conv.dilation, strict=True)):
            filled = np.flatnonzero(np.any(w != 0, axis=tuple(a for a in range(w.ndim) if a != axis + 2)))
            room = min(filled[0], k - 1 - filled[-1]) if len(filled) else (k - 1) // 2
            if conv.padding == "valid":
                room = 0
            elif conv.padding != "same":
                room = min(room, conv.padding[axis] // dilation)
            cuts.append(int(room))
        if any(cuts):
            inside = tuple(slice(cut, k - cut) for cut, k in zip(cuts, conv.kernel_size, strict=True))
            smaller = np.ascontiguousarray(w[(..., *inside)])
            shapes[name] = w.shape, smaller.shape
            if not isinstance(conv.padding, str):
                conv.padding = tuple(p - cut * d for p, cut, d in
                                     zip(conv.padding, cuts, conv.dilation, strict=True))
            take_up(model, {name: smaller})
    return shapes
