"""The loss of contrastive learning."""

from __future__ import annotations

import numpy as np

from ..arguments import number
from ..tensor import Operand, Tensor
from .half import rounded_once
from .losses import cross_entropy, known
from .shapes import as_tensor, cat


@rounded_once
def nt_xent(input: Operand, other: Operand, temperature: float = 0.5, *, reduction: str = "mean") -> Tensor:
    """−log(e^{s(i,j)/τ} / Σ_{k≠i} e^{s(i,k)/τ}) of the 2N views i of N images, j being the other view of the
    same image and s the cosine of two rows: the normalized temperature-scaled cross-entropy (Chen et al.
    2020, "A simple framework for contrastive learning of visual representations", eq. 1).

    input, other: (N, D), two views of the same N images, row by row; the 2N − 2 other rows are what a view is
    told apart from. temperature: τ > 0; the smaller, the more the nearest of these count. reduction: "mean",
    "sum" or "none", which is (2N,), first those of input. The cosine with a row of zeros is 0.
    Raises ValueError for shapes that differ or are not (N, D), for fewer than two images, which leave nothing
    to tell a view apart from, for another reduction, and a temperature that is not above 0; TypeError for one
    that is no number."""
    known("nt_xent", reduction)
    temperature = number("nt_xent", "temperature", temperature, above=True)
    a, b = as_tensor(input), as_tensor(other)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"nt_xent: input {a.shape} and other {b.shape} must both be (N, D)")
    n = len(a)
    if n < 2:
        raise ValueError(f"nt_xent: wants at least 2 images, got {n}: a batch of one has nothing to tell it "
                         "apart from")
    z = cat([a, b])
    z = z / z.norm(dim=1, keepdim=True).clamp(min=1e-12)
    similarity = (z @ z.T / temperature).masked_fill(np.eye(2 * n, dtype=bool), -np.inf)
    return cross_entropy(similarity, np.roll(np.arange(2 * n), n), reduction=reduction)
