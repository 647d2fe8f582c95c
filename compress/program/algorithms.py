"""By which algorithm a convolution is computed: chosen by shapes, when a Program is bound.

    direct       filters of float32 or integers, implicit GEMM (Chetlur et al. 2014): no patches are laid out
    winograd     float32 3×3 filters: 16 multiplications for 2×2 outputs, directly 36 (Lavin & Gray 2016)
    sparse       float32 filters of which few weights are not 0: each is multiplied where it meets the image
    shapewise    float32 filters that are 0 in the same columns: the others are gathered (Wen et al. 2016)
    im2col       any weight: patches are laid out as rows (Chellapilla, Puri & Simard 2006)
    depthwise    a filter for each channel
    bits         filters and images of signs, as bits

Winograd is no compression: in memory its filters take 16 numbers for 9, and they move by a rounding."""

from typing import Any

import numpy as np

from nn.kernels import bgemm, conv2d, gemm, qgemm, qspmm_bsr, qspmm_csr, shapewise_conv2d, sparse_conv2d

from ..formats.format import FORMATS
from ..formats.quantized import MaskedWeight
from ..sparse.cost import Product, cheapest, convolutions, products
from ..sparse.form import SparseForm
from ..stored import Stored

ALGORITHMS = ("auto", "winograd", "direct", "im2col")  # what `convert` may be told

# What a multiply-add of one row costs is 1. The constants are measured (`espalier bench winograd_conv2d`).
FEWEST_ROWS = 12  # a product of fewer rows takes as long as one of these: it waits for the weight
INPUT, OUTPUT = 900, 700  # to transform a tile in one direction, for 16 channels
MARGIN = 1.2  # times as fast at least, so that what is chosen is faster indeed


def algorithm(line: Any, size: tuple[int, int]) -> str:
    """The algorithm of a line conv2d whose result has this height and width: the cheapest here; on a target
    that lacks its kernel the direct one, or patches."""
    by, integers = cheapest_here(line, size), on_integers(line)
    names = {"depthwise": "depthwise_conv2d", "direct": "conv2d", "winograd": "winograd_conv2d",
             "sparse": "sparse_conv2d", "shapewise": "shapewise_conv2d"}
    if by in ("im2col", "bits") or line.has("q" * integers + names[by]):
        return by
    patches = line["groups"] == 1 and not line["activations"] and not line.has("q" * integers + "conv2d")
    return "im2col" if patches else "direct"


def product(line: Any, form: Any) -> Any:
    """The kernel by which a line multiplies rows of a Format, or reals (None): the weight's own; on a target
    that lacks it the dense one."""
    kernel = line.weight().kernel_with(form)
    if kernel is None or line.has(kernel.name):
        return kernel
    return gemm if form is None else qgemm if kernel in (qspmm_bsr, qspmm_csr) else kernel


def cheapest_here(line: Any, size: tuple[int, int]) -> str:
    """The cheapest algorithm of a line conv2d, on a CPU."""
    weight, wanted, groups = line.weight(), line["algorithm"], line["groups"]
    shape = filters(weight)
    if on_integers(line):
        if groups > 1:
            return "depthwise" if shape[1] == 1 and shape[0] == groups else "direct"
        if line["activations"]:
            return "direct"
        pointwise = of_pixels(line)
        rows = pointwise or wanted == "im2col"
        grid = line.inputs[0].grid
        kernel = qgemm if grid is None else weight.kernel_with(grid.format)  # (None: made of reals)
        if kernel in (qspmm_bsr, qspmm_csr) and not rows:  # with patches it may cost more than the dense one
            kernel = kernel if cheapest(weight.products(of_filters=True)).kernel is kernel else qgemm
        if kernel is not qgemm:
            return "bits" if kernel is bgemm and not pointwise else "im2col"
        grids = [grid for grid in (line.inputs[0].grid, line.grid) if grid is not None]
        unsigned = all(np.dtype(grid.format.dtype) == np.uint8 for grid in grids)
        return "direct" if unsigned and not rows else "im2col"
    if groups > 1:
        return "depthwise" if groups == line.inputs[0].shape[-1] == shape[0] else "direct"
    if isinstance(weight, SparseForm) and wanted != "im2col":
        rows = of_pixels(line)
        kernel = weight.kernel_with(None) if rows else weight.convolved_with(dense_cost(line, size))
        if kernel not in (gemm, conv2d):  # else it has too few zeros, and is multiplied densely
            return {sparse_conv2d: "sparse", shapewise_conv2d: "shapewise"}.get(kernel, "im2col")
    elif weight.kind != "dense" or wanted == "im2col":
        return "im2col"
    if not by_winograd(line, size):
        return "direct"
    largest = float(np.abs(weight.decode()).max(initial=0))  # transformed, it may grow to 9/4
    return "winograd" if largest < 2.0**126 else "direct"


def of_pixels(line: Any) -> bool:
    """Whether a convolution is a product with pixels as they lie: filters of one, none left out or added."""
    return filters(line.weight())[2:] == line["stride"] == (1, 1) and line["padding"] == (0, 0)


def by_winograd(line: Any, size: tuple[int, int]) -> bool:
    """Whether Winograd's algorithm fits a convolution, and is wanted or pays."""
    shape, wanted = filters(line.weight()), line["algorithm"]
    plain = shape[2:] == (3, 3) and line["stride"] == line["dilation"] == (1, 1) and wanted != "direct"
    return plain and (wanted == "winograd" or pays(shape, *size))


def dense_cost(line: Any, size: tuple[int, int]) -> float:
    """What a multiply-add of a dense convolution of reals costs, beside one of `conv2d`."""
    return min(1.0, of_direct(filters(line.weight()), *size)) if by_winograd(line, size) else 1.0


def considered(line: Any) -> list[Product]:
    """What a line may multiply a weight with zeros by, the dense product first; [] where there is no choice.
    """
    weight, convolves = line.weight(), line.op.name == "conv2d"
    if convolves and line["groups"] > 1:
        return []
    rows = not convolves or of_pixels(line) or line["algorithm"] == "im2col"
    if isinstance(weight, MaskedWeight) and on_integers(line):
        grid, form = line.inputs[0].grid, FORMATS.get(line["activations"])
        dense = weight.format.sums(form if grid is None else grid.format) is qgemm
        return weight.products(of_filters=not rows) if dense and (rows or grid is not None) else []
    if not isinstance(weight, SparseForm) or line["activations"]:
        return []
    positions = weight.found()[0]
    if rows:
        return products(positions, weight.shape)
    return convolutions(positions, weight.shape, dense_cost(line, line.made.shape[1:3]))


def on_integers(line: Any) -> bool:
    """Whether a line multiplies integers: those that it reads are on a grid, or it makes some of reals, other
    than in blocks, which its kernel does."""
    made = FORMATS.get(line["activations"])
    return line.inputs[0].grid is not None or (made is not None and not made.in_blocks)


def filters(weight: Stored) -> tuple[int, ...]:
    """The shape of a weight as filters (O, I, kH, kW); those of a signal are one pixel high."""
    return weight.shape if len(weight.shape) != 3 else (*weight.shape[:2], 1, weight.shape[2])


def moved(w: np.ndarray) -> np.ndarray:
    """How far Winograd's filters may move a weight: 2⁻²⁴·Σ|g|, or 2⁻¹⁴⁸ (see `exactly_transformed`)."""
    total = np.abs(w, dtype=np.float64).sum(axis=(2, 3), keepdims=True)
    return np.broadcast_to(2.0**-24 * (1 + 2.0**-20) * total + 2.0**-148, w.shape)


def pays(w: tuple[int, ...], height: int, width: int) -> bool:
    """Whether Winograd is the faster way to a result of height × width pixels with filters of shape w.

    A model of one image on one core, with nothing timed, so that the same Program always runs the same way.
    Direct is, inside its kernel, a product with a row for every pixel; Winograd 16 products with a row for
    every tile, and the transforms, which more channels on the other side make worthwhile."""
    return MARGIN * of_direct(w, height, width) <= 1


def of_direct(w: tuple[int, ...], height: int, width: int) -> float:
    """What Winograd's way costs by this model, as a fraction of the direct one."""
    o, c = w[:2]
    tiles = -(-height // 2) * -(-width // 2)
    direct = 9 * c * o * max(height * width, FEWEST_ROWS)
    products = 16 * c * o * max(tiles, FEWEST_ROWS)
    transforms = tiles * (INPUT * -(-c // 16) + OUTPUT * -(-o // 16))
    return (products + transforms) / direct
