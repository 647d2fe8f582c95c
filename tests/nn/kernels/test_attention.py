"""attention: its exponential, memory that grows with N only, heads that lie apart, many groups of queries."""

import os
import subprocess
import sys

import numpy as np
import pytest

from nn.kernels import attention, attention_grad, native, use
from nn.kernels.arguments import F32
from nn.kernels.operand import aligned
from nn.testing.case import Case
from nn.testing.check import DOMAINS
from nn.testing.laws_attention import near

needs_c = pytest.mark.skipif(native.lib is None, reason="needs the C kernels")
ISAS = [isa for level, isa in enumerate(native.ISAS) if native.lib and native.has(level) and isa != "avxvnni"]


def exp2(isa, x):
    """2^x by the vectors of an instruction set, for a multiple of 16 numbers."""
    a, b = (aligned((len(x) // 16, 16), F32) for _ in range(2))
    a[...] = x.reshape(-1, 16)
    with use(isa):
        native.lib.nn_exp2(attention_grad.choice, len(a), native.pointer(a), native.pointer(b))
    return b.ravel()


@needs_c
@pytest.mark.parametrize("isa", ISAS)
def test_the_exponential_is_within_one_and_a_quarter_units_in_the_last_place(isa):
    rng = np.random.default_rng(0)
    few = 2.0 ** -rng.integers(1, 40, 1 << 10)
    x = -np.concatenate([rng.random(1 << 18), 126 * rng.random(1 << 18), few]).astype(np.float32)
    want = np.exp2(x.astype(np.float64))
    assert np.max(np.abs(exp2(isa, x) - want) / np.spacing(want.astype(np.float32))) < 1.25


@needs_c
@pytest.mark.parametrize("isa", ISAS)
def test_the_exponential_at_its_ends(isa):
    x = np.zeros(16, np.float32)
    x[:7] = -0.0, -126, -127, -1e38, -np.inf, np.nan, -1
    np.testing.assert_array_equal(exp2(isa, x)[:8], np.float32([1, 2.0**-126, 0, 0, 0, np.nan, 0.5, 1]))
    bits = np.full(16, 0x7f800001, np.uint32) + np.arange(16, dtype=np.uint32) * 0x3ffff  # NaNs of all kinds
    assert np.isnan(exp2(isa, bits.view(np.float32))).all()


@pytest.mark.parametrize("causal", [False, True])
def test_many_groups_of_queries_and_blocks_of_keys(causal):
    """Longer than what the laws draw: two chunks of 1056 queries, five blocks of keys."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, n, width), np.float32) for n, width in ((1100, 5), (900, 5), (900, 3)))
    case, domain = Case((q, k, v), {"scale": 1.5, "causal": causal}), DOMAINS["attention"]
    got = domain.flat(attention)(q, k, v, **case.options)
    near(got, domain.wanted(case, None, got), "attention")
    g = rng.standard_normal(got[0].shape, np.float32)
    case, domain = case.on(g, q, k, v, *got), DOMAINS["attention_grad"]
    gradients = domain.flat(attention_grad)(*case.args, **case.options)
    near(gradients, domain.wanted(case, None, gradients), "attention_grad")


@pytest.mark.parametrize("queries", [1, 2, 4, 5])
@pytest.mark.parametrize("width", [1, 4, 15, 16, 17, 40])
@pytest.mark.parametrize("causal", [False, True])
def test_a_few_queries(queries, width, causal):
    """What they have a loop of their own for (attention_few.c); and one more."""
    rng, domain = np.random.default_rng(width), DOMAINS["attention"]
    for keys in (1, 3, 16, 129):
        q, k, v = (rng.standard_normal((2, n, width), np.float32) for n in (queries, keys, keys))
        for mask in ([], [rng.standard_normal((2, 1, keys), np.float32)],
                     [(rng.random((1, queries, keys)) < 0.5).astype(np.uint8)]):
            case = Case((q, k, v, *mask), {"scale": 0.7, "causal": causal})
            got = domain.flat(attention)(*case.args, **case.options)
            near(got, domain.wanted(case, None, got), "attention")


@needs_c
def test_heads_may_lie_apart_and_results_lie_like_them():
    """As MultiheadAttention has them: q, k and v of all heads side by side."""
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((2, 30, 3, 4, 8), np.float32).transpose(2, 0, 3, 1, 4)
    q, k, v = whole
    y, lse = attention(q, k, v, scale=0.3)
    assert y.transpose(0, 2, 1, 3).flags.c_contiguous
    dense = [np.ascontiguousarray(x) for x in whole]
    want, want_lse = attention(*dense, scale=0.3)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(lse, want_lse)
    gradients = attention_grad(y, q, k, v, y, lse), attention_grad(want, *dense, want, lse)
    for got, same in zip(*gradients, strict=True):
        assert got.transpose(0, 2, 1, 3).flags.c_contiguous
        np.testing.assert_array_equal(got, same)


GROWTH = """
import resource, sys
import numpy as np
from nn.kernels import attention, attention_grad
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
attention(*np.zeros((3, 1, 1, 64, 8), np.float32))
q, k, v = np.random.default_rng(0).standard_normal((3, 1, 1, int(sys.argv[1]), 8), np.float32)
before = peak()
y, lse = attention(q, k, v)
attention_grad(y, q, k, v, y, lse)
print((peak() - before) * 1024)
"""


@needs_c
@pytest.mark.skipif(not sys.platform.startswith("linux") or bool(os.environ.get("NN_KERNELS")),
                    reason="counts the memory of a process as Linux does, without that of a sanitizer")
def test_memory_is_linear_in_the_length():
    """One head of 12,000 queries and keys of width 8: the matrix of weights would take 576 MB. Ours are the
    results and what the gradient keeps of the queries, some hundred floats for each."""
    n = 12_000
    ran = subprocess.run([sys.executable, "-c", GROWTH, str(n)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 2000 * n


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("change", "error", "said"), [
    ({"k": np.ones((1, 2, 5, 3), np.float32)}, ValueError, r"agree in E"),
    ({"v": np.ones((1, 2, 6, 3), np.float32)}, ValueError, r"agree in S"),
    ({"q": np.ones((2, 3, 4), np.float32)}, ValueError, r"q must have 4 dimensions"),
    ({"mask": np.ones((1, 1, 3, 4), np.float32)}, ValueError, r"mask has .* wanted \(1, 2, 3, 5\)"),
    ({"mask": np.ones((3, 5), np.uint8)}, ValueError, r"mask must have 4 dimensions"),
    ({"mask": np.ones((1, 1, 3, 5), np.int64)}, TypeError, r"mask must be"),
    ({"scale": "1"}, TypeError, r"scale must be a number"),
    ({"causal": 1}, TypeError, r"causal must be True")])
def test_bad_input_is_refused(change, error, said):
    good = {"q": np.ones((1, 2, 3, 4), np.float32)} | dict.fromkeys("kv", np.ones((1, 2, 5, 4), np.float32))
    with pytest.raises(error, match=said):
        attention(**{**good, **change})
