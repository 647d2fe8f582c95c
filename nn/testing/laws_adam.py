"""The laws of adam_step: the bits of the specification, each entry by itself, and what the papers promise."""

from __future__ import annotations

import numpy as np

from .case import Case
from .domain_adam import split
from .laws import Implementation, obeys, same


def after(f: Implementation, case: Case, *arrays: np.ndarray, **options) -> np.ndarray:
    """What f leaves of copies of the case's arrays (or of these, with some options replaced)."""
    with np.errstate(all="ignore"):
        copies = [array.copy() for array in arrays or case.args]
        return f.run(*copies, **{**case.options, **options})


def equal(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """The same bits, where NaN is NaN whatever its sign."""
    got, want = (np.where(np.isnan(x), np.float32(np.nan), x) for x in (got, want))
    same(got, want, what)


def gives_the_bits_of_the_specification(f: Implementation, case: Case) -> None:
    """Every operation is rounded to float32, in the order of the specification's lines."""
    with np.errstate(all="ignore"):
        want = f.spec(*(array.copy() for array in case.args), **case.options)
    equal(after(f, case), want, "against the specification")


def leaves_gradients(f: Implementation, case: Case) -> None:
    """Gradients are not written to."""
    copies = [array.copy() for array in case.args]
    with np.errstate(all="ignore"):
        f.run(*copies, **case.options)
    for i, (was, now) in enumerate(zip(split(case.args)[1], split(copies)[1], strict=True)):
        same(now, was, f"gradient {i} after the call")


def steps_each_entry_alone(f: Implementation, case: Case) -> None:
    """Tensors cut in two, and each part in a call of its own, step as they do whole and together."""
    p, g, m, v = split(case.args)
    steps, rng, parts = case.options["steps"], case.rng(), []
    for i, t in enumerate(steps):
        cut = int(rng.integers(p[i].size + 1))
        parts.append([after(f, case, *(x[i][part] for x in (p, g, m, v)), steps=[t]).reshape(3, -1)
                      for part in (slice(cut), slice(cut, None))])
    alone = [np.concatenate(halves, axis=1)[k] for k in range(3) for halves in parts]
    equal(np.concatenate(alone), after(f, case), "tensor by tensor, each in two parts")


def steps_nothing(f: Implementation, case: Case) -> None:
    """No tensor, or only empty ones: nothing happens."""
    nothing = np.zeros(0, np.float32)
    same(f.run(**{**case.options, "steps": []}), nothing, "without a tensor")
    same(after(f, case, *[nothing] * 8, steps=[1, 2]), nothing, "with two empty tensors")


def decays_apart_from_the_gradient(f: Implementation, case: Case) -> None:
    """Decoupled, λ shrinks p by 1 − αλ and then steps as without it (Loshchilov & Hutter 2019, alg. 2)."""
    p, g, m, v = split(case.args)
    shrink = np.float32(1 - case.options["lr"] * 0.3)
    shrunk = after(f, case, *(x * shrink for x in p), *g, *m, *v, weight_decay=0.0, decoupled=False)
    equal(after(f, case, weight_decay=0.3, decoupled=True), shrunk, "λ = 0.3, decoupled")


def adds_decay_to_the_gradient(f: Implementation, case: Case) -> None:
    """Not decoupled, λ is a gradient of λp more."""
    p, g, m, v = split(case.args)
    with np.errstate(all="ignore"):
        more = [y + np.float32(0.3) * x for x, y in zip(p, g, strict=True)]
    added = after(f, case, *p, *more, *m, *v, weight_decay=0.0, decoupled=False)
    equal(after(f, case, weight_decay=0.3, decoupled=False), added, "λ = 0.3")


def ignores_the_scale_of_gradients(f: Implementation, case: Case) -> None:
    """With ε = 0, gradients and averages in another unit give the same step (Kingma & Ba 2015, section 2)."""
    rng, n = case.rng(), 20
    p, g, m = (rng.standard_normal(n, np.float32) for _ in range(3))
    v = rng.random(n, np.float32) + np.float32(0.1)
    plain = {"eps": 0.0, "weight_decay": 0.0, "steps": [int(rng.integers(1, 9))]}
    scale = np.float32(2.0 ** rng.integers(-20, 20))
    once = after(f, case, p, g, m, v, **plain)[:n]
    scaled = after(f, case, p, g * scale, m * scale, v * scale**2, **plain)[:n]
    same(scaled, once, f"in units {scale} times as large")


def keeps_nan_to_itself(f: Implementation, case: Case) -> None:
    """A NaN in a gradient spoils the entry it belongs to, in p, m and v, and no other."""
    p, g, m, v = split([np.ones(21, np.float32)] * 4)
    at = int(case.rng().integers(21))
    g = [g[0].copy()]
    g[0][at] = np.nan
    got = after(f, case, *p, *g, *m, *v, steps=[1]).reshape(3, 21)
    same(np.isnan(got), np.tile(np.arange(21) == at, (3, 1)), f"NaN in entry {at} of the gradient")


obeys("adam_step", gives_the_bits_of_the_specification, leaves_gradients, steps_each_entry_alone,
      steps_nothing, decays_apart_from_the_gradient, adds_decay_to_the_gradient,
      ignores_the_scale_of_gradients, keeps_nan_to_itself)
