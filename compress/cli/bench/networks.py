"""networks: whole networks on integers beside the same in floats, and beside PyTorch and onnxruntime.

The int8 Program is what compress.Quantize makes of random weights, calibrated on random images. PyTorch's
floats are the same weights; PyTorch and onnxruntime compute in int8 with the Program's own integers
(integer_layers.py). All get the same float images (N,C,H,W; PyTorch channels last, too) and give float
logits, on one thread."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import compress
import nn
from compress import Program
from nn.kernels import isa

from . import architectures, peers
from .architectures import ARCHITECTURES
from .onnx_program import onnx_program
from .row import Row
from .timing import Times, context, digits, interleaved, timer
from .torch_program import torch_float, torch_program

CALIBRATED = 64  # images
SLOWEST = 3  # steps that are told

# For each network and batch: how many times as fast as its own floats integers have to be.
BARS = {("digits_cnn", 1): 1.3, ("digits_cnn", 16): 1.5, ("digits_cnn", 256): 1.6, ("VGG-like", 1): 1.8,
        ("VGG-like", 64): 1.8, ("inverted bottleneck", 1): 1.0, ("inverted bottleneck", 64): 1.0}
BESIDE_FLOAT, BESIDE_INT8 = 2.0, 0.98  # PyTorch eager; PyTorch and onnxruntime: as fast, but for the noise
TORCH, ALL = ("torch",), ("torch", "onnxruntime", "onnx")
OURS = "int8 Program"


class Case(NamedTuple):
    """A network, its Programs in floats and on integers, and images."""

    model: nn.Module
    real: Program
    integer: Program
    x: np.ndarray


def rows(seconds: float) -> Iterator[Row]:
    """Three rows for each network and batch, whose contestants all take turns."""
    for name, images in BARS:
        yield from _rows(name, images, seconds / 2)


def case(name: str, images: int) -> Case:
    """The network of that name, and so many images."""
    rng, architecture = np.random.default_rng(0), ARCHITECTURES[name]
    example = rng.standard_normal((CALIBRATED, *architecture.shape), np.float32)
    model = architectures.ready(architecture, example, rng)
    quantized = copy.deepcopy(model)
    compress.prepare(quantized, compress.Quantize(), example)
    return Case(model, compress.convert(model, example), compress.convert(quantized, integer=True),
                np.resize(example, (images, *architecture.shape)))


def _rows(name: str, images: int, seconds: float) -> Iterator[Row]:
    one = case(name, images)
    floats = {"float": timer("program(x)", program=one.real, x=one.x)}
    eager = {} if peers.missing(*TORCH) else torch_float(like(name, one.model), one.x)
    int8 = {} if peers.missing(*ALL) else _int8(one)
    others = {peer: its.timer for peer, its in (eager | int8).items()}
    ours = {OURS: timer("program(x)", program=one.integer, x=one.x)}
    times = interleaved({**ours, **floats, **others}, seconds)
    told = {"kernels": isa(), **_capability(eager)}
    yield _row(name, images, "its own floats", times, floats, BARS[name, images],
               {**told, "slowest steps": _slowest(one.integer, one.x)})
    yield _row(name, images, "PyTorch float32", times, eager, BESIDE_FLOAT, told, peers.missing(*TORCH))
    yield _row(name, images, "PyTorch and onnxruntime int8", times, int8, BESIDE_INT8,
               {**told, "logits differ": _differences(one, int8)}, peers.missing(*ALL))


def _row(name: str, images: int, beside: str, times: dict[str, Times], theirs: Any, bar: float,
         told: dict[str, Any], why: str | None = None) -> Row:
    """How many times as fast the Program is as the best of them."""
    measure = f"{name} int8, {images} image{'s' * (images > 1)}, beside {beside}"
    if why:
        return Row("networks", measure, None, "×", bar, why=why)
    some = {peer: times[peer] for peer in (OURS, *theirs)}
    best = min(times[peer].median for peer in theirs)
    return Row("networks", measure, digits(best / times[OURS].median), "×", bar,
               context={**context(some, "ms", lambda seconds: 1e3 * seconds), **told})


def like(name: str, model: nn.Module) -> Any:
    """PyTorch's network with the same weights."""
    import torch

    return architectures.like(ARCHITECTURES[name].build(torch.nn).eval(), model)


def _int8(one: Case) -> dict[str, peers.Peer]:
    return torch_program(one.integer, one.x) | {"onnxruntime": onnx_program(one.integer, one.x)}


def _differences(one: Case, theirs: dict[str, peers.Peer]) -> str:
    """By how much the logits of peers are off at most, of the largest of ours: some per cent where they round
    otherwise in between, more where their sums saturate in 16 bits."""
    logits = one.integer(one.x)
    largest = float(np.abs(logits).max())
    off = {name: np.abs(peer.result() - logits).max() / largest for name, peer in theirs.items()}
    return ", ".join(f"{name} {share:.1%}" for name, share in off.items() if "channels last" not in name)


def _capability(eager: dict[str, peers.Peer]) -> dict[str, str]:
    """The instruction set that PyTorch's kernels use."""
    if not eager:
        return {}
    import torch

    return {"PyTorch": torch.backends.cpu.get_cpu_capability()}


def _slowest(program: Program, x: np.ndarray) -> str:
    """Where the time of a Program goes."""
    profile = program.profile(x)
    total = profile.total.seconds
    return "; ".join(f"{step.seconds / total:.0%} {step.output} = {step.kernel}, {step.why()}"
                     for step in profile.sorted().steps[:SLOWEST])
