"""Small random networks, and what they compute in float64 with a bound for float32."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

import nn
from compress.stored import gamma
from nn.sizes import at
from nn.tensor import Tensor


def outputs(model, inputs):
    """What a network makes of arrays, in evaluation mode."""
    with nn.no_grad():
        return model.eval()(*map(nn.Tensor, inputs)).data


def close(got, wanted):
    """Two results are alike but for the order in which floats were added."""
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    size = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * (1 + size))


class Residual(nn.Module):
    """x + inner(x)."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


@dataclass(frozen=True)
class Drawn:
    """A network with weights and statistics filled in, inputs to calibrate with and inputs to run on."""

    model: nn.Sequential
    example: np.ndarray
    x: np.ndarray
    rng: np.random.Generator

    def __repr__(self):
        return f"{self.model!r} on {self.x.shape}"

    def _repr_pretty_(self, printer, cycle):  # Hypothesis would print every number
        printer.text(repr(self))

    def layers(self):
        """Names of the modules with a weight that can be compressed."""
        return [n for n, m in self.model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]


@st.composite
def networks(draw):
    """Convolutions, pools, batch norms, residual sums, fully connected layers, in any order that fits."""
    flag, few = st.booleans(), st.integers(1, 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels, height, width = draw(few), draw(st.integers(2, 7)), draw(st.integers(2, 7))
    shape = (channels, height, width)
    modules = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(flag):
            modules.append(nn.BatchNorm2d(channels))
        block, channels, height, width = draw(convolution(channels, height, width, rng))
        modules += block
        if draw(flag):
            modules.append(Residual(nn.Conv2d(channels, channels, draw(st.sampled_from([1, 3])), rng=rng)))
            inner = modules[-1].inner
            inner.padding = (inner.kernel_size[0] // 2,) * 2
            modules += [nn.ReLU()] * draw(flag)
        if draw(flag):
            pool, height, width = draw(pooling(height, width))
            modules.append(pool)
    modules.append(nn.Flatten())
    features = channels * height * width
    for _ in range(draw(st.integers(0, 2))):
        hidden = draw(st.integers(1, 20))
        modules.append(nn.Linear(features, hidden, bias=draw(flag), rng=rng))
        features = hidden
        modules += [nn.BatchNorm1d(features)] * draw(flag) + [nn.ReLU()] * draw(flag)
    model = nn.Sequential(*modules)
    statistics(model, rng)
    example = rng.normal(size=(12, *shape)).astype(np.float32)
    x = (1.5 * rng.normal(size=(draw(st.integers(0, 4)), *shape))).astype(np.float32)  # beyond what was seen
    return Drawn(model.eval(), example, x, rng)


@st.composite
def convolution(draw, channels, height, width, rng):
    """A convolution that fits, often with batch norm and ReLU; and the shape after it."""
    size = st.integers(1, 3)
    out = draw(st.integers(1, 5))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    kernel, dilation = [], []
    for side, pad in zip((height, width), padding, strict=True):
        k = draw(size.filter(lambda k, room=side + 2 * pad: k <= room))
        dilation.append(
            draw(st.integers(1, 2).filter(lambda d, k=k, room=side + 2 * pad: d * (k - 1) < room))
        )
        kernel.append(k)
    flag = st.booleans()
    block = [
        nn.Conv2d(channels, out, tuple(kernel), stride, padding, tuple(dilation), bias=draw(flag), rng=rng)
    ]
    block += [nn.BatchNorm2d(out)] * draw(flag) + [nn.ReLU()] * draw(flag)
    sides = [
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, p, d, k, s in zip((height, width), padding, dilation, kernel, stride, strict=True)
    ]
    return block, out, *sides


@st.composite
def pooling(draw, height, width):
    """A pool that fits, with padding of at most half its kernel; and the shape after it."""
    kernel, padding = [], []
    for side in (height, width):
        k = draw(st.integers(1, 3))
        p = draw(st.integers(0, k // 2))
        kernel.append(min(k, side + 2 * p))
        padding.append(min(p, kernel[-1] // 2))
    stride = draw(st.one_of(st.none(), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))(tuple(kernel), stride, tuple(padding))
    sides = [
        (side + 2 * p - k) // s + 1
        for side, p, k, s in zip((height, width), padding, kernel, stride or kernel, strict=True)
    ]
    return pool, *sides


def statistics(model, rng):
    """Batch norms as training leaves them, and worse: γ of both signs and 100× spread."""
    for _, module in model.named_modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            n = module.num_features
            module.weight.data[:] = rng.choice([-1, 1], n) * 10 ** rng.uniform(-1, 1, n)
            module.bias.data[:] = rng.normal(size=n)
            module.running_mean[:] = rng.normal(size=n)
            module.running_var[:] = 10 ** rng.uniform(-1, 1, n)


def exactly(model, x):
    """What the model computes on x in evaluation mode in float64, its weights seen through their
    parametrizations; and a bound of what any order of float32 operations may differ from it, elementwise.

    The bound is that of a sum of products (Higham 2002, §3.1) carried through the network: γ_k times the
    network of the absolute values, k counting the roundings on the longest path.
    """
    graph = nn.trace(model, x[:1] if len(x) else np.zeros((1, *x.shape[1:]), x.dtype))
    constants = {name: array.astype(np.float64) for name, array in graph.constants.items()}
    for name, chain in graph.parametrizations.items():
        constants[name] = chain.project(Tensor(graph.constants[name])).data.astype(np.float64)
    magnitudes = {name: np.abs(array) for name, array in constants.items()}
    roundings = 0
    for node in graph.nodes:
        roundings += 8
        if node.op in ("conv2d", "linear"):
            roundings += int(np.prod(constants[node.inputs[1]].shape[1:]))
        if node.op == "batch_norm_eval":
            magnitudes[node.inputs[3]] *= -1  # |x| + |μ|
        if node.op.endswith("pool2d"):
            roundings += 9
    x = x.astype(np.float64)
    out = replace(graph, constants=constants).run(x)
    return out, gamma(roundings) * replace(graph, constants=magnitudes).run(np.abs(x)) + 2.0**-140


def every_value(program, x):
    """All values of one run by name, each step run by itself into an array of its own."""
    values = {program.input: x}
    for step in program.bound.steps:
        out = np.empty(at(step.made.shape, {"N": len(x)}), step.made.dtype)
        step.run(program.bound.held[step.output], out, *(values[name] for name in step.inputs),
                 **({"dims": {"N": len(x)}} if step.sized else {}))
        values[step.output] = out
    return values
