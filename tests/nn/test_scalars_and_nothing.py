"""The smallest tensors: a scalar, which has an axis 0 as in PyTorch, and what has no entries at all."""

import itertools

import numpy as np
import pytest

import nn
from nn import functional as F

RNG = np.random.default_rng(0)


def all_modes(f, arrays, want):
    """f(*arrays) is `want`; and its gradients exist in all modes and agree with each other."""
    g = RNG.normal(size=np.shape(want))
    leaves, cotangent = [nn.Tensor(a, requires_grad=True) for a in arrays], nn.Tensor(g, requires_grad=True)
    y = f(*leaves)
    np.testing.assert_allclose(y.data, want)
    assert y.shape == np.shape(want)
    slopes = nn.grad(y, leaves, g)
    recorded = nn.grad(f(*leaves), leaves, cotangent, create_graph=True)
    directions = [RNG.normal(size=a.shape) for a in arrays]
    _, change = nn.jvp(f, arrays, directions)
    assert change.shape == y.shape
    for slope, again, array in zip(slopes, recorded, arrays, strict=True):
        assert slope.shape == again.shape == array.shape
        np.testing.assert_allclose(slope, again.data)
    forth, back = (change.data * g).sum(), sum((s * d).sum() for s, d in zip(slopes, directions, strict=True))
    np.testing.assert_allclose(forth, back)
    squares = sum((d * d).sum() for d in recorded)
    if squares.requires_grad:    # once more
        nn.grad(squares, cotangent)


X = np.array(3.0)
OF_A_SCALAR = {    # what PyTorch gives for torch.tensor(3.)
    "sum": (lambda x, d: x.sum(d), 3.0), "mean": (lambda x, d: x.mean(d), 3.0),
    "sum, kept": (lambda x, d: x.sum(d, keepdim=True), 3.0), "amax": (lambda x, d: x.amax(d), 3.0),
    "sum of axes": (lambda x, d: x.sum((d,)), 3.0), "amin of axes": (lambda x, d: x.amin([d]), 3.0),
    "max": (lambda x, d: x.amax(d, keepdim=True), 3.0), "prod": (lambda x, d: x.prod(d), 3.0),
    "logsumexp": (lambda x, d: x.logsumexp(d), 3.0), "softmax": (lambda x, d: x.softmax(d), 1.0),
    "F.softmax": (lambda x, d: F.softmax(x, d), 1.0), "log_softmax": (lambda x, d: x.log_softmax(d), 0.0),
    "var": (lambda x, d: x.var(d, correction=0), 0.0), "std": (lambda x, d: x.std(d, correction=0), 0.0),
    "cumsum": (lambda x, d: x.cumsum(d), 3.0), "squeeze": (lambda x, d: x.squeeze(d), 3.0),
    "squeeze of several": (lambda x, d: x.squeeze((d,)), 3.0),
    "unsqueeze": (lambda x, d: x.unsqueeze(d), [3.0]),
    "transpose": (lambda x, d: x.transpose(d, 0), 3.0), "movedim": (lambda x, d: x.movedim(d, -1), 3.0),
    "flatten": (lambda x, d: x.flatten(d, -1), [3.0]),
    "stack": (lambda x, d: nn.stack([x, x], d), [3.0, 3.0]),
    "index_select": (lambda x, d: x.index_select(d, [0]), 3.0),
    "index_select by a scalar": (lambda x, d: x.index_select(d, 0), 3.0),
    "gather": (lambda x, d: x.gather(d, 0), 3.0),
    "gather two": (lambda x, d: x.gather(d, [0, 0]), [3.0, 3.0]),
    "gather none": (lambda x, d: x.gather(d, []), []),
    "gather by a scalar": (lambda x, d: nn.stack([x, x]).gather(d, 1), 3.0),
    "scatter_add": (lambda x, d: x.scatter_add(d, 0, x), 6.0),
    "scatter_add a list": (lambda x, d: x.scatter_add(d, [0, 0], nn.stack([x, x])), 9.0),
    "scatter_add a number": (lambda x, d: x.scatter_add(d, 0, 2.0), 5.0),
    "scatter_add to a list": (lambda x, d: nn.stack([x, x]).scatter_add(d, 1, x), [3.0, 6.0]),
}  # fmt: skip


@pytest.mark.parametrize("dim", [0, -1, np.int64(0)], ids=["0", "-1", "int64"])
@pytest.mark.parametrize(("f", "want"), OF_A_SCALAR.values(), ids=OF_A_SCALAR)
def test_a_scalar_has_an_axis_0(f, want, dim):
    all_modes(lambda x: f(x, dim), [X], want)


@pytest.mark.parametrize("dim", [0, -1])
def test_the_extreme_of_a_scalar_is_at_0(dim):
    for of in (nn.Tensor.argmax, nn.Tensor.argmin):
        for keepdim in (False, True):
            y = of(nn.Tensor(X), dim, keepdim=keepdim)
            assert y.shape == ()
            assert y.item() == 0


@pytest.mark.parametrize("dim", [1, -2, (0, 0), (0, 1), True, 0.0, "0"], ids=str)
def test_a_scalar_has_no_other_axis(dim):
    x = nn.Tensor(X)
    for f in (x.sum, x.mean, x.amax, x.amin, x.prod, x.logsumexp, x.argmax, x.argmin, x.var, x.std, x.cumsum,
              x.softmax, x.log_softmax, x.unbind):
        with pytest.raises((TypeError, ValueError, IndexError), match=r"ax[ie]s|scalar"):
            f(dim)


def test_a_scalar_has_no_parts():
    x = nn.Tensor(X)
    for name, f in (("split", lambda: x.split(1)), ("chunk", lambda: x.chunk(1)), ("unbind", x.unbind)):
        with pytest.raises(ValueError, match=f"{name}: the tensor is a scalar"):
            f()
    with pytest.raises(ValueError, match="index_select: the tensor is a scalar, from which one index"):
        x.index_select(0, [0, 0])
    for wrong in (lambda: x.index_select(0, [1]), lambda: x.gather(0, [1]), lambda: x.gather(0, -1)):
        with pytest.raises(IndexError, match=r": the index goes from"):
            wrong()


def test_no_axes_are_all_axes_and_a_list_is_a_tuple():
    x = nn.Tensor(np.arange(6.0).reshape(2, 3))
    for of in (nn.Tensor.sum, nn.Tensor.mean, nn.Tensor.amax, nn.Tensor.logsumexp, nn.Tensor.var):
        np.testing.assert_allclose(of(x, ()).data, of(x).data)
        np.testing.assert_allclose(of(x, [0, -1]).data, of(x).data)
        np.testing.assert_allclose(of(x, [-1]).data, of(x, 1).data)
        with pytest.raises(ValueError, match="twice"):
            of(x, (1, -1))


@pytest.mark.parametrize("name", ["tril", "triu"])
def test_a_triangle_is_of_matrices(name):
    for shape in ((), (3,), (0,)):
        with pytest.raises(ValueError, match=rf"{name}: the tensor has shape .*, wanted \(…, M, N\)"):
            getattr(nn.Tensor(np.ones(shape)), name)()
    for diagonal in (1.0, "1", None, True, [1]):
        with pytest.raises(TypeError, match=f"{name}: diagonal is .*, wanted an int"):
            getattr(nn.Tensor(np.ones((2, 2))), name)(diagonal)
    for shape in ((0, 3), (3, 0), (0, 2, 3), (2, 3), (2, 2, 3)):
        for diagonal in (0, 1, -1, 9, -9, np.int8(1)):
            x = RNG.normal(size=shape)
            all_modes(lambda t: getattr(t, name)(diagonal), [x], getattr(np, name)(x, diagonal))    # noqa: B023


def test_a_length_is_not_negative():
    x = nn.Tensor(np.ones((2, 3)))
    for shape in ((-2,), (-2, 3), (2, -3), (-6,)):
        with pytest.raises(ValueError, match="reshape: "):
            x.reshape(*shape)


def test_nothing_is_split():
    x = nn.Tensor(np.ones((0, 2)))
    assert [part.shape for part in x.split(0)] == [(0, 2)]
    assert x.split([]) == ()
    with pytest.raises(ValueError, match="split: the length of a part is 0"):
        x.split(0, 1)


# Normalisations of nothing: what there is of a mean of nothing does not matter, for no entry is scaled by it.

SCALED = list(itertools.product((False, True), repeat=2))


def _given(with_weight, with_bias, shape):
    return [RNG.normal(size=shape) for given in (with_weight, with_bias) if given]


def _named(arrays, with_weight):
    """weight and bias out of those of the two that there are."""
    arrays = iter(arrays)
    return next(arrays) if with_weight else None, next(arrays, None)


@pytest.mark.parametrize("scaled", SCALED, ids=str)
@pytest.mark.parametrize(("shape", "over"), [
    ((3, 0), 1), ((0, 3), 1), ((0, 3), 2), ((0,), 1), ((0, 0), 1), ((2, 0, 3), 1), ((2, 0, 3), 2),
    ((2, 3, 0), 3),
], ids=str)  # fmt: skip
def test_layer_norm_of_nothing(shape, over, scaled):
    last = shape[-over:]
    all_modes(lambda x, *given: F.layer_norm(x, last, *_named(given, scaled[0])),
              [np.zeros(shape), *_given(*scaled, last)], np.zeros(shape))


IMAGES = [(2, 4, 0), (0, 4), (0, 4, 3), (2, 4, 0, 3), (2, 4, 3, 0), (0, 4, 0, 0), (0, 4, 2, 2)]


@pytest.mark.parametrize("scaled", SCALED, ids=str)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_group_norm_of_nothing(shape, scaled):
    for groups in (1, 2, 4):
        all_modes(lambda x, *given: F.group_norm(x, groups, *_named(given, scaled[0])),    # noqa: B023
                  [np.zeros(shape), *_given(*scaled, 4)], np.zeros(shape))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scaled", SCALED, ids=str)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_batch_norm_of_nothing(shape, scaled, training):
    """The running statistics stay as they were, as in PyTorch."""
    mean, var = np.full(4, 0.3), np.full(4, 0.7)
    all_modes(lambda x, *given: F.batch_norm(x, mean, var, *_named(given, scaled[0]), training),
              [np.zeros(shape), *_given(*scaled, 4)], np.zeros(shape))
    assert (mean == 0.3).all()
    assert (var == 0.7).all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("layer", "shape"), [
    (nn.BatchNorm1d(4), (0, 4)), (nn.BatchNorm1d(4), (2, 4, 0)), (nn.BatchNorm2d(4), (2, 4, 0, 3)),
    (nn.BatchNorm2d(4, affine=False), (0, 4, 2, 2)), (nn.GroupNorm(2, 4), (2, 4, 0)),
    (nn.GroupNorm(2, 4, affine=False), (0, 4)), (nn.LayerNorm(4), (0, 4)),
    (nn.LayerNorm(4, bias=False), (2, 0, 4)),
], ids=lambda value: str(value) if isinstance(value, tuple) else type(value).__name__)  # fmt: skip
def test_layers_that_normalise_nothing(layer, shape, training):
    layer.train(training)
    x = nn.Tensor(np.zeros(shape, np.float32), requires_grad=True)
    y = layer(x)
    assert y.dtype == np.float32
    (y * y).sum().backward()
    assert x.grad.shape == shape
    for parameter in layer.parameters():
        assert not parameter.grad.any()
        parameter.grad = None
