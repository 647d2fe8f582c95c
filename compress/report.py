"""What compression bought: bytes by what they are, and the errors of weights beside their certificates."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from math import isnan, nan, sqrt

import numpy as np

import nn
from nn.arguments import flag
from nn.kernels import conv2d, gemm, qgemm, winograd_conv2d

from .certificate import Layer, certify, fits, headroom
from .program.algorithms import by_winograd, considered, filters, moved
from .program.files import to_bytes
from .program.op import Line
from .program.program import Program
from .sparse.cost import Product, cheapest
from .sparse.measured import measured_break_even
from .stored import Stored


@dataclass(frozen=True)
class Zeros:
    """What the zeros of a weight are good for. zeros: their fraction, of blocks that are all 0 where
    `rows` of them go together; product: what multiplies; break_even: from which fraction on the sparse
    product that suits them is taken; measured: from which on it is faster on this machine, or None."""

    zeros: float
    rows: int
    product: str
    break_even: float
    measured: float | None = None

    def __str__(self) -> str:
        what = "zeros" if self.rows == 1 else f"blocks of {self.rows}×1 of zeros"
        here = "" if self.measured is None else f", on this machine {self.measured:.0%}"
        pays = f"pays from {self.break_even:.0%}" if self.break_even < 1 else "never pays"
        return f"{self.zeros:.0%} {what}: {self.product}; sparse {pays}{here}"


@dataclass(frozen=True)
class Report:
    """Bytes of a Program. items: those of each constant, by part; the rest of the file is header. sums: for
    each weight of integers, how many bits its int32 sums leave free, and whether its products of two
    neighbours sum in 16 bits (see compress.certify). zeros: of each weight that is stored without its zeros,
    how it is multiplied, and why."""

    name: str
    items: dict[str, dict[str, int]]
    on_disk: int
    in_memory: int
    macs: int
    sums: dict[str, dict[str, str]] = field(default_factory=dict)
    zeros: dict[str, Zeros] = field(default_factory=dict)

    @property
    def header(self) -> int:
        """Bytes of the file that are no constant: names and shapes as JSON, and the calls, packed."""
        return self.on_disk - sum(sum(parts.values()) for parts in self.items.values())

    @property
    def layers(self) -> dict[str, dict[str, int]]:
        """Bytes by a constant's module and part; the rest, and the header, under "file". Sum: `on_disk`."""
        layers: dict[str, Counter[str]] = defaultdict(Counter)
        for name, parts in self.items.items():
            layers[name.rpartition(".")[0] or "file"].update(parts)
        layers["file"]["header"] = self.header
        return {layer: dict(parts) for layer, parts in layers.items()}

    def to_json(self) -> dict[str, object]:
        """All figures as plain values."""
        return {**asdict(self), "header": self.header}

    def __str__(self) -> str:
        parts = ["payload", "indices", "tables"]
        width = max([len("header"), *map(len, self.items)])
        proved = f"{'int32 room':>12}  in 16 bits" if self.sums else ""
        lines = [f"{'bytes':<{width}}" + "".join(f"{part:>12}" for part in [*parts, "sum"]) + proved]
        for name, sizes in self.items.items():
            cells, fits = [sizes.get(part, 0) for part in parts], self.sums.get(name)
            said = f"{fits['int32']:>12}  {fits['int16']}" if fits else ""
            lines.append(f"{name:<{width}}" + "".join(f"{cell:>12,}" for cell in [*cells, sum(cells)]) + said)
        zeros = [f"{name}: {said}" for name, said in self.zeros.items()]
        return "\n".join([*lines, f"{'header':<{width}}{self.header:>48,}",
                          f"{'file':<{width}}{self.on_disk:>48,}",
                          f"in memory {self.in_memory:,} bytes; {self.macs:,} multiply-adds an example",
                          *zeros])


def report(program: Program, measured: bool = False) -> Report:
    """The bytes of a Program on disk, itemised, and in memory, its multiply-adds for one example, whether its
    sums of integers fit, and what its zeros are good for.

    program: what `convert` or `load` gave. measured: whether the break-evens of sparse products are measured
    on this machine, too, which takes a tenth of a second a layer. Raises TypeError for anything but a
    Program."""
    if not isinstance(program, Program):
        raise TypeError(f"report: wants a Program (from compress.convert); got {type(program).__name__}")
    flag("report", "measured", measured)
    items = {name: one.itemised() if isinstance(one, Stored) else {"tables": one.nbytes}
             for name, one in program.constants.items()}
    return Report(program.name, items, len(to_bytes(program)), program.nbytes, program.macs, _sums(program),
                  _zeros(program, measured))


def _zeros(program: Program, measured: bool) -> dict[str, Zeros]:
    """Of each weight that is stored without its zeros, by its name; of what is read by several lines as in
    the first."""
    found: dict[str, Zeros] = {}
    for line in program.lines:
        name = line.call.constants.get("weight")
        choice = considered(line) if name is not None and name not in found else []
        if choice:
            dense, suits = choice[0], cheapest(choice[1:])
            here = _measured(line, dense, suits) if measured else None
            steps = program.bound.calls[line.call.output]
            product = next(step.kernel for step in steps if step.load and step.kernel != "im2col")
            found[name] = Zeros(suits.zeros, suits.rows, product, suits.break_even(dense), here)
    return found


def _measured(line: Line, dense: Product, suits: Product) -> float:
    if dense.kernel in (gemm, qgemm):
        return measured_break_even(line.weight().shape, suits.kernel, suits.rows, dense.kernel)
    winograd = dense.kernel is conv2d and by_winograd(line, line.made.shape[1:3])
    kernel = winograd_conv2d if winograd else dense.kernel
    window = (line.inputs[0].shape[1:3], line["stride"], line["padding"], line["dilation"])
    return measured_break_even(filters(line.weight()), suits.kernel, suits.rows, kernel, window)


def _sums(program: Program) -> dict[str, dict[str, str]]:
    """What is proved of the sums of each weight of integers, of all its layers those with the least room."""
    weights = {name.removesuffix(".weight"): name for name in program.constants}
    found: dict[str, Layer] = {}
    for layer in certify(program).layers.values():
        name = weights.get(layer.name.partition("@")[0])
        if layer.w is not None and (name not in found or _room(layer) < _room(found[name])):
            found[name] = layer
    return {name: {"int32": headroom(layer), "int16": fits(layer)} for name, layer in found.items()}


def _room(layer: Layer) -> tuple[int, float]:
    return layer.fold, layer.int32.headroom


@dataclass(frozen=True)
class WeightError:
    """‖w − ŵ‖ / ‖w‖ over the weights of a model: what theory certifies, and what is measured. The norm is
    ‖·‖₂, or that of a weight's technique if it has one: of GPTQ that of the layer's outputs on the example.
    """

    certified: float | None
    measured: float


def weight_errors(model: nn.Module, program: Program | None = None) -> WeightError:
    """The error that storing the weights of a prepared model makes, relative to the weights as trained.

    Weights without a parametrization are stored exactly and count with an error of 0, but for the filters
    that `program`, what the model was converted to, multiplies by Winograd's algorithm: those move by a
    rounding when they are transformed. Raises TypeError for what is no Module."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"weight_errors: model must be an nn.Module; got {type(model).__name__}")
    transformed = set() if program is None else {
        call.constants["weight"] for call in program.calls
        for step in program.bound.calls[call.output] if step.kernel == "winograd_conv2d"}
    norm = certified = measured = 0.0  # squares
    for name, parameter in model.named_parameters():
        w, chain = parameter.data.astype(np.float64), parameter.parametrization
        norm += float(np.sum(w**2)) if chain is None else chain.norm(w) ** 2
        if name in transformed:
            certified += float(np.sum(moved(parameter.data) ** 2))
            measured += float(np.sum((w - winograd_conv2d.pack(parameter.data).unpack()) ** 2))
        if chain is not None:
            bound = chain.bound(parameter.data)
            certified += nan if bound is None else bound**2
            measured += chain.norm(w - chain.encode(parameter.data).decode()) ** 2
    if not norm:
        return WeightError(0.0, 0.0)
    return WeightError(None if isnan(certified) else sqrt(certified / norm), sqrt(measured / norm))
