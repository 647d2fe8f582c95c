"""The curvature of a loss, parameter by parameter: the diagonals of Hessian, Gauss–Newton and Fisher matrix.

What a parameter is worth: setting w to 0 costs about ½·h·w², h its entry on the diagonal of the Hessian
(LeCun, Denker & Solla, "Optimal brain damage", 1990), at a minimum of the loss. Two matrices stand in for
the Hessian, since neither is ever negative:

- Gauss–Newton, G = mean over the examples of Jᵀ·H·J, with J = ∂(outputs)/∂(parameters) and H the second
  derivatives of the loss in the outputs (Schraudolph, 2002);
- Fisher, F = mean of g·gᵀ, g an example's gradient of −log p(label), with labels drawn from the model. For
  cross-entropy F = G (Martens, 2014). With the labels of the data it is the "empirical Fisher", which is
  another matrix: it goes to zero where the network is right and certain, as at 100 % training accuracy
  (Kunstner, Balles & Hennig, 2019).

Both are means over examples of squares. The square of the mean gradient is something else (at a minimum it is
zero), so every example is run alone; and batch norm has to be in evaluation mode, since in training an
example has no gradient of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from . import functional as F
from .arguments import instance, is_int
from .jacobians import hessian_rows, leaves, pulled_back, units
from .module import Module
from .random import chosen
from .tensor import Operand, Tensor

Loss = Callable[[Tensor, Any], Tensor]


def hessian_diag(f: Callable[..., Tensor], x: Operand | Sequence[Operand], samples: int | None = None,
                 rng: np.random.Generator | None = None) -> np.ndarray | tuple[np.ndarray, ...]:
    """∂²f/∂xᵢ² for every entry of x: an array, or a tuple of them where x is a tuple or list.

    f, x: as for nn.hvp. samples: None for the exact diagonal, n products with the Hessian for n entries; or a
        number of random sign vectors v, and the mean of v⊙(H·v), whose expectation is the diagonal and whose
        variance per sample is Σⱼ≠ᵢ Hᵢⱼ² (Hutchinson, 1990; Bekas, Kokiopoulou & Saad, 2007).
    rng: where the signs come from; nn.random.generator() if left out.
    Raises ValueError for another number of samples, and what nn.hvp raises.
    """
    if samples is not None and not (is_int(samples) and samples >= 1):
        raise ValueError(f"hessian_diag: samples is {samples!r}, wanted None or an int of at least 1")
    xs = leaves("hessian_diag", x)
    product = hessian_rows("hessian_diag", f, xs)
    diagonal, zeros = ([np.zeros(t.shape, t.dtype) for t in xs] for _ in range(2))
    if samples is None:
        for k, part in enumerate(diagonal):
            for at, unit in units(part):
                part[at] = product([*zeros[:k], unit, *zeros[k + 1:]])[k][at]
    else:
        rng = chosen("hessian_diag", "rng", rng)
        for _ in range(samples):
            signs = [rng.choice(np.array([-1, 1], t.dtype), t.shape) for t in xs]
            for part, sign, row in zip(diagonal, signs, product(signs), strict=True):
                part += sign * row / samples
    return tuple(diagonal) if isinstance(x, (tuple, list)) else diagonal[0]


def per_sample_grads(model: Module, loss: Loss, x: Operand, y: Any) -> dict[str, np.ndarray]:
    """For each example its own gradient: {name of a parameter: array (N, *its shape)}.

    loss(model(x), y) -> a scalar, of batches of one here. x, y: arrays or Tensors, N along the first axis.
    Raises ValueError if x and y differ in length or batch norm is in training mode. No .grad is touched.
    """
    parameters, x, y = _ready("per_sample_grads", model, x, y)
    grads = {name: np.zeros((len(x), *p.shape), p.dtype) for name, p in parameters.items()}
    for n in range(len(x)):
        value = loss(model(Tensor(x[n:n + 1])), y[n:n + 1])
        if not isinstance(value, Tensor) or value.size != 1:
            came = f"shape {value.shape}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ValueError(f"per_sample_grads: the loss gave {came}, wanted a Tensor of one element")
        found = pulled_back(value, parameters.values(), np.ones(value.shape))
        for name, g in zip(grads, found, strict=True):
            grads[name][n] = g
    return grads


def fisher_diag(model: Module, x: Operand, y: Any = None, samples: int = 1,
                rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """The diagonal of the Fisher matrix of a classifier: {name of a parameter: array of its shape}.

    model(x) are logits (N, C). y: None to draw labels from the model, `samples` for every example, by rng
    (nn.random.generator() if left out), which is the Fisher matrix; or the true classes (N,), which is the
    empirical Fisher (see the top of this file).
    Raises ValueError or TypeError for logits or classes that do not fit.
    """
    rng = chosen("fisher_diag", "rng", rng)

    def slopes(logits, classes):
        if logits.ndim != 2:
            raise ValueError(f"fisher_diag: the model gave shape {logits.shape}, wanted logits (N, C)")
        leaf = Tensor(logits.data, requires_grad=True)
        p = F.softmax(leaf).data[0].astype(np.float64)
        labels = rng.choice(len(p), samples, p=p / p.sum()) if classes is None else classes
        for label in labels:
            (slope,) = pulled_back(F.cross_entropy(leaf, np.array([label])), [leaf], 1)
            yield slope / math.sqrt(len(labels))

    return _mean_of_squares("fisher_diag", model, x, y, slopes)


def gauss_newton_diag(model: Module, loss: Loss, x: Operand, y: Any) -> dict[str, np.ndarray]:
    """The diagonal of the Gauss–Newton matrix: {name of a parameter: array of its shape}.

    loss(model(x), y) -> a scalar, convex in the outputs (cross-entropy and mean squares are), of batches of
    one here. It costs as many backward passes for each example as there are outputs.
    Raises ValueError if the loss is not convex at these outputs.
    """
    return _mean_of_squares("gauss_newton_diag", model, x, y, partial(_root, loss))


def _mean_of_squares(who, model, x, y, vectors):
    """The mean over the examples of Σ (v·∂out/∂w)² for each entry w of the parameters, and the vectors v that
    vectors(out, y) gives for an example."""
    parameters, x, y = _ready(who, model, x, y)
    total = {name: np.zeros(p.shape) for name, p in parameters.items()}
    for n in range(len(x)):
        out = model(Tensor(x[n:n + 1]))
        for v in vectors(out, None if y is None else y[n:n + 1]):
            for sum_, g in zip(total.values(), pulled_back(out, parameters.values(), v), strict=True):
                sum_ += g * g / len(x)
    return {name: array.astype(parameters[name].dtype) for name, array in total.items()}


def _root(loss, out, y):
    """Vectors v with Σ v·vᵀ = H, the second derivatives of the loss in the outputs."""
    leaf = Tensor(out.data.astype(np.float64), requires_grad=True)
    product = hessian_rows("gauss_newton_diag", lambda z: loss(z, y), [leaf])
    values, vectors = np.linalg.eigh(np.array([product([unit])[0].ravel() for _, unit in units(leaf)]))
    if values.min(initial=0) < -1e-8 * max(1, np.abs(values).max(initial=0)):
        raise ValueError("gauss_newton_diag: the loss is not convex in the outputs: its second derivative "
                         f"there has the eigenvalue {values.min():.3g}")
    return [np.sqrt(value) * vectors[:, k].reshape(out.shape) for k, value in enumerate(values) if value > 0]


def _ready(who, model, x, y):
    """The parameters by name, x and y as arrays; or why this can't be done."""
    instance(who, "model", model, Module, "an nn.Module")
    for name, module in model.named_modules():
        if module.training and hasattr(module, "running_mean"):
            raise ValueError(f"{who}: batch norm {name or type(module).__name__!r} is in training mode, "
                             "where an example has no gradient of its own; call model.eval() first")
    x, y = (None if a is None else np.asarray(getattr(a, "_data", a)) for a in (x, y))
    if not x.ndim or not len(x):
        raise ValueError(f"{who}: x has shape {x.shape}, wanted at least one example along the first axis")
    if y is not None and (not y.ndim or len(y) != len(x)):
        raise ValueError(f"{who}: x has {len(x)} examples and y is of shape {y.shape}; wanted as many")
    return {name: p for name, p in model.named_parameters() if p.requires_grad}, x, y
