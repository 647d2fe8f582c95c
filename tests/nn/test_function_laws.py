"""Laws of the functions, without PyTorch: each against its definition, and each kills a planted mutant."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import functional as F
from nn.functional import losses, pooling
from nn.rules import RULES, einsum

close = np.testing.assert_allclose


def some(rng, low, high):
    return int(rng.integers(low, high + 1))


def erf_is_the_integral(rng):
    x = np.concatenate([rng.normal(size=50), rng.uniform(-7, 7, 50), rng.uniform(-0.5, 0.5, 50), [0.0, 30.0]])
    want = np.array([math.erf(v) for v in x])
    close(nn.Tensor(x).erf().data, want, rtol=1e-15)
    close(nn.Tensor(x.astype(np.float32)).erf().data, want, rtol=1e-6)


def einsum_is_numpys(rng):
    letters = "abcd"
    lengths = dict(zip(letters, rng.integers(1, 4, 4).tolist(), strict=True))
    terms = ["".join(rng.choice(list(letters), some(rng, 0, 3))) for _ in range(some(rng, 1, 3))]
    seen = sorted(set("".join(terms)))
    out = "".join(rng.permutation(seen)[: some(rng, 0, len(seen))])
    xs = [rng.normal(size=[lengths[c] for c in term]) for term in terms]
    for equation in (",".join(terms) + "->" + out, ",".join(terms)):
        want = np.einsum(equation, *xs)
        have = nn.einsum(equation, *map(nn.Tensor, xs)).data
        assert have.shape == want.shape, equation
        close(have, want, rtol=1e-12, atol=1e-12)
    assert nn.gradcheck(RULES["einsum"], *xs, equation=",".join(terms) + "->" + out)


def transposed_convolution_is_the_adjoint(rng):
    """⟨conv(y, w), x⟩ = ⟨y, convᵀ(x, w)⟩, with output_padding chosen so that the sizes agree."""
    groups, how = some(rng, 1, 2), {}
    for name, low, high in (("stride", 1, 3), ("padding", 0, 1), ("dilation", 1, 2)):
        how[name] = (some(rng, low, high), some(rng, low, high))
    kernel = some(rng, 2, 3), some(rng, 2, 3)
    y = rng.normal(size=(2, 2 * groups, some(rng, 5, 8), some(rng, 5, 8)))
    w = rng.normal(size=(3 * groups, 2, *kernel))
    image = F.conv2d(y, w, **how, groups=groups)
    x = rng.normal(size=image.shape)
    more = [
        (n + 2 * p - d * (k - 1) - 1) % s
        for n, p, d, k, s in zip(
            y.shape[2:], how["padding"], how["dilation"], kernel, how["stride"], strict=True
        )
    ]
    back = F.conv_transpose2d(x, w, output_padding=more, groups=groups, **how)
    assert back.shape == y.shape
    close(np.vdot(image.data, x), np.vdot(y, back.data), rtol=1e-10)


def adaptive_pools_take_each_window(rng):
    x = rng.normal(size=(2, 2, some(rng, 1, 9), some(rng, 1, 9)))
    out = some(rng, 1, 6), some(rng, 1, 6)
    sizes = zip(x.shape[2:], out, strict=True)
    bounds = [[(i * n // o, -(-(i + 1) * n // o)) for i in range(o)] for n, o in sizes]
    for function, reduce in ((F.adaptive_avg_pool2d, np.mean), (F.adaptive_max_pool2d, np.max)):
        want = [[reduce(x[:, :, a:b, c:d], axis=(2, 3)) for c, d in bounds[1]] for a, b in bounds[0]]
        close(function(x, out).data, np.moveaxis(np.array(want), (0, 1), (2, 3)), rtol=1e-12, atol=1e-14)


def attention_is_a_mean_that_looks_where_it_may(rng):
    length, width = some(rng, 2, 5), some(rng, 1, 4)
    q, k, v = (rng.normal(size=(2, length, width)) for _ in range(3))
    seen = rng.random((length, length)) < 0.6
    ones = F.scaled_dot_product_attention(q, k, np.ones_like(v), seen).data
    close(ones, np.broadcast_to(seen.any(1)[:, None], ones.shape).astype(float), atol=1e-14)
    causal = F.scaled_dot_product_attention(q, k, v, is_causal=True).data
    i = some(rng, 0, length - 2)
    k[:, i + 1 :], v[:, i + 1 :] = 7, -7
    later = F.scaled_dot_product_attention(q, k, v, is_causal=True).data
    close(later[:, : i + 1], causal[:, : i + 1], rtol=1e-12)
    weights = np.array([[np.exp(a @ b / width**0.5) for b in k[0]] for a in q[0]])
    by_hand = weights @ v[0] / weights.sum(1, keepdims=True)
    close(F.scaled_dot_product_attention(q, k, v).data[0], by_hand, rtol=1e-10)


def norms_do_not_see_shift_and_scale(rng):
    x = rng.normal(size=(2, 4, 3, 3))
    moved = 3 * x + 5
    for norm in (
        lambda x: F.layer_norm(x, (4, 3, 3), eps=0.0),
        lambda x: F.group_norm(x, 2, eps=0.0),
    ):
        close(norm(moved).data, norm(x).data, rtol=1e-9, atol=1e-12)
    y = F.layer_norm(x, (4, 3, 3), eps=0.0).data.reshape(2, -1)
    close(y.mean(1), 0, atol=1e-12)
    close(y.var(1), 1, rtol=1e-12)
    close(F.group_norm(x, 1).data, F.layer_norm(x, (4, 3, 3)).data, rtol=1e-12)


def gather_and_scatter_add_are_adjoint(rng):
    x, index = rng.normal(size=(3, 4)), rng.integers(0, 3, (some(rng, 1, 5), 4))
    s = rng.normal(size=index.shape)
    picked, spread = nn.Tensor(x).gather(0, index), nn.Tensor(np.zeros((3, 4))).scatter_add(0, index, s)
    close(np.vdot(picked.data, s), np.vdot(x, spread.data), rtol=1e-12, atol=1e-12)
    close(picked.data, np.take_along_axis(x, index, 0))


def embedding_is_a_product_with_ones(rng):
    w, i = rng.normal(size=(5, 3)), rng.integers(0, 5, (2, 6))
    have, want = nn.Tensor(w, requires_grad=True), nn.Tensor(w, requires_grad=True)
    g = rng.normal(size=(2, 6, 3))
    y, z = F.embedding(i, have), F.one_hot(i, 5).double() @ want
    close(y.data, z.data)
    y.backward(g)
    z.backward(g)
    close(have.grad, want.grad, rtol=1e-12, atol=1e-12)


def products_leave_one_out(rng):
    x = rng.integers(-2, 3, (3, some(rng, 1, 5))).astype(float)
    t = nn.Tensor(x, requires_grad=True)
    t.prod(1).sum().backward()
    others = [[np.delete(row, j).prod() for j in range(len(row))] for row in x]
    np.testing.assert_array_equal(t.grad, others)


def classes_are_certain_probabilities(rng):
    x, classes = rng.normal(size=(4, 5, 2)), rng.integers(0, 5, (4, 2))
    certain = np.moveaxis(np.eye(5)[classes], 2, 1)
    for how in ({}, {"label_smoothing": 0.3}, {"weight": rng.uniform(0.5, 2, 5), "reduction": "sum"}):
        one, other = (F.cross_entropy(x, target, **how).item() for target in (classes, certain))
        close(one, other, rtol=1e-12)
    plain = F.cross_entropy(x, classes, label_smoothing=0.3).item()
    log_p = F.log_softmax(x, 1).data
    close(plain, 0.7 * F.nll_loss(log_p, classes).item() - 0.3 * log_p.mean(), rtol=1e-12)


def parts_make_the_whole(rng):
    x, dim = rng.normal(size=(5, 4, 3)), some(rng, 0, 2)
    for parts in (F.split(x, some(rng, 1, 4), dim), F.chunk(x, some(rng, 1, 6), dim)):
        np.testing.assert_array_equal(F.cat(parts, dim).data, x)
    widths = [some(rng, 0, 3) for _ in range(2 * some(rng, 1, 3))]
    back = F.pad(F.pad(x, widths, value=9.0), [-n for n in widths])
    np.testing.assert_array_equal(back.data, x)


def logsumexp_is_shifted_by_a_constant(rng):
    x, far = rng.normal(size=(3, 4)), rng.choice([-5000.0, 800.0])
    lse = nn.Tensor(x + far).logsumexp(1).data
    close(lse, np.log(np.exp(x).sum(1)) + far, rtol=1e-12)


LAWS = [
    erf_is_the_integral,
    einsum_is_numpys,
    transposed_convolution_is_the_adjoint,
    adaptive_pools_take_each_window,
    attention_is_a_mean_that_looks_where_it_may,
    norms_do_not_see_shift_and_scale,
    gather_and_scatter_add_are_adjoint,
    embedding_is_a_product_with_ones,
    products_leave_one_out,
    classes_are_certain_probabilities,
    parts_make_the_whole,
    logsumexp_is_shifted_by_a_constant,
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(seed=st.integers(0, 2**32 - 1))
def test_law(law, seed):
    law(np.random.default_rng(seed))


def forward(rule, change):
    """The rule with another forward pass, in place of it."""
    original = rule.forward
    return rule, "forward", lambda *xs, **how: change(original, *xs, **how)


def backward(rule, vjp):
    return rule, "vjp", vjp


def late_index(original, x, index, *, dim):
    y, saved = original(x, np.roll(index, 1, 0), dim=dim)
    return y, saved


def last_only(g, saved, needs):
    """Of a row that is looked up several times, the last gradient alone."""
    rows, indices, _ = saved
    dw = np.zeros((rows, g.shape[-1]), g.dtype)
    dw[indices] = g
    return dw, None


def by_division(g, saved, needs):
    x, dim = saved
    with np.errstate(all="ignore"):
        return (np.expand_dims(g, dim) * (np.multiply.reduce(x, axis=dim, keepdims=True) / x),)


def off_by_a_row(original, *xs, **how):
    y, saved = original(*xs, **how)
    return np.roll(y, 1, 2), saved


def naive(original, x, *, dim=None, keepdim=False):
    with np.errstate(all="ignore"):
        return np.log(np.exp(x).sum(axis=dim, keepdims=keepdim)), None


def biased(original, x, weight, bias, **how):
    y, saved = original(x, weight, bias, **how)
    return y * (1 - 1 / x[0].size), saved


class_loss, side_by_side, index_grad = losses._class_loss, pooling._side_by_side, einsum.index_grad


parse, erf = einsum._parse, sys.modules["nn.kernels.erf"]


def unsorted(equation, shapes):
    labels, out = parse(equation, shapes)
    return labels, out if "->" in equation else "".join(sorted(out, key="".join(labels).index))


def everywhere(g, **where):
    return np.zeros(where["shape"]) + index_grad(g, **where).sum(0)


def half_smoothed(*arguments):
    *others, smoothing = arguments
    return class_loss(*others, smoothing / 2)


MUTANTS = {
    "erf: one digit of one coefficient": (
        erf_is_the_integral, (erf, "_C", (*erf._C[:-1], erf._C[-1] * (1 + 1e-12)))),
    "erf: the near interval a little too wide": (erf_is_the_integral, (erf, "_NEAR", 0.9)),
    "einsum: without an arrow, the letters in the order they came": (
        einsum_is_numpys, (einsum, "_parse", unsorted)),
    "einsum: the gradient of a diagonal off the diagonal too": (
        einsum_is_numpys, (einsum, "index_grad", everywhere)),
    "conv_transpose2d: the image one row down": (
        transposed_convolution_is_the_adjoint, forward(RULES["conv_transpose2d"], off_by_a_row)),
    "adaptive pools: windows of one size": (
        adaptive_pools_take_each_window,
        (pooling, "_side_by_side", lambda x, *places: side_by_side(x, *(
            np.minimum(place, n - 2) for place, n in zip(places, x.shape[2:], strict=True))))),
    "attention: the future is seen": (
        attention_is_a_mean_that_looks_where_it_may,
        forward(RULES["scaled_dot_product_attention"], lambda f, *arrays, is_causal, scale: f(*arrays, scale=scale))),
    "layer_norm: the unbiased variance": (
        norms_do_not_see_shift_and_scale, forward(RULES["layer_norm"], biased)),
    "gather: the next row's index": (
        gather_and_scatter_add_are_adjoint, forward(RULES["gather"], late_index)),
    "embedding: repeats overwrite": (
        embedding_is_a_product_with_ones, backward(RULES["embedding"], last_only)),
    "prod: by division": (products_leave_one_out, backward(RULES["prod"], by_division)),
    "cross_entropy: smoothing without the class itself": (
        classes_are_certain_probabilities,
        (losses, "_class_loss", half_smoothed)),
    "pad: one entry too far left": (
        parts_make_the_whole,
        forward(RULES["pad"], lambda f, x, **how: (np.roll(f(x, **how)[0], 1, -1), None))),
    "logsumexp: without the shift": (
        logsumexp_is_shifted_by_a_constant, forward(RULES["logsumexp"], naive)),
}  # fmt: skip

@pytest.mark.parametrize("name", MUTANTS)
def test_each_law_kills_its_mutants(name, monkeypatch):
    law, (where, attribute, wrong) = MUTANTS[name]
    monkeypatch.setattr(where, attribute, wrong)
    with pytest.raises(AssertionError):    # noqa: PT012 -- at one of the draws
        for seed in range(30):
            law(np.random.default_rng(seed))


def test_every_law_has_a_mutant():
    assert {law for law, _ in MUTANTS.values()} == set(LAWS)
