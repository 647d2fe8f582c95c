"""adam_step: one step of Adam or AdamW for several tensors at once, in place."""

from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np

from .arguments import F32, FLOATS, READABLE, WRITABLE, array, dense, integer, number, shares
from .kernel import kernel
from .native import NUMPY, ffi, from_buffer, lib

Arrays = Sequence[np.ndarray]
NAMES = "params", "grads", "exp_avgs", "exp_avg_sqs"
NUMBERS = "lr", "beta1", "beta2", "eps", "weight_decay"


@kernel(params="f32[...]*", grads="f32[...]*", exp_avgs="f32[...]*", exp_avg_sqs="f32[...]*", out=())
def adam_step(params: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, steps: Sequence[int], *,
              lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
              weight_decay: float = 0.0, decoupled: bool = False) -> None:
    """Adam (Kingma & Ba 2015, algorithm 1) on each tensor p, with its gradient g and averages m and v:

        m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        p ← p − α/(1 − β₁ᵗ) · m/(√v/√(1 − β₂ᵗ) + ε)

    `steps` has the t ≥ 1 of each tensor; grads: the gradients g. lr: α. betas: (β₁, β₂). eps: ε.
    weight_decay λ: g ← g + λp first, or, `decoupled`, p ← (1 − αλ) p (Loshchilov & Hutter 2019).
    Written in place are params, exp_avgs and exp_avg_sqs; C takes contiguous ones. A gradient may lie anyhow,
    and none may share memory with what is written. Where it raises, nothing was written.
    Every number is rounded to float32 after every operation, in the order of the lines below, so all variants
    give the same bits.
    """
    beta1, beta2 = betas
    for p, g, m, v, t in zip(params, grads, exp_avgs, exp_avg_sqs, steps, strict=True):
        if decoupled:
            p *= 1 - lr * weight_decay
        elif weight_decay:
            g = g + weight_decay * p
        m *= beta1
        m += g * (1 - beta1)
        v *= beta2
        v += g * g * (1 - beta2)
        rms = np.sqrt(v) * (1 / sqrt(1 - beta2**t)) + eps
        p -= m / rms * (lr / (1 - beta1**t))


def _run(choice, params, grads, exp_avgs, exp_avg_sqs, steps, lr, betas, eps, weight_decay, decoupled):
    for name, some in zip((*NAMES, "steps"), (params, grads, exp_avgs, exp_avg_sqs, steps), strict=True):
        if not isinstance(some, (list, tuple)):
            raise TypeError(f"adam_step: {name} must be a list, got {type(some).__name__}")
        if len(some) != len(params):
            raise ValueError(f"adam_step: {name} must have {len(params)} entries, got {len(some)}")
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"adam_step: betas must be two numbers, got {betas!r}")
    beta1, beta2 = betas
    for name, x in zip(NUMBERS, (lr, beta1, beta2, eps, weight_decay), strict=True):
        if type(x) is not float:
            number("adam_step", name, x)
        if name.startswith("beta") and not 0 <= x < 1:
            raise ValueError(f"adam_step: {name} must be in [0, 1), got {x}")
    in_c, rest = [], []
    for i, (p, g, m, v, t) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, steps, strict=True)):
        if not (type(p) is type(g) is type(m) is type(v) is np.ndarray and type(t) is int and t > 0
                and p.dtype is g.dtype is m.dtype is v.dtype is F32 and g.flags.num & READABLE == READABLE
                and p.shape == g.shape == m.shape == v.shape and choice > NUMPY
                and p.flags.num & m.flags.num & v.flags.num & WRITABLE == WRITABLE):
            p, g, m, v = _checked(i, p, g, m, v, t)
            if (choice <= NUMPY or not p.dtype is g.dtype is m.dtype is v.dtype is F32
                    or p.flags.num & m.flags.num & v.flags.num & WRITABLE != WRITABLE):
                rest.append((p, g, m, v, t))
                continue
        in_c.append((p, g, m, v, t))
    overlap = any(shares(x, y) for *four, _ in rest for x, y in combinations(four, 2))
    if in_c and not overlap:
        l2, shrink = bool(weight_decay and not decoupled), 1 - lr * weight_decay if decoupled else 1.0
        how = ffi.new("nn_adam *", (beta1, beta2, 1 - beta1, 1 - beta2, eps, shrink, weight_decay, l2))
        *four, steps = zip(*in_c, strict=True)
        p, g, m, v = (list(map(from_buffer, some)) for some in four)
        factors = {t: (1 / sqrt(1 - beta2**t), lr / (1 - beta1**t)) for t in set(steps)}  # mostly of one t
        overlap = lib.nn_adam_step(choice, len(in_c), p, g, m, v, [x.size for x in four[0]], how,
                                   *zip(*[factors[t] for t in steps], strict=True))
    if overlap:
        raise ValueError("adam_step: params, grads, exp_avgs and exp_avg_sqs of a tensor must not overlap")
    if rest:
        adam_step.reference(*zip(*rest, strict=True), lr=float(lr), betas=betas, eps=float(eps),
                            decoupled=decoupled, weight_decay=float(weight_decay))


def _checked(i: int, *given: Any) -> list[np.ndarray]:
    """p, g, m, v of tensor i as the kernel wants them, or an error that says which is not, or its step t."""
    *four, t = given
    integer("adam_step", "steps", t, 1, 1 << 62)
    four = [array("adam_step", f"{name}[{i}]", x, None, F32, *FLOATS)
            for name, x in zip(NAMES, four, strict=True)]
    for name, x in zip(NAMES, four, strict=True):
        if x.shape != four[0].shape:
            raise ValueError(f"adam_step: {name}[{i}] must have the shape {four[0].shape} of its tensor, "
                             f"got {x.shape}")
        if name != "grads" and not x.flags.writeable:
            raise ValueError(f"adam_step: {name}[{i}] must be writable, got strides {x.strides}, read-only")
    four[1] = dense(four[1])
    return four


adam_step.runs(_run)
