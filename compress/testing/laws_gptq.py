"""What GPTQ promises beside the laws of every transform: its codes are those of second_order.py."""

import numpy as np

from nn.testing.case import Case

from ..second_order import compensation, damped, lower_factor, obq
from ..stored import as_matrix, from_matrix
from ..techniques.gptq import GPTQ
from .subject import Subject, own_laws, read_by, same, seen

WIDTHS = (1, 2, 3, 5, 9)  # of the small lattices


def settings(subject: Subject) -> GPTQ:
    """The stage that rounds."""
    return subject.stages[-1]


def errs_by_planes(subject: Subject, case: Case) -> None:
    """‖R·(w − q)‖² = Σ Rᵢᵢ²·(w̃ᵢ − qᵢ)² for the codes that it chose, and w̃ᵢ is where it rounded: qᵢ is the
    nearest code to it, unless zeros are to stay."""
    parameter = subject.attached(*case.args)
    stage, (w,), state = settings(subject), case.args, parameter.parametrization.states[-1]
    before = as_matrix(parameter.parametrization.before_last(parameter).data).astype(np.float64)
    q = as_matrix(seen(parameter)).astype(np.float64)
    h = state.hessian.matrix[0]
    order = order_of(stage, h)
    r = lower_factor(damped(h, stage.damping)[np.ix_(order, order)])
    e = before[:, order] - q[:, order]
    off = before[:, order] + e @ compensation(r).T - q[:, order]
    whole, planes = np.sum((e @ r.T) ** 2), np.sum((off * np.diag(r)) ** 2)
    if not abs(whole - planes) <= 1e-6 * whole + w.size * 2.0**-200:
        raise AssertionError(f"‖R·e‖² is {whole}, by planes {planes}")
    scales = stage.weights.spread(state.scale, w.shape)
    scales = as_matrix(np.broadcast_to(scales, w.shape))[:, order]
    top, free = stage.weights.highest * scales, scales > 2 * np.finfo(np.float32).tiny
    if state.pruned:
        free = free & (before[:, order] != 0)
    size = np.abs(before[:, order]) + np.abs(e) @ np.abs(compensation(r)).T
    excess = np.abs(off) - 0.50001 * scales - 1e-9 * size
    clipped = np.abs(off + q[:, order]) > top
    if np.any((excess > 0) & free & ~clipped):
        raise AssertionError("a code is not the nearest to its weight, moved by the errors before it")


def order_of(stage: GPTQ, h: np.ndarray) -> np.ndarray:
    """The columns as they are rounded: the loudest inputs first, or as they stand."""
    return np.argsort(-np.diag(h), kind="stable") if stage.activation_order else np.arange(len(h))


def rounds_apart_to_nearest(subject: Subject, case: Case) -> None:
    """Where inputs have nothing to do with each other there is nothing to make good: to the bit what rounding
    to the nearest gives."""
    (w,), stage = case.args, settings(subject)
    parameter = subject.attached(w)
    state = parameter.parametrization.states[-1]
    state.hessian.matrix[:], before = 0, state.hessian.matrix.copy()
    width = before.shape[1]
    state.hessian.matrix[:, range(width), range(width)] = case.rng().uniform(0, 9, width)
    state.weight = np.full_like(w, np.nan)
    got = seen(parameter)
    state.hessian.matrix[:] = before
    scale = stage.following(state, w).scale
    same(got, stage.weights.to_reals(stage.weights.to_codes(w, scale), scale), "with inputs that are apart")


def goes_to_the_nearest_plane(subject: Subject, case: Case) -> None:
    """On small lattices: each code is the one from which, if all later weights could be any real number, the
    error would be least. By trying all codes and solving for the later weights, without any factor."""
    rng, stage = case.rng(), settings(subject)
    width = int(rng.choice(WIDTHS))
    w = rng.standard_normal((2, width)).astype(np.float32)
    parameter = Subject("", (stage,)).attached(w)
    state, h = parameter.parametrization.states[0], read_by(w.shape).matrix[0]
    codes = np.arange(stage.weights.lowest, stage.weights.highest + 1).astype(stage.weights.dtype)
    scales = as_matrix(np.broadcast_to(stage.weights.spread(state.scale, w.shape), w.shape))
    order, h = order_of(stage, h), damped(h, stage.damping)
    for row, got, steps in zip(w.astype(np.float64), seen(parameter).astype(np.float64), scales, strict=True):
        for i, at in enumerate(order):
            rest = order[i + 1:]
            errors = np.tile(row - got, (len(codes), 1))
            errors[:, at] = row[at] - stage.weights.dequantize(codes, steps[at])
            errors[:, rest] = -errors[:, order[:i + 1]] @ np.linalg.solve(h[np.ix_(rest, rest)],
                                                                         h[np.ix_(rest, order[:i + 1])]).T
            costs = np.einsum("ci,ij,cj->c", errors, h, errors)
            chosen = costs[np.argmin(np.abs(errors[:, at] - (row - got)[at]))]
            if not chosen <= costs.min() * (1 + 1e-6):
                raise AssertionError(f"column {at} of {width} costs {chosen}, the best code {costs.min()}")


def is_optimal_brain_surgery(subject: Subject, case: Case) -> None:
    """What optimal brain surgery gives, which inverts H and eliminates one weight after the other."""
    (w,), stage = case.args, settings(subject)
    w = case.rng().standard_normal(w.shape).astype(np.float32)
    parameter = Subject("", (stage,)).attached(w)
    state = parameter.parametrization.states[0]
    h = state.hessian.matrix[0]
    order, scales = order_of(stage, h), as_matrix(np.broadcast_to(
        stage.weights.spread(state.scale, w.shape), w.shape))

    def rounds(column: np.ndarray, i: int) -> np.ndarray:
        steps = scales[:, order[i]]
        return stage.weights.dequantize(stage.weights.quantize(column, steps), steps)

    found = np.empty((len(w), len(h)))
    found[:, order] = obq(as_matrix(w)[:, order], damped(h, stage.damping)[np.ix_(order, order)], rounds)
    same(seen(parameter), from_matrix(found.astype(np.float32), w.shape), "against optimal brain surgery")


own_laws(GPTQ, errs_by_planes, rounds_apart_to_nearest, goes_to_the_nearest_plane, is_optimal_brain_surgery)
