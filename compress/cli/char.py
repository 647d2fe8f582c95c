"""What the rows of the language model attach to it: all its layers, and its two tables of vectors.

The table of tokens is also the last layer; that of positions is never multiplied with. Each recipe takes the
option of its row, and the optimizer steps of the training that follows."""

from __future__ import annotations

import nn

from .. import Cluster, Huffman, Quantize, Rans, Recipe, TensorTrain
from .pruned import prune

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

