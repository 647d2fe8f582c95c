"""Assignment 2: convolution and batch norm, there and back.

`notebooks/03_autodiff.py` and `06_kernel.py` prepare you for it. You write six functions, about 60 lines, and
run this file: `python convolution.py` says what does not hold yet, and how many points you have.

Images are arrays (N, H, W, C), filters (O, C, kH, kW), all of float64. Kernel, stride, padding and dilation
are pairs (vertical, horizontal).

1. Convolution as a product of matrices (Chellapilla, Puri & Simard 2006). Under position (i, j) tap (a, b) of
a filter meets one pixel, or a zero where that lies outside of the image:

    y[n, i, j, o] = Σ_{a,b,c} x[n, i·sh + a·dh − ph, j·sw + b·dw − pw, c] · w[o, c, a, b].

(The filter is not mirrored: what networks call a convolution is a correlation.) A window spans dh·(kH − 1) +
1 rows, so from top to bottom there are H' = ⌊(H + 2·ph − dh·(kH − 1) − 1)/sh⌋ + 1 positions (Dumoulin & Visin
2016). `im2col` writes the kH·kW·C numbers that each position meets into a row; then y is one product.

2. The way back. im2col only copies: it is linear in x, a matrix A of zeros and ones. Its transpose Aᵀ takes a
number for each place in a row and ADDS it to the pixel that the place was copied from: `col2im`. A pixel gets
several where windows overlap; what came from the padding is lost. Both gradients follow from Y = A(x)·W:

    ⟨Y, G⟩ = ⟨A(x)·W, G⟩ = ⟨x, Aᵀ(G·Wᵀ)⟩ = ⟨W, A(x)ᵀ·G⟩,    with ⟨u, v⟩ = Σ uᵢvᵢ,

for every x, W and G: dx = Aᵀ(G·Wᵀ) and dW = A(x)ᵀ·G. So you can test any gradient of a linear map.

3. Batch norm (Ioffe & Szegedy 2015, algorithm 1). For each channel, over all M pixels of the batch:

    μ = Σ x/M,    σ² = Σ (x − μ)²/M,    x̂ = (x − μ)/√(σ² + ε),    y = γ·x̂ + β.

While training, running averages are kept for later: r ← (1 − m)·r + m·(μ or the variance). As in PyTorch the
running variance takes the unbiased estimate, Σ (x − μ)²/(M − 1), though x̂ is made with the biased σ².

Its gradient is often wrong, because μ and σ depend on x, too. Derive it: begin with ∂L/∂x̂ = γ·g, and what x̂
is blind to, dx must be blind to as well. A constant added to x changes nothing, so dx is orthogonal to 1. For
ε = 0 a constant factor of x changes nothing, so dx is orthogonal to x̂. What is left of g is

    dx = (γ/√(σ² + ε)) · (g − mean(g) − x̂·mean(g·x̂)),    dγ = Σ g·x̂,    dβ = Σ g.
"""

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import nn
from compress.classroom import expect, graded, main
from nn.rules import Rule

# ---- What you write. Nothing that is passed in is written into. ----


def im2col(x, kernel, stride, padding, dilation):
    """x (N, H, W, C) → (N, H', W', kH·kW·C): what each position meets; first tap (0, 0) with all channels,
    then tap (0, 1), and so on, row by row."""
    ### BEGIN SOLUTION
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    x = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    n, h, w, c = x.shape
    down, across = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    cols = np.empty((n, down, across, kh, kw, c))
    for a in range(kh):
        for b in range(kw):
            rows = slice(a * dh, a * dh + sh * (down - 1) + 1, sh)
            columns = slice(b * dw, b * dw + sw * (across - 1) + 1, sw)
            cols[:, :, :, a, b] = x[:, rows, columns]
    return cols.reshape(n, down, across, kh * kw * c)
    ### END SOLUTION


def col2im(cols, shape, kernel, stride, padding, dilation):
    """The transpose of im2col: cols (N, H', W', kH·kW·C) → an array of `shape` (N, H, W, C), in which every
    pixel has the sum of all numbers in the places that im2col copies it to."""
    ### BEGIN SOLUTION
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    n, h, w, c = shape
    down, across = cols.shape[1:3]
    cols = cols.reshape(n, down, across, kh, kw, c)
    x = np.zeros((n, h + 2 * ph, w + 2 * pw, c))
    for a in range(kh):
        for b in range(kw):
            rows = slice(a * dh, a * dh + sh * (down - 1) + 1, sh)
            columns = slice(b * dw, b * dw + sw * (across - 1) + 1, sw)
            x[:, rows, columns] += cols[:, :, :, a, b]
    return x[:, ph:ph + h, pw:pw + w]
    ### END SOLUTION


def conv2d(x, w, stride, padding, dilation):
    """x (N, H, W, C), w (O, C, kH, kW) → y (N, H', W', O), by im2col and one product of matrices."""
    ### BEGIN SOLUTION
    matrix = w.transpose(2, 3, 1, 0).reshape(-1, len(w))
    return im2col(x, w.shape[2:], stride, padding, dilation) @ matrix
    ### END SOLUTION


def conv2d_grads(g, x, w, stride, padding, dilation):
    """The gradients (dx, dw) of conv2d for g = ∂L/∂y (N, H', W', O), of the shapes of x and w."""
    ### BEGIN SOLUTION
    o, c, *kernel = w.shape
    matrix = w.transpose(2, 3, 1, 0).reshape(-1, o)
    dx = col2im(g @ matrix.T, x.shape, kernel, stride, padding, dilation)
    cols = im2col(x, kernel, stride, padding, dilation)
    dw = cols.reshape(-1, len(matrix)).T @ g.reshape(-1, o)
    return dx, dw.reshape(*kernel, c, o).transpose(3, 2, 0, 1)
    ### END SOLUTION


def batch_norm(x, weight, bias, running_mean, running_var, momentum, eps):
    """x (M, C), normalised by columns: weight γ, bias β and the running averages have C numbers; M ≥ 2.

    Returns (y, x_hat, inverse, mean, var): y and x̂ (M, C), 1/√(σ² + ε) (C,), and what running_mean and
    running_var are afterwards, with momentum m; the old ones stay as they are."""
    ### BEGIN SOLUTION
    mu, var = x.mean(axis=0), x.var(axis=0)
    inverse = 1 / np.sqrt(var + eps)
    x_hat = (x - mu) * inverse
    unbiased = var * len(x) / (len(x) - 1)
    mean = (1 - momentum) * running_mean + momentum * mu
    var = (1 - momentum) * running_var + momentum * unbiased
    return weight * x_hat + bias, x_hat, inverse, mean, var
    ### END SOLUTION


def batch_norm_grad(g, x_hat, inverse, weight):
    """The gradients (dx, dweight, dbias) of batch_norm for g = ∂L/∂y (M, C), from what it has kept."""
    ### BEGIN SOLUTION
    dweight, dbias = (g * x_hat).sum(axis=0), g.sum(axis=0)
    dx = weight * inverse * (g - dbias / len(g) - x_hat * dweight / len(g))
    return dx, dweight, dbias
    ### END SOLUTION


# ---- What is graded. Numbers are small integers where that makes results exact. ----


@dataclass(frozen=True)
class Case:
    """Sizes of a convolution; the image is `extra` larger than it must be for one window."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    extra: tuple[int, int]
    images: int
    channels: int
    filters: int

    def numbers(self, seed, count=2):
        """So many images, and as many filters: whole numbers."""
        rng = np.random.default_rng(seed)
        size = [max(1, d * (k - 1) + 1 - 2 * p + more) for k, p, d, more in zip(
            self.kernel, self.padding, self.dilation, self.extra, strict=True)]
        shapes = (self.images, *size, self.channels), (self.filters, self.channels, *self.kernel)
        return [rng.integers(-5, 6, shape).astype(np.float64) for shape in shapes for _ in range(count)]

    @property
    def how(self):
        """The arguments after the arrays."""
        return self.stride, self.padding, self.dilation

    @property
    def named(self):
        """The same for this library's kernels."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}


def pairs(*values):
    """Two of these values."""
    return st.tuples(st.sampled_from(values), st.sampled_from(values))


CASES = st.builds(Case, pairs(1, 2, 3), pairs(1, 2, 3), pairs(0, 1, 2), pairs(1, 2), pairs(0, 1, 2, 4),
                  st.integers(1, 2), st.integers(1, 2), st.integers(1, 3))
SEEDS = st.integers(0, 999)
PIXEL, POSITION = ("image", "row", "column", "channel"), ("image", "row", "column", "filter")


def result(function, made, shape, what):
    """An array that a hand-in made, checked, from a call that overwrote nothing."""
    assert not function.changed, f"{function.__name__} has written into an array that it was given"
    return expect.array(made, what, dtype=np.float64, shape=shape)


def same(made, want, what, axes):
    """AssertionError with the first entry that differs; `axes` are the names of its indices."""
    for at in np.argwhere(made != want)[:1]:
        place = ", ".join(f"{name} {i}" for name, i in zip(axes, at, strict=True))
        raise AssertionError(f"{what} is {made[tuple(at)]:g} at {place}, wanted {want[tuple(at)]:g}; wrong "
                             f"in {np.count_nonzero(made != want)} of {want.size} places")


@graded(points=2)
@given(case=CASES, seed=SEEDS)
def im2col_copies_what_positions_meet(student, case, seed):
    """Each row has the pixels of one window, tap by tap, and zeros where it lies in the padding."""
    x = case.numbers(seed)[0]
    want = nn.kernels.im2col.reference(x, case.kernel, **case.named)
    made = result(student.im2col, student.im2col(x, case.kernel, *case.how), want.shape,
                  f"im2col of images {x.shape}")
    taps = (*want.shape[:3], *case.kernel, x.shape[3])
    same(made.reshape(taps), want.reshape(taps), "im2col",
         ("image", "row", "column", "row of the tap", "column of the tap", "channel"))


@graded(points=2)
@given(case=CASES, seed=SEEDS)
def col2im_adds_to_the_pixels(student, case, seed):
    """Every place of a row is added to the pixel that im2col copies there, those in the padding are lost."""
    x, rng = case.numbers(seed)[0], np.random.default_rng(seed)
    pixels = np.arange(1.0, x.size + 1).reshape(x.shape)  # from which pixel a place is copied; 0: padding
    places = nn.kernels.im2col.reference(pixels, case.kernel, **case.named)
    cols = rng.integers(-5, 6, places.shape).astype(np.float64)
    flat = places.astype(int).ravel()
    want = np.bincount(flat, cols.ravel(), x.size + 1)[1:].reshape(x.shape)
    made = result(student.col2im, student.col2im(cols, x.shape, case.kernel, *case.how), x.shape,
                  f"col2im of cols {cols.shape}")
    same(made, want, "col2im", PIXEL)


@graded(points=2)
@given(case=CASES, seed=SEEDS)
def conv2d_is_the_librarys(student, case, seed):
    """Every entry, as this library's specification has it."""
    x, _, w, _ = case.numbers(seed)
    want = nn.kernels.conv2d.reference(x, w, **case.named)
    made = result(student.conv2d, student.conv2d(x, w, *case.how), want.shape,
                  f"conv2d of images {x.shape} and filters {w.shape}")
    same(made, want, "conv2d", POSITION)


@graded(points=3)
@given(case=CASES, seed=SEEDS)
def gradients_are_adjoint(student, case, seed):
    """⟨conv(x, w), g⟩ = ⟨x, dx⟩ = ⟨w, dw⟩: dx for any images x, dw for any filters w, to the last bit."""
    x, other_x, w, other_w = case.numbers(seed)
    y, y_of_x, y_of_w = (nn.kernels.conv2d.reference(images, filters, **case.named)
                         for images, filters in ((x, w), (other_x, w), (x, other_w)))
    g = np.random.default_rng(seed + 1).integers(-5, 6, y.shape).astype(np.float64)
    made = expect.items(student.conv2d_grads(g, x, w, *case.how), "conv2d_grads, which returns (dx, dw)", 2)
    for name, d, like, other, y in (("x", made[0], x, other_x, y_of_x), ("w", made[1], w, other_w, y_of_w)):
        d = result(student.conv2d_grads, d, like.shape, f"d{name} of conv2d_grads")
        left, right = np.vdot(y, g), np.vdot(other, d)
        assert left == right, (f"⟨conv(x, w), g⟩ = {left:g}, but ⟨{name}, d{name}⟩ = {right:g}; {name} is "
                               f"another than in the forward pass, since d{name} does not depend on it")


def batch(m, c, seed):
    """x and g (M, C), and the weight, bias and running averages (C,)."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(rng.normal(size=c), rng.uniform(0.5, 2, c), (2, m, c))
    return x, g, *rng.uniform(0.5, 2, (4, c))


def normalised(student, x, weight, bias, mean, var, momentum, eps):
    """What batch_norm returns, checked."""
    made = student.batch_norm(x, weight, bias, mean, var, momentum, eps)
    names = "y", "x_hat", "inverse", "mean", "var"
    made = expect.items(made, f"batch_norm, which returns ({', '.join(names)})", 5)
    return [result(student.batch_norm, one, x.shape if i < 2 else x.shape[1:], f"{names[i]} of batch_norm")
            for i, one in enumerate(made)]


def near(made, want, what, scale=1.0):
    """AssertionError with the entry that differs most, beyond rounding."""
    off = np.abs(made - want)
    at = np.unravel_index(off.argmax(), off.shape)
    place = ", ".join(map(str, at))
    assert off[at] <= 1e-9 * scale, f"{what} is {made[at]:.9g} at [{place}], wanted {want[at]:.9g}"


SIZES = {"m": st.integers(3, 9), "c": st.integers(1, 3)}
EPS = st.sampled_from([1e-5, 0.0, 0.5])


@graded(points=2)
@given(**SIZES, eps=EPS, seed=SEEDS)
def batch_norm_normalises_each_channel(student, m, c, eps, seed):
    """Mean 0 and variance σ²/(σ² + ε) by columns, then times the weight, plus the bias."""
    x, _, weight, bias, mean, var = batch(m, c, seed)
    y, x_hat, inverse, *_ = normalised(student, x, weight, bias, mean, var, 0.1, eps)
    near(x_hat.mean(axis=0), np.zeros(c), "the mean of x_hat")
    near((x_hat**2).mean(axis=0), x.var(axis=0) / (x.var(axis=0) + eps), "the mean of x_hat²")
    near(inverse, (x.var(axis=0) + eps)**-0.5, "1/√(σ² + ε)")
    near(x_hat, (x - x.mean(axis=0)) * inverse, "x_hat", 10)
    near(y, weight * x_hat + bias, "y", 10)


@graded(points=3)
@given(**SIZES, seed=SEEDS)
def the_gradient_is_orthogonal_to_1_and_x_hat(student, m, c, seed):
    """With ε = 0, dx sees neither a constant added to a channel nor a constant factor of it."""
    x, g, weight, *_ = batch(m, c, seed)
    inverse = x.var(axis=0)**-0.5
    x_hat = (x - x.mean(axis=0)) * inverse
    dx = grads(student, g, x_hat, inverse, weight)[0]
    scale = np.abs(g).sum() * (weight * inverse).max()
    near(dx.sum(axis=0), np.zeros(c), "⟨dx, 1⟩ of a channel", scale)
    near((dx * x_hat).sum(axis=0), np.zeros(c), "⟨dx, x̂⟩ of a channel", scale)
    assert dx.any(), "dx is zero, though g has a part that is orthogonal to both"
    near((dx * g).sum(axis=0), (dx**2).sum(axis=0) / (weight * inverse),
         "dx is to be weight · inverse times a projection of g: ⟨dx, g⟩", scale * np.abs(g).max())


def grads(student, g, x_hat, inverse, weight):
    """What batch_norm_grad returns, checked."""
    made = expect.items(student.batch_norm_grad(g, x_hat, inverse, weight), "batch_norm_grad", 3)
    return [result(student.batch_norm_grad, one, g.shape[i > 0:], f"{name} of batch_norm_grad")
            for i, (one, name) in enumerate(zip(made, ("dx", "dweight", "dbias"), strict=True))]


### BEGIN HIDDEN TESTS
@graded(points=2)
@given(case=CASES, seed=SEEDS)
def laws_of_the_kernel_hold(student, case, seed):
    """A pixel alone shows the filter; padding is zeros; strides skip; dilations put zeros between taps."""
    x, _, w, _ = case.numbers(seed)
    (kh, kw), (ph, pw), (sh, sw), (dh, dw) = case.kernel, case.padding, case.stride, case.dilation
    conv, none, one = student.conv2d, (0, 0), (1, 1)

    def check(made, want, what):
        made = result(conv, made, want.shape, f"conv2d {what[:-1]}")
        same(made, want, f"conv2d {what}", POSITION)

    alone = np.zeros((1, 2 * kh - 1, 2 * kw - 1, case.channels))
    alone[0, kh - 1, kw - 1, 0] = 1
    check(conv(alone, w, one, none, one), w[:, 0, ::-1, ::-1].transpose(1, 2, 0)[None],
          "of one pixel of 1 in channel 0, which meets each tap of the filter once, the last first,")
    y = expect.array(conv(x, w, *case.how), "conv2d", dtype=np.float64, shape=(None,) * 4)
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    check(conv(padded, w, case.stride, none, case.dilation), y, "with zeros around the images, not padding,")
    dense = conv(x, w, one, case.padding, case.dilation)
    dense = expect.array(dense, "conv2d", dtype=np.float64, shape=(None,) * 4)
    check(y, dense[:, ::sh, ::sw], "with a stride, against stride 1 of which positions are left out,")
    wide = np.zeros((*w.shape[:2], dh * (kh - 1) + 1, dw * (kw - 1) + 1))
    wide[:, :, ::dh, ::dw] = w
    check(conv(x, wide, case.stride, case.padding, one), y, "with zeros between the taps, not a dilation,")


@graded(points=2)
@given(**SIZES, eps=EPS, seed=SEEDS)
def batch_norm_grad_agrees_with_differences(student, m, c, eps, seed):
    """Of x, of the weight and of the bias, for any g and ε."""
    x, _, weight, bias, *_ = batch(m, c, seed)

    def forward(x, weight, bias):
        inverse = 1 / np.sqrt(x.var(axis=0) + eps)
        x_hat = (x - x.mean(axis=0)) * inverse
        return weight * x_hat + bias, (x_hat, inverse, weight)

    nn.gradcheck(Rule("batch_norm", "", forward, lambda g, kept, needs: tuple(grads(student, g, *kept))),
                 x, weight, bias)


@graded(points=2)
@given(**SIZES, momentum=st.sampled_from([0.1, 1.0, 0.0, 0.5]), seed=SEEDS)
def running_averages_are_pytorchs(student, m, c, momentum, seed):
    """They move by the share momentum towards the mean and the unbiased variance; the old ones stay."""
    x, _, weight, bias, mean, var = batch(m, c, seed)
    *_, new_mean, new_var = normalised(student, x, weight, bias, mean, var, momentum, 0.1)
    near(new_mean, mean + momentum * (x.mean(axis=0) - mean), "the running mean", 10)
    near(new_var, var + momentum * (x.var(axis=0, ddof=1) - var), "the running variance", 10)
### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)
