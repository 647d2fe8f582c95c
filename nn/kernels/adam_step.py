"""adam_step: one step of Adam or AdamW for several tensors at once, in place."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from operator import is_
from typing import Any
from weakref import ref

import numpy as np
from numpy import ndarray

from .arguments import F32, FLOATS, READABLE, WRITABLE, array, dense, integer, number, shares
from .kernel import kernel
from .native import NUMPY, ffi, from_buffer, lib

Arrays = Sequence[np.ndarray]
NAMES = "params", "grads", "exp_avgs", "exp_avg_sqs"


@kernel(params="f32[...]*", grads="f32[...]*", exp_avgs="f32[...]*", exp_avg_sqs="f32[...]*", out=())
def adam_step(params: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays, steps: Sequence[int], *,
              lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
              weight_decay: float = 0.0, decoupled: bool = False) -> None:
    """Adam (Kingma & Ba 2015, algorithm 1) on each tensor p, with its gradient g and averages m and v:

        m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        p ← p − α/(1 − β₁ᵗ) · m/(√v/√(1 − β₂ᵗ) + ε)

    Four lists of float32 arrays of equal shapes; `steps` has the t ≥ 1 of each. Written in place are params,
    exp_avgs and exp_avg_sqs; C takes contiguous ones. A gradient may lie anyhow, and none may share memory
    with what is written. weight_decay λ: g ← g + λp first, or, `decoupled`, p ← (1 − αλ) p (Loshchilov &
    Hutter 2019).

    Every number is rounded to float32 after every operation, in the order of the lines below, so all variants
    give the same bits. Where it raises, nothing was written.
    grads: the gradients g. lr: α. betas: (β₁, β₂). eps: ε.
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


def _run(choice: int, params: Arrays, grads: Arrays, exp_avgs: Arrays, exp_avg_sqs: Arrays,
         steps: Sequence[int], lr: float, betas: tuple[float, float], eps: float, weight_decay: float,
         decoupled: bool) -> None:
    _check_lists(params, grads, exp_avgs, exp_avg_sqs, steps)
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"adam_step: betas must be two numbers, got {betas!r}")
    beta1, beta2 = betas
    if not (type(lr) is type(beta1) is type(beta2) is type(eps) is type(weight_decay) is float
            and 0 <= beta1 < 1 and 0 <= beta2 < 1):
        _check_numbers(lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)
    for t in steps:
        if type(t) is not int or t < 1:
            integer("adam_step", "steps", t, 1, 1 << 62)
    if not params:
        return
    written = [*params, *exp_avgs, *exp_avg_sqs]
    known = _known.get(id(params[0]))
    seen = known is not None and known.holds(written)
    each, rest, usual = [], [], True
    for i, (p, g, m, v, t) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, steps, strict=True)):
        if (type(g) is ndarray and g.dtype is F32 and g.flags.num & READABLE == READABLE
                and (seen or type(p) is type(m) is type(v) is ndarray)
                and p.dtype is m.dtype is v.dtype is F32 and (seen or p.shape == m.shape == v.shape)
                and p.shape == g.shape and p.flags.num & m.flags.num & v.flags.num & WRITABLE == WRITABLE):
            each.append((p, g, m, v, t))
            continue
        usual, (p, g, m, v) = False, _checked(i, p, g, m, v)
        if (choice != NUMPY and p.dtype is g.dtype is m.dtype is v.dtype is F32
                and p.flags.num & m.flags.num & v.flags.num & WRITABLE == WRITABLE):
            each.append((p, dense(g), m, v, t))
        else:
            rest.append((p, g, m, v, t))
    if choice == NUMPY:
        rest, each = [*rest, *each], []
    for p, g, m, v, _ in rest:
        if any(shares(x, y) for x, y in ((p, g), (p, m), (p, v), (m, g), (v, g), (m, v))):
            raise _overlap()
    if each:
        _in_c(choice, each, known if seen and not rest else None, usual, float(lr), betas, float(eps),
              float(weight_decay), decoupled)
    if rest:
        adam_step.reference(*zip(*rest, strict=True), lr=float(lr), betas=betas, eps=float(eps),
                            decoupled=decoupled, weight_decay=float(weight_decay))


def _in_c(choice: int, each: list[tuple], known: _Known | None, usual: bool, lr: float,
          betas: tuple[float, float], eps: float, weight_decay: float, decoupled: bool) -> None:
    """The step of tensors that C takes; known: the same ones, as a call before has seen them."""
    beta1, beta2 = betas
    if known is None:
        known = _Known(each)
        if usual:
            known.remember()
    l2, shrink = bool(weight_decay and not decoupled), 1 - lr * weight_decay if decoupled else 1.0
    how = ffi.new("nn_adam *", (beta1, beta2, 1 - beta1, 1 - beta2, eps, shrink, weight_decay, l2))
    steps = [one[4] for one in each]
    factors = {t: (1 / sqrt(1 - beta2**t), lr / (1 - beta1**t)) for t in set(steps)}   # mostly one t for all
    corrections, rates = zip(*[factors[t] for t in steps], strict=True)
    p, m, v = known.pointers
    status = lib.nn_adam_step(choice, len(each), p, [from_buffer(one[1]) for one in each], m, v,
                              known.sizes, how, corrections, rates)
    if status:
        raise _overlap()


_known: dict[int, _Known] = {}   # by the id of the first tensor


class _Known:
    """The tensors of a call, as C sees them: most calls bring those of one before, with new gradients.

    It does not keep them alive, and what is no more is not the same: an entry cannot outlive its memory.
    """

    __slots__ = ("pointers", "refs", "sizes")

    def __init__(self, each: list[tuple]) -> None:
        params, _, exp_avgs, exp_avg_sqs, _ = zip(*each, strict=True)
        self.refs = [ref(x) for x in (*params, *exp_avgs, *exp_avg_sqs)]
        self.pointers = [ffi.new("void *[]", [from_buffer(x) for x in some])
                         for some in (params, exp_avgs, exp_avg_sqs)]
        self.sizes = ffi.new("int64_t[]", [p.size for p in params])

    def holds(self, written: list[Any]) -> bool:
        """Whether these are the same arrays, in this order."""
        return len(written) == len(self.refs) and all(map(is_, written, [x() for x in self.refs]))

    def remember(self) -> None:
        """Have the next call find this, as long as the first tensor lives."""
        first = self.refs[0]()
        key = id(first)
        self.refs[0] = ref(first, lambda _: _known.pop(key, None))
        _known[key] = self


def _check_lists(*given: Any) -> None:
    for name, some in zip((*NAMES, "steps"), given, strict=True):
        if not isinstance(some, (list, tuple)):
            raise TypeError(f"adam_step: {name} must be a list, got {type(some).__name__}")
        if len(some) != len(given[0]):
            raise ValueError(f"adam_step: {name} must have {len(given[0])} entries, got {len(some)}")


def _checked(i: int, *given: Any) -> tuple[np.ndarray, ...]:
    """p, g, m, v of tensor i as the kernel wants them, or an error that says which is not."""
    p, g, m, v = (array("adam_step", f"{name}[{i}]", x, None, F32, *FLOATS)
                  for name, x in zip(NAMES, given, strict=True))
    for name, x in (("grads", g), ("exp_avgs", m), ("exp_avg_sqs", v)):
        if x.shape != p.shape:
            raise ValueError(f"adam_step: {name}[{i}] must have the shape {p.shape} of its tensor, "
                             f"got {x.shape}")
    for name, x in (("params", p), ("exp_avgs", m), ("exp_avg_sqs", v)):
        if not x.flags.writeable:
            raise ValueError(f"adam_step: {name}[{i}] must be writable, got strides {x.strides}, read-only")
    return p, g, m, v


def _check_numbers(**given: Any) -> None:
    for name, x in given.items():
        number("adam_step", name, x)
        if name.startswith("beta") and not 0 <= x < 1:
            raise ValueError(f"adam_step: {name} must be in [0, 1), got {x}")


def _overlap() -> ValueError:
    return ValueError("adam_step: params, grads, exp_avgs and exp_avg_sqs of a tensor must not overlap")


adam_step.runs(_run)
