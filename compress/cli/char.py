"""The rows of the ledger of a language model: what is attached to its layers, and its two tables of vectors.

The table of tokens is also the last layer; that of positions is never multiplied with. Each recipe takes the
option of its row, and the optimizer steps of the training that follows."""

from __future__ import annotations

from functools import partial

import nn

from .. import GPTQ, Cluster, Huffman, Quantize, Rans, Recipe, TensorTrain
from .pruned import prune
from .techniques import BITS, CLOSEST, THIRD, Technique, taught

TABLE = Quantize(activations=None)  # 8 bits, for the positions: a twentieth of all weights


def everywhere(how: object, option: float | None, steps: int) -> Recipe:
    """`how` in all layers and tables."""
    return Recipe({"*": how, nn.Embedding: how})


def in_products(how: object, option: float | None, steps: int) -> Recipe:
    """`how` in all layers that multiply; the positions have 8 bits."""
    return Recipe({"*": how, "token": how, "position": TABLE})


def pruned(option: float | None, steps: int) -> Recipe:
    """The same sparsity in the blocks; the tables, where each row is a symbol's own, stay whole."""
    return Recipe({"blocks.*": prune(option, steps)})


def shared(option: float | None, steps: int) -> Recipe:
    """So many bits everywhere."""
    return everywhere(Cluster(int(option)), option, steps)


def tensor_train(option: float | None, steps: int) -> Recipe:
    """Two cores with this rank between them in the layers of the blocks."""
    return Recipe({"blocks.*": TensorTrain(rank=int(option), cores=2)})


def deep_compression(option: float | None, steps: int) -> Recipe:
    """The blocks pruned, and 4 bits everywhere, Huffman-coded."""
    rest = [Cluster(4), Huffman()]
    return Recipe({"blocks.*": [prune(option, steps), *rest], nn.Embedding: rest})


def coded(bits: int, option: float | None, steps: int) -> Recipe:
    """So many bits, coded by rANS; the positions have 8."""
    how = [Quantize(bits, activations=None, scales="mse"), Rans()]
    return Recipe({"*": how, "token": how, "position": [TABLE, Rans()]})


def _row(name: str, how: object, option: float | None = None, **more: object) -> Technique:
    return Technique(name, "char", how, () if option is None else (option,), **more)


BUDGET = _row("100 kB", partial(coded, 4), trained=True, control=True, width=1.25)
INT4 = _row("int4 trained", partial(in_products, Quantize(4, **CLOSEST)), trained=True, rate=THIRD)
ROWS = (
    Technique("float", "char"),
    # The least bits per byte in 100,000 bytes, beside dense networks of about as many: of float32, of int8.
    # Chosen with the last fifth of the training text held out (one seed, bits per byte of it): 4 bits, 80
    # wide, trained: 2.610 in 95,739 bytes; 5 bits, 72 wide: 2.648 in 96,707, and 2.662 in 96,722 if coded
    # after training; int8, 56 wide: 2.647 in 102,398. Fewer bits were not tried.
    BUDGET, taught(BUDGET),
    _row("dense int8, 100 kB", partial(everywhere, Quantize()), width=0.875),
    _row("float16", partial(everywhere, Quantize(weights="float16"))),
    _row("int8", partial(everywhere, Quantize())),
    _row("int4", partial(in_products, Quantize(4, **CLOSEST))),
    _row("int4 GPTQ", partial(in_products, GPTQ(4))),
    INT4, taught(INT4),
    _row("ternary trained", partial(in_products, Quantize(weights="ternary")), trained=True),
    _row("pruned", pruned, 0.8, trained=True, control=True),
    _row("shared", shared, 4, trained=True, rate=THIRD, text=BITS),
    _row("tensor train", tensor_train, 8, trained=True, control=True, text="rank {:.0f}"),
    _row("pruned + shared + Huffman", deep_compression, 0.8, trained=True, control=True),
    _row("int4 + rANS", partial(coded, 4), trained=True, rate=THIRD))
