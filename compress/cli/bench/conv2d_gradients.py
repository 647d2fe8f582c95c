"""The gradients of a convolution as four groups measure them: the same layers, 64 images at a time; with a
filter for each pair of channels, or (depthwise) one for each channel."""

from collections.abc import Iterator
from timeit import Timer
from typing import Any

import numpy as np

from nn import kernels
from nn.kernels import Variant, use

from . import peers, variants
from .conv2d import operands
from .row import Row
from .timing import context, interleaved, timer

LAYERS = ((64, 16), (128, 8))  # channels in and out, side of the image; 3×3, padding 1
BATCH = 64
ARGUMENTS = {"input_grad": ("g", "w", "size"), "weight_grad": ("x", "g", "kernel_size")}


def beside_peers(name: str, seconds: float) -> Iterator[Row]:
    """Each layer beside PyTorch's gradient of the same argument, channels last."""
    return (_beside_peers(name, *layer, seconds) for layer in LAYERS)


def variant_rows(name: str, seconds: float) -> Iterator[Row]:
    """The speed of every variant."""

    def work(variant: Variant) -> variants.Work:
        with use(variant):
            arrays = _arrays(name, 64, 14, batch=4)
            return variants.Work("3×3, 64→64 at 4×14²", _macs(arrays), _ours(name, arrays))

    return variants.rows(getattr(kernels, name), work, seconds)


def _macs(arrays: dict[str, Any]) -> int:
    return arrays["x"].size * arrays["w"][0].size


def _arrays(name: str, channels: int, side: int, batch: int) -> dict[str, Any]:
    x, w = operands(channels, side, batch)
    w = w[:, :1].copy() if name.startswith("depthwise") else w
    g = np.random.default_rng(1).standard_normal(x.shape, np.float32)
    return {"x": x, "w": w, "g": g, "size": (side, side), "kernel_size": (3, 3)}


def _ours(name: str, arrays: dict[str, Any]) -> Timer:
    """The timer of our gradient, once its result is known to be right."""
    run, names = getattr(kernels, name), ARGUMENTS[name.split("conv2d_")[1]]
    got, want = (one(*(arrays[name] for name in names), padding=1) for one in (run, run.reference))
    if not np.allclose(got, want, atol=1e-4 * float(np.abs(want).max())):
        raise RuntimeError(f"bench: {name} differs from its specification")
    return timer(f"run({', '.join(names)}, padding=1)", run=run, **arrays)


def _beside_peers(name: str, channels: int, side: int, seconds: float) -> Row:
    arrays = _arrays(name, channels, side, BATCH)
    macs, forward = _macs(arrays), name[: name.index("2d") + 2]
    contestants = {"ours": _ours(name, arrays)}
    contestants[forward] = timer("forward(x, w, padding=1)", forward=getattr(kernels, forward), **arrays)
    if not peers.missing("torch"):
        contestants["PyTorch"] = _torch(name, arrays)
    times = interleaved(contestants, seconds)
    measure = f"{name} 3×3, {channels}→{channels} at {BATCH}×{side}², beside PyTorch"
    beside = context(times, "GMAC/s", lambda seconds: macs / seconds / 1e9)
    if "PyTorch" not in times:
        return Row(name, measure, None, "× PyTorch", context=beside, why=peers.missing("torch"))
    ratio = round(times["PyTorch"].median / times["ours"].median, 3)
    return Row(name, measure, ratio, "× PyTorch", context=beside)


def _torch(name: str, arrays: dict[str, Any]) -> Timer:
    """PyTorch's own gradient, of tensors that lie channels last."""
    torch = peers.import_torch()
    x, g = (torch.from_numpy(arrays[a]).permute(0, 3, 1, 2) for a in ("x", "g"))
    w = torch.from_numpy(arrays["w"]).contiguous(memory_format=torch.channels_last)
    mask = [name.endswith("input_grad"), name.endswith("weight_grad"), False]
    statement = "backward(g, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], groups, mask)"
    names = {"g": g, "x": x, "w": w, "mask": mask, "groups": x.shape[1] // w.shape[1]}
    return timer(statement, backward=torch.ops.aten.convolution_backward, **names)
