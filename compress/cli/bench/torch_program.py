"""A network as PyTorch runs it: its modules in floats, or the integers of a Program in the calls that its
quantized modules make."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ...program.program import Program
from .integer_layers import Layer, integer_layers
from .peers import TORCH_ENGINES, Peer, import_torch, quiet
from .timing import timer

STATEMENT = "with mode():\n  result[0] = run(x)"


def torch_float(network: Any, x: np.ndarray) -> dict[str, Peer]:
    """What runs a network of PyTorch's, in evaluation mode, on x and in both of its layouts."""
    import_torch()  # in one thread
    return _both_layouts("PyTorch", x, lambda layout: copy.deepcopy(network).to(memory_format=layout))


def torch_program(program: Program, x: np.ndarray) -> dict[str, Peer]:
    """What runs the Program on x with every engine that PyTorch has for this machine, from images in both of
    its layouts. It quantizes the result of the last layer too, here on a grid for the reals that the Program
    gives. RuntimeError for what it can't be told."""
    torch = import_torch()
    layers, logits, made = integer_layers(program), program(x), {}
    for engine in [one for one in TORCH_ENGINES if one in torch.backends.quantized.supported_engines]:
        torch.backends.quantized.engine = engine
        with quiet():  # they are deprecated, and the best kernels
            run = _Network(program, layers, logits)
        made |= _both_layouts(f"PyTorch {engine}", x, lambda layout, run=run: run)
    return made


def _both_layouts(name: str, x: np.ndarray, network: Callable[[Any], Any]) -> dict[str, Peer]:
    """A network, made for each layout, on images that lie in it. What it gives is kept for who asks."""
    import torch

    made = {}
    for of, layout in (("", torch.contiguous_format), (", channels last", torch.channels_last)):
        result = [None]
        names = {"run": network(layout), "mode": torch.inference_mode, "result": result,
                 "x": torch.from_numpy(x).contiguous(memory_format=layout)}
        made[name + of] = Peer(timer(STATEMENT, **names), lambda result=result: result[0].numpy())
    return made


class _Network:
    """The layers as calls, with weights packed for the engine in force; a method for each op of a Layer."""

    def __init__(self, program: Program, layers: list[Layer], logits: np.ndarray) -> None:
        import torch

        self.torch, self.calls = torch, torch.ops.quantized
        (self.last,) = program.outputs.values()
        self.input, self.steps = program.input, []
        self.of_result = _grid_for(logits)
        for layer in layers:
            self.steps.append((getattr(self, layer.op)(layer), layer.inputs, layer.output))

    def __call__(self, x: Any) -> Any:
        values = {self.input: x}
        for call, inputs, output in self.steps:
            values[output] = call(*[values[name] for name in inputs])
        return values[self.last]

    def quantize(self, layer: Layer) -> Callable[..., Any]:
        """To quint8."""
        scale, zero, torch = layer.grid.scale, layer.grid.zero, self.torch
        return lambda x: torch.quantize_per_tensor(x, scale, zero, torch.quint8)

    def packed(self, layer: Layer, pack: Any, *how: Any) -> Any:
        """A weight and its bias, which PyTorch wants in reals."""
        torch, scales = self.torch, layer.scale.astype(np.float64)
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        codes = torch.from_numpy(np.ascontiguousarray(layer.weight))
        weight = torch._make_per_channel_quantized_tensor(codes, torch.from_numpy(scales), zeros, 0)
        bias = (layer.bias * (scales * layer.of[0].scale)).astype(np.float32)
        return pack(weight, torch.from_numpy(bias), *how)

    def conv2d(self, layer: Layer) -> Callable[..., Any]:
        """quantized::conv2d."""
        how = [list(layer.how[name]) for name in ("stride", "padding", "dilation")]
        weight = self.packed(layer, self.calls.conv2d_prepack, *how, layer.how["groups"])
        conv2d, scale, zero = self.calls.conv2d, layer.grid.scale, layer.grid.zero
        return lambda x: conv2d(x, weight, scale, zero)

    def linear(self, layer: Layer) -> Callable[..., Any]:
        """quantized::linear, then back to reals where the Program does so."""
        weight, linear = self.packed(layer, self.calls.linear_prepack), self.calls.linear
        scale, zero = self.of_result if layer.grid is None else (layer.grid.scale, layer.grid.zero)
        if layer.grid is None:
            return lambda x: linear(x, weight, scale, zero).dequantize()
        return lambda x: linear(x, weight, scale, zero)

    def max_pool2d(self, layer: Layer) -> Callable[..., Any]:
        """The pool of that name, which takes integers."""
        pool, how = getattr(self.torch.nn.functional, layer.op), list(layer.how.values())
        return lambda x: pool(x, *how)

    avg_pool2d = max_pool2d

    def add(self, layer: Layer) -> Callable[..., Any]:
        """quantized::add."""
        add, scale, zero = self.calls.add, layer.grid.scale, layer.grid.zero
        return lambda a, b: add(a, b, scale, zero)

    def flatten(self, layer: Layer) -> Callable[..., Any]:
        """A row of each image."""
        return lambda x: x.flatten(1)


def _grid_for(reals: np.ndarray) -> tuple[float, int]:
    """Scale and zero point for reals from their least to their largest, and 0."""
    low, high = min(float(reals.min()), 0.0), max(float(reals.max()), 1e-6)
    scale = (high - low) / 255
    return scale, round(-low / scale)
