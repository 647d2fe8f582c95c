"""A right solution: one entry at a time, in whole numbers; sizes around those of a micro-kernel."""

import itertools

import numpy as np


def expected(m, n, k, a, lda, b, ldb, a_zero, scale, bias):
    """As in the task."""
    a, b = a.tolist(), b.tolist()
    y, bound = np.zeros((m, n)), np.zeros((m, n))
    for i, j in itertools.product(range(m), range(n)):
        total = size = 0
        for p in range(k):
            term = (a[i * lda + p] - a_zero) * b[p * ldb + j]
            total, size = total + term, size + abs(term)
        y[i, j] = total * float(scale[j]) + float(bias[j])
        bound[i, j] = 2.0**-21 * (size * float(scale[j]) + abs(float(bias[j])))
    return y, bound


def check(kernel):
    """As in the task."""
    seen = np.random.default_rng(7)
    sizes = [(5, 4, 8), (4, 10, 3), (1, 1, 400), (0, 1, 1), (2, 3, 0)]
    sizes += itertools.product((1, 3), (1, 9), (1, 6))
    for m, n, k in sizes:
        for zero, low, high in ((0, -128, 127), (200, -128, 127), (17, 127, 127), (0, -128, -128)):
            a = np.frombuffer(seen.bytes((m + 1) * (k + 1)), np.uint8).copy()
            if low == high:
                a[a > 9] = 255
            b = seen.integers(low, high, (k + 1) * (n + 1), endpoint=True, dtype=np.int8)
            scale = np.float32(0.1) + seen.random(n, np.float32)
            bias = np.float32(60) * seen.standard_normal(n, np.float32)
            call = (m, n, k, a, k + 1, b, n + 1, zero, scale, bias)
            y, bound = expected(*call)
            results = [kernel(*call), kernel(*call)]
            if any(got.shape != y.shape or not (np.abs(got - y) <= bound).all() for got in results):
                return False
    return True
