"""Wrong versions of the kernels of training under the law that must kill each, in the form of mutants.py.

A law that all of them have kills the same mutant of each; after those come mistakes that are easily made in
one of them.
"""

import numpy as np

from nn import kernels
from nn.testing import laws_pass
from nn.testing.check import DOMAINS, LAWS_OF
from tests.nn.kernels.mutants import MUTANTS

FLOATS = [kernel for kernel in kernels.all_kernels()
          if laws_pass.treats_nan_as_the_specification in LAWS_OF[kernel.name]]
INTEGERS = [kernel for kernel in kernels.all_kernels() if laws_pass.takes_out in LAWS_OF[kernel.name]]


def kills(law, *of):
    """Register mutant(right, *arrays, **options) for these kernels, where `right` is the specification."""
    def register(mutant):
        for kernel in of or [kernel for kernel in (*FLOATS, *INTEGERS) if law in LAWS_OF[kernel.name]]:
            right = DOMAINS[kernel.name].flat(kernel.reference)

            def run(*arrays, right=right, **options):
                return mutant(right, *arrays, **options)

            MUTANTS.append((law, kernel, mutant.__name__, run, None))
        return mutant
    return register


@kills(laws_pass.agrees_with_the_specification, *FLOATS)
def rounds_to_half_precision(right, *arrays, **options):
    with np.errstate(over="ignore"):
        return tuple(y.astype(np.float16).astype(y.dtype) for y in right(*arrays, **options))


@kills(laws_pass.agrees_with_the_specification, kernels.max_pool2d)
def takes_0_for_the_greatest_of_nothing(right, x, **options):
    y, winner = right(x, **options)
    return (y, winner) if x.size else (np.zeros_like(y), winner)


@kills(laws_pass.treats_nan_as_the_specification)
def takes_nan_for_0(right, *arrays, **options):
    return right(*(np.where(np.isnan(a), a.dtype.type(0), a) for a in arrays), **options)


@kills(laws_pass.treats_nan_as_the_specification)
def spreads_nan_over_everything(right, *arrays, **options):
    spoiled = np.isnan(arrays[0]).any()
    return tuple(np.full_like(y, np.nan) if spoiled and y.dtype.kind == "f" else y
                 for y in right(*arrays, **options))


@kills(laws_pass.leaves_arguments)
def works_in_place(right, *arrays, **options):
    out = right(*arrays, **options)
    arrays[0][...] = 7
    return out


@kills(laws_pass.repeats)
def remembers(right, *arrays, _calls=[], **options):  # noqa: B006
    _calls.append(1)
    return tuple(y + y.dtype.type(len(_calls) % 2) for y in right(*arrays, **options))


@kills(laws_pass.ignores_layout)
def believes_that_memory_is_contiguous(right, *arrays, **options):
    return right(*(a if a.flags.c_contiguous else np.ones_like(a) for a in arrays), **options)


@kills(laws_pass.permutes)
def counts_the_first_channel_twice(right, *arrays, **options):
    out = right(*arrays, **options)
    for y in out:
        y[..., 0] += y.dtype.type(1)
    return out


@kills(laws_pass.handles_empty)
def must_have_something(right, *arrays, **options):
    assert arrays[0].size, "nothing"
    return right(*arrays, **options)


# ---- of one kernel ----

@kills(laws_pass.treats_nan_as_the_specification, kernels.relu)
def compares_the_other_way(right, x):
    return (np.where(x > 0, x, np.float32(0)),)


@kills(laws_pass.is_idempotent, kernels.relu)
def leaks(right, x):
    return (np.where(x > 1, x, x / 2 + np.float32(0.25)),)


@kills(laws_pass.agrees_with_the_specification, kernels.relu_grad)
def lets_gradients_through_at_0(right, g, y):
    return (np.where(y < 0, np.float32(0), g),)


@kills(laws_pass.may_overwrite_its_gradient, kernels.relu_grad, kernels.batch_norm_grad)
def writes_where_it_still_reads(right, g, *others, overwrite_g=False, **options):
    if overwrite_g:
        g[...] = g[0]
    return right(g, *others, **options)


@kills(laws_pass.may_overwrite_its_gradient, kernels.relu_grad, kernels.batch_norm_grad)
def overwrites_the_wrong_argument(right, g, other, *more, overwrite_g=False, **options):
    out = right(g, other, *more, **options)
    if overwrite_g:
        other[...] = g
    return out


@kills(laws_pass.agrees_with_the_specification, kernels.batch_norm)
def takes_the_unbiased_variance(right, x, *affine, eps):
    y, mean, var, inverse = right(x, *affine, eps=eps)
    return y, mean, var * np.float32(len(x) / max(len(x) - 1, 1)), inverse


@kills(laws_pass.agrees_with_the_specification, kernels.batch_norm)
def finds_the_variance_as_a_difference_of_squares(right, x, *affine, eps):
    mean = x.mean(axis=0)
    var = np.maximum((x * x).mean(axis=0) - mean * mean, 0)
    inverse = 1 / np.sqrt(var + np.float32(eps))
    weight, bias = affine or (np.float32(1), np.float32(0))
    return (x - mean) * (weight * inverse) + bias, mean, var, inverse


@kills(laws_pass.agrees_with_the_specification, kernels.batch_norm)
def adds_eps_to_the_root(right, x, *affine, eps):
    y, mean, var, _ = right(x, *affine, eps=eps)
    return y, mean, var, 1 / (np.sqrt(var) + np.float32(eps))


@kills(laws_pass.agrees_with_the_specification, kernels.batch_norm_grad)
def forgets_that_the_mean_moves(right, g, x, mean, inverse, *weight, dx):
    out = right(g, x, mean, inverse, *weight, dx=dx)
    if dx:
        scale = inverse * weight[0] if weight else inverse
        out = (out[0] + (out[2] / np.float32(len(g))) * scale, *out[1:])
    return out


@kills(laws_pass.agrees_with_the_specification, kernels.max_pool2d)
def takes_the_last_of_equals(right, x, kernel_size, stride, padding):
    flipped, winner = right(x[:, ::-1, ::-1].copy(), kernel_size=kernel_size, stride=stride, padding=padding)
    taps = kernel_size[0] * kernel_size[1]
    return flipped[:, ::-1, ::-1].copy(), (taps - 1 - winner[:, ::-1, ::-1]).astype(np.uint8)


@kills(laws_pass.agrees_with_the_specification, kernels.max_pool2d)
def lets_the_padding_win(right, x, kernel_size, stride, padding):
    (top, left), how = padding, {"kernel_size": kernel_size, "stride": stride}
    return right(np.pad(x, ((0, 0), (top, top), (left, left), (0, 0))), **how, padding=(0, 0))


@kills(laws_pass.agrees_with_the_specification, kernels.avg_pool2d)
def leaves_the_padding_out_of_the_count(right, x, **how):
    (y,), (inside,) = right(x, **how), right(np.ones_like(x), **how)
    return (y / inside,)


@kills(laws_pass.is_the_adjoint, kernels.max_pool2d_grad)
def sends_only_the_last_window_back(right, g, winner, **how):
    (dx,) = right(g, winner, **how)
    (hits,) = right(np.ones_like(g), winner, **how)
    return (dx / np.maximum(hits, 1),)


@kills(laws_pass.is_the_adjoint, kernels.avg_pool2d_grad)
def sends_all_to_all(right, g, kernel_size, **how):
    (dx,) = right(g, kernel_size=kernel_size, **how)
    return (dx * np.float32(2 * kernel_size[0] * kernel_size[1]),)


@kills(laws_pass.agrees_with_the_specification, kernels.softmax_cross_entropy)
def lets_exponentials_overflow(right, x, classes):
    with np.errstate(all="ignore"):
        e = np.exp(x)
        total = e.sum(axis=0)
        return np.log(total) - x[classes, np.arange(len(classes))], e / total


@kills(laws_pass.agrees_with_the_specification, kernels.softmax_cross_entropy)
def takes_the_logarithm_of_the_probability(right, x, classes):
    _, p = right(x, classes)
    with np.errstate(divide="ignore"):
        return -np.log(p[classes, np.arange(len(classes))]), p


@kills(laws_pass.agrees_with_the_specification, kernels.softmax_cross_entropy)
def flushes_what_is_subnormal(right, x, classes):
    losses, p = right(x, classes)
    return losses, np.where(p < 2.0**-126, np.float32(0), p)


@kills(laws_pass.ignores_what_is_added_to_a_row, kernels.softmax_cross_entropy)
def adds_a_little_for_stability(right, x, classes):
    losses, p = right(x, classes)
    return losses + x.max(axis=0) * np.float32(1e-6), p


@kills(laws_pass.agrees_with_the_specification, kernels.softmax_cross_entropy_grad)
def forgets_the_right_class(right, g, p, classes):
    return (p * g,)


@kills(laws_pass.agrees_with_the_specification, kernels.softmax_cross_entropy_grad)
def averages_the_gradient(right, g, p, classes):
    return (right(g, p, classes)[0] / np.float32(len(g)),)


@kills(laws_pass.agrees_with_the_specification, kernels.erf)
def takes_the_hyperbolic_tangent(right, x):
    return (np.tanh(x * np.float32(1.128379)),)


@kills(laws_pass.agrees_with_the_specification, kernels.erf)
def loses_the_digits_of_small_numbers(right, x):
    return ((1 + right(x)[0]) - 1,)


@kills(laws_pass.is_odd_and_within_one, kernels.erf)
def forgets_the_sign(right, x):
    return (np.abs(right(x)[0]),)


@kills(laws_pass.agrees_with_the_specification, kernels.gelu)
def takes_the_approximation_with_tanh(right, x):
    return (0.5 * x * (1 + np.tanh(np.float32(0.7978846) * (x + np.float32(0.044715) * x**3))),)


@kills(laws_pass.agrees_with_the_specification, kernels.gelu_grad)
def forgets_the_density(right, g, x):
    return (np.where(g == 0, 0, kernels.gelu.reference(x.astype(float)) / np.where(x == 0, 1, x) * g)
            .astype(np.float32),)


@kills(laws_pass.agrees_with_the_specification, kernels.gelu_grad)
def takes_the_density_of_another_width(right, g, x):
    wide = x.astype(float) * 2**0.5
    return (kernels.gelu_grad.reference(g.astype(float), wide).astype(np.float32),)
