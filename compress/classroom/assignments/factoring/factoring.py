"""Assignment 8: tensor trains and Winograd

Two ways to multiply less. A tensor train (Oseledets 2011) writes a large array as a product of small ones,
with an error that you choose. Winograd's algorithm (Lavin & Gray 2016) computes a convolution exactly, with
fewer multiplications. `notebooks/10_tensor_trains.py` and `notebooks/11_winograd.py` prepare this
assignment.

1. A tensor A of shape (n₁, …, n_d) is a train of cores G_k of shape (r_{k−1}, n_k, r_k), r_0 = r_d = 1:

       A[i₁, …, i_d] = G₁[:, i₁, :] · G₂[:, i₂, :] · … · G_d[:, i_d, :]

   TT-SVD finds them from left to right. Reshape what is left to a matrix with r_{k−1}·n_k rows; its singular
   value decomposition is U S Vᵀ. The first r_k columns of U are the core, the first r_k rows of S Vᵀ are what
   is left. Cutting off the other singular values costs ε_k = √(Σ_{j > r_k} σ_j²) of the norm, and as the
   columns of U are orthonormal the errors add up as if at right angles (theorem 2.2): ‖A − TT‖² ≤ Σ ε_k².
   So r_k is the smallest rank, but at least 1, with

       ε_k ≤ δ,     δ = max(eps / √(d − 1), 10⁻¹²) · ‖A‖ ;

   there are d − 1 cuts, and ‖A − TT‖ ≤ eps · ‖A‖. (10⁻¹² is for what rounding leaves. A vector, d = 1, is
   not cut at all.)

2. F(2,3) is two outputs of a filter with three taps, y_i = d_i g_0 + d_{i+1} g_1 + d_{i+2} g_2, from four
   multiplications in place of six:

       m₁ = (d₀ − d₂) g₀              m₂ = (d₁ + d₂) (g₀ + g₁ + g₂)/2
       m₄ = (d₁ − d₃) g₂              m₃ = (d₂ − d₁) (g₀ − g₁ + g₂)/2
       y₀ = m₁ + m₂ + m₃              y₁ = m₂ − m₃ − m₄

   That is y = Aᵀ [(G g) ⊙ (Bᵀ d)]: three matrices that know neither data nor filter.

3. Nested with itself it filters in two dimensions (eq. 8): of a tile d of 4×4 pixels and a filter g of 3×3,
   2×2 outputs Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, with 16 multiplications in place of 36.

4. An image is cut into tiles that begin every 2 pixels and overlap by 2. Where the last ones hang over the
   edge there are zeros, and outputs that nobody wants are cut off.

What has to be multiplied of data and filter goes through `multiply(a, b)`, which multiplies two numbers, or
two arrays of one shape element by element, and counts. In some calls it gives other numbers instead, or adds
them: what you make of products must not depend on data and filter, so that a product that goes another way
is found out. Factors that are known beforehand, as ½, are no multiplications.

Data and filters are small whole numbers in float64, where halves and quarters of them are exact: the results
are equal to those of the convolution, not near. Run this file to see which properties hold; more are looked
at when it is graded.
"""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compress.classroom import expect, graded, main


def tt_svd(a, eps):
    """The cores of a float64 array a of d ≥ 1 dimensions, a list, and √(Σ ε_k²): a tuple of both."""
    ### BEGIN SOLUTION
    shape, d = a.shape, a.ndim
    delta = max(eps / max(d - 1, 1) ** 0.5, 1e-12) * np.linalg.norm(a)
    cores, cut, rank, rest = [], 0.0, 1, a
    for n in shape[:-1]:
        u, s, vt = np.linalg.svd(rest.reshape(rank * n, -1), full_matrices=False)
        tails = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1]  # tails[r]: what keeping r costs
        keep = max(int(np.sum(tails > delta)), 1)
        cores.append(u[:, :keep].reshape(rank, n, keep))
        cut += float(np.sum(s[keep:] ** 2))
        rest, rank = s[:keep, None] * vt[:keep], keep
    cores.append(rest.reshape(rank, shape[-1], 1))
    return cores, cut**0.5
    ### END SOLUTION


def tt_tensor(cores):
    """The array of shape (n₁, …, n_d) that the cores are a train of."""
    ### BEGIN SOLUTION
    product = np.ones((1, 1))
    for core in cores:
        product = product @ core.reshape(len(core), -1)
        product = product.reshape(-1, core.shape[2])
    return product.reshape([core.shape[1] for core in cores])
    ### END SOLUTION


def winograd_matrices():
    """Bᵀ (4×4), G (4×3) and Aᵀ (2×4) of F(2,3): three arrays."""
    ### BEGIN SOLUTION
    bt = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    at = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    return bt, g, at
    ### END SOLUTION


def winograd_1d(d, g, multiply):
    """The two outputs of the filter g (3,) over the data d (4,): an array (2,)."""
    ### BEGIN SOLUTION
    bt, transform, at = winograd_matrices()
    return at @ multiply(transform @ g, bt @ d)
    ### END SOLUTION


def winograd_2d(d, g, multiply):
    """The 2×2 outputs of the filter g (3, 3) over the tile d (4, 4): an array (2, 2)."""
    ### BEGIN SOLUTION
    bt, transform, at = winograd_matrices()
    return at @ multiply(transform @ g @ transform.T, bt @ d @ bt.T) @ at.T
    ### END SOLUTION


def winograd_image(x, g, multiply):
    """The outputs of the filter g (3, 3) over the image x (H, W), at least 3×3: an array (H − 2, W − 2)."""
    ### BEGIN SOLUTION
    height, width = x.shape[0] - 2, x.shape[1] - 2
    padded = np.pad(x, ((0, height % 2), (0, width % 2)))
    y = np.zeros((height + height % 2, width + width % 2))
    for i in range(0, height, 2):
        for j in range(0, width, 2):
            y[i:i + 2, j:j + 2] = winograd_2d(padded[i:i + 4, j:j + 4], g, multiply)
    return y[:height, :width]
    ### END SOLUTION


# What is graded. `student` is the module that was handed in. (Functions of your own stand above this line,
# and have other names than those below it.)

seeds = st.integers(0, 2**16)
shapes = st.sampled_from([(5,), (4, 6), (7, 3), (3, 4, 5), (1, 6, 2), (2, 3, 4, 3), (4, 4, 4, 4),
                          (2, 2, 2, 2, 2, 2)])
tolerances = st.sampled_from([0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9])


def tensor(shape, seed):
    """Normal numbers of some size: no singular value is 0, and the small ones count together."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4)


def train(shape, seed):
    """A tensor whose unfoldings have small ranks: the product of random cores."""
    rng = np.random.default_rng(seed)
    ranks = [1, *(int(rng.integers(1, 4)) for _ in shape[1:]), 1]
    return product([rng.normal(size=(r, n, s)) for r, n, s in zip(ranks, shape, ranks[1:], strict=False)])


def product(cores):
    """The array that is a train of these cores, summed over one rank after the other."""
    found = cores[0]
    for core in cores[1:]:
        found = np.tensordot(found, core, axes=1)
    return found[0, ..., 0]


def cores_of(student, a, eps):
    """The cores that tt_svd returns, looked at, and the error that it tells of."""
    cores, cut = expect.items(student.tt_svd(a, eps), "tt_svd", 2)
    cores, rank = list(expect.items(cores, "the cores of tt_svd", a.ndim)), 1
    for k, (core, n) in enumerate(zip(cores, a.shape, strict=True), start=1):
        expect.array(core, f"core {k}", shape=(rank, n, None if k < a.ndim else 1))
        rank = core.shape[2]
        assert rank >= 1, f"core {k} has the shape {core.shape}: a rank is at least 1"
    return cores, expect.real(cut, "the error of tt_svd")


@graded(points=1)
@given(shapes, seeds)
def tensor_is_the_product_of_cores(student, shape, seed):
    """An entry is the product of one matrix of each core."""
    rng = np.random.default_rng(seed)
    ranks = [1, *rng.integers(1, 4, len(shape) - 1).tolist(), 1]
    cores = [rng.normal(size=(r, n, s)) for r, n, s in zip(ranks, shape, ranks[1:], strict=False)]
    found, wanted = expect.array(student.tt_tensor(cores), "tt_tensor", shape=shape), product(cores)
    at = np.unravel_index(np.argmax(np.abs(found - wanted)), shape)
    assert abs(found[at] - wanted[at]) <= 1e-9, (f"cores of shapes {[core.shape for core in cores]}: entry "
                                                 f"{tuple(map(int, at))} is {found[at]:.6g}, not "
                                                 f"{wanted[at]:.6g}")


@graded(points=3)
@given(shapes, seeds, tolerances)
def error_is_within_eps(student, shape, seed, eps):
    """‖A − TT‖ ≤ eps · ‖A‖, and what rounding leaves."""
    a = tensor(shape, seed)
    cores, _ = cores_of(student, a, eps)
    error = np.linalg.norm(a - product(cores)) / np.linalg.norm(a)
    assert error <= eps + 1e-10, (f"a tensor of shape {shape} comes back with an error of {error:.4g} of its "
                                  f"norm where eps is {eps}; the cores' shapes are "
                                  f"{[core.shape for core in cores]}")


@graded(points=2)
@given(shapes, seeds)
def small_ranks_are_found(student, shape, seed):
    """With eps = 0 no rank is larger than that of its unfolding, and the tensor comes back."""
    a = train(shape, seed)
    cores, _ = cores_of(student, a, 0.0)
    for k, core in enumerate(cores[:-1], start=1):
        most = np.linalg.matrix_rank(a.reshape(int(np.prod(shape[:k])), -1))
        assert core.shape[2] <= most, (f"rank {core.shape[2]} between cores {k} and {k + 1} of a tensor of "
                                       f"shape {shape}, whose unfolding has rank {most}")
    error = np.linalg.norm(a - product(cores)) / np.linalg.norm(a)
    assert error <= 1e-10, f"the error is {error:.4g} of the norm, where no rank had to be cut"


def rational(matrix, what, rows, columns):
    """The matrix in fractions, from an array or lists of lists."""
    if isinstance(matrix, np.ndarray):
        expect.array(matrix, what, shape=(rows, columns))
        matrix = matrix.tolist()
    matrix = [expect.items(row, f"a row of {what}", columns) for row in expect.items(matrix, what, rows)]
    return [[x if isinstance(x, Fraction) else Fraction(expect.real(x, what)) for x in row] for row in matrix]


@graded(points=2)
def matrices_are_those_of_a_filter(student):
    """Aᵀ [(G g) ⊙ (Bᵀ d)] is the filter's output for all g and d: exactly, for all pairs of unit vectors."""
    bt, g, at = expect.items(student.winograd_matrices(), "winograd_matrices", 3)
    bt, g, at = rational(bt, "Bᵀ", 4, 4), rational(g, "G", 4, 3), rational(at, "Aᵀ", 2, 4)
    for i in range(2):
        for j in range(3):
            for l in range(4):
                found = sum(at[i][k] * g[k][j] * bt[k][l] for k in range(4))
                assert found == (l == i + j), (f"in output y{i} the product d{l}·g{j} is there {found} "
                                               f"times, not {int(l == i + j)}")


class Multiply:
    """What multiplies, element by element, and counts. With `noise`, a generator of random numbers, it adds
    such; without `products`, they are all that it gives."""

    def __init__(self, noise=None, products=True):
        self.noise, self.products, self.count = noise, products, 0

    def __call__(self, a, b):
        a, b = (expect.array(x, "a factor") if isinstance(x, np.ndarray)
                else np.array(expect.real(x, "a factor")) for x in (a, b))
        assert a.shape == b.shape, f"multiply wants two arrays of one shape; got {a.shape} and {b.shape}"
        self.count += a.size
        found = a.astype(np.float64) * b * self.products
        return found if self.noise is None else found + self.noise.integers(-99, 100, a.shape)


def filtered(x, g):
    """The outputs of a filter over data of as many dimensions, one entry after the other."""
    y = np.zeros([n - 2 for n in x.shape])
    for i in np.ndindex(y.shape):
        y[i] = sum(x[tuple(np.add(i, j))] * g[j] for j in np.ndindex(g.shape))
    return y


def check_filter(student, name, x, g, count=None):
    """Raise unless the outputs are exactly right, all their products multiply's, and so many as `count`.

    Outputs are sums of products with weights that are always the same. So noise in place of the products
    gives the same for other data, and beside them it is added to the outputs."""
    def outputs(multiply, *data):
        return expect.array(getattr(student, name)(*data, multiply), name, shape=wanted.shape)

    multiply, wanted = Multiply(), filtered(x, g)
    y = outputs(multiply, x, g)
    for at in map(tuple, np.argwhere(y != wanted).tolist()):
        raise AssertionError(f"{name} of data {x.tolist()} and filter {g.tolist()}: output {at} is "
                             f"{y[at]:g}, not {wanted[at]:g}")
    secret = np.random.default_rng().integers(2**32)  # another one each time, so that nobody knows the noise
    here, there = (outputs(Multiply(np.random.default_rng(secret), products=False), x + more, g - more)
                   for more in (0, 1))
    both = outputs(Multiply(np.random.default_rng(secret)), x, g)
    assert np.array_equal([here, both], [there, y + here]), (
        f"{name}: the outputs are right, but their products did not go through multiply")
    assert count is None or multiply.count == count, (f"{name} of {' × '.join(map(str, x.shape))} numbers "
                                                      f"takes {multiply.count} multiplications, not {count}")


def numbers(rng, *shape):
    """Small whole numbers in float64."""
    return rng.integers(-9, 10, shape).astype(np.float64)


@graded(points=2)
@given(seeds)
def four_multiplications_are_enough(student, seed):
    """F(2,3) gives exactly the filter's two outputs, with four multiplications."""
    rng = np.random.default_rng(seed)
    check_filter(student, "winograd_1d", numbers(rng, 4), numbers(rng, 3), 4)


### BEGIN HIDDEN TESTS
@graded(points=2)
@given(shapes, seeds, tolerances)
def cuts_cost_what_is_said(student, shape, seed, eps):
    """The error is no more than √(Σ ε_k²), and that no more than eps · ‖A‖: both bounds are kept."""
    a = tensor(shape, seed)
    cores, said = cores_of(student, a, eps)
    norm = np.linalg.norm(a)
    error = np.linalg.norm(a - product(cores))
    assert error <= said * (1 + 1e-9) + 1e-10 * norm, (f"the error is {error:.6g}, and tt_svd says "
                                                       f"{said:.6g} at most")
    assert said <= (eps + 1e-10) * norm, (f"tt_svd says that the cuts cost {said:.6g}, where eps·‖A‖ is "
                                          f"{eps * norm:.6g}")


@graded(points=2)
@given(shapes, seeds, tolerances)
def ranks_are_no_larger_than_needed(student, shape, seed, eps):
    """No rank is larger than what its unfolding of A needs for an error of δ."""
    a = tensor(shape, seed) if seed % 2 else np.zeros(shape)
    cores, _ = cores_of(student, a, eps)
    delta = max(eps / max(a.ndim - 1, 1) ** 0.5, 1e-12) * np.linalg.norm(a)
    for k, core in enumerate(cores[:-1], start=1):
        s = np.linalg.svd(a.reshape(int(np.prod(shape[:k])), -1), compute_uv=False)
        costs = [float(np.sqrt(np.sum(s[r:] ** 2))) for r in range(len(s) + 1)]
        needed = max(next(r for r, c in enumerate(costs) if c <= delta * (1 - 1e-9)), 1)
        assert core.shape[2] <= needed, (f"rank {core.shape[2]} between cores {k} and {k + 1} of a tensor of "
                                         f"shape {shape}, where eps = {eps} needs {needed}")


@graded(points=2)
@given(seeds)
def sixteen_multiplications_are_enough(student, seed):
    """F(2×2, 3×3) gives exactly the 2×2 outputs, with 16 multiplications."""
    rng = np.random.default_rng(seed)
    check_filter(student, "winograd_2d", numbers(rng, 4, 4), numbers(rng, 3, 3), 16)


@graded(points=2)
@given(st.integers(3, 9), st.integers(3, 9), seeds)
def images_of_any_size_are_exact(student, height, width, seed):
    """The whole image is filtered, of odd heights and widths too, and equal to the convolution."""
    rng = np.random.default_rng(seed)
    check_filter(student, "winograd_image", numbers(rng, height, width), numbers(rng, 3, 3))


@graded(points=2)
@given(st.integers(3, 9), st.integers(3, 9), seeds)
def images_take_16_multiplications_a_tile(student, height, width, seed):
    """16 multiplications for each tile of 2×2 outputs, those that hang over the edge included."""
    rng, tiles = np.random.default_rng(seed), (height - 1) // 2 * ((width - 1) // 2)
    check_filter(student, "winograd_image", numbers(rng, height, width), numbers(rng, 3, 3), 16 * tiles)


### END HIDDEN TESTS


if __name__ == "__main__":
    main(__file__)
