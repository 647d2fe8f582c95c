"""Layers that multiply by a matrix: fully connected, and embedding (a product with rows of an identity)."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import init
from ..arguments import is_int
from ..module import Module
from ..parameter import Parameter, parametrized
from ..random import chosen
from ..tensor import Tensor
from .checks import flags, positive, shape_of, wrong_input


class Linear(Module):
    """y = x Wᵀ + b: x (…, in_features) → (…, out_features). bias: whether there is a b. weight W
    (out_features, in_features) and bias (out_features,) start uniform in ±1/√in_features, drawn from rng, or
    from nn.random.generator(). Raises ValueError for invalid sizes, and for an input of another shape;
    TypeError for another rng."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *,
                 rng: np.random.Generator | None = None) -> None:
        positive(self, in_features=in_features, out_features=out_features)
        flags(self, bias=bias)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.empty((out_features, in_features), np.float32))
        self.bias = Parameter(np.empty(out_features, np.float32)) if bias else None
        init.fan_in_uniform_(self.weight, self.bias, chosen(type(self).__name__, "rng", rng))

    def forward(self, x: Tensor) -> Tensor:
        shape = shape_of(self, x)
        if not shape or shape[-1] != self.in_features:
            raise wrong_input(self, x, f"(..., {self.in_features})")
        return F.linear(x, *parametrized(self.weight, self.bias))

    def extra_repr(self) -> str:
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")


class Embedding(Module):
    """The rows of weight (num_embeddings, embedding_dim) that integers (…) name → (…, embedding_dim).
    padding_idx: a row that stays 0. The others start normal, drawn from rng, or from nn.random.generator().
    Raises ValueError for invalid sizes, IndexError for an integer that names no row, TypeError for others."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *,
                 rng: np.random.Generator | None = None) -> None:
        positive(self, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not (is_int(padding_idx)
                                            and -num_embeddings <= padding_idx < num_embeddings):
            raise ValueError(f"Embedding: padding_idx={padding_idx!r} is none of {num_embeddings} rows")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), np.float32))
        init.normal_(self.weight, generator=chosen(type(self).__name__, "rng", rng))
        if padding_idx is not None:
            self.weight.data[padding_idx] = 0

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(x, self.weight.parametrized(), self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
