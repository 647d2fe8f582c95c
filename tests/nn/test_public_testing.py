"""nn.testing and compress.testing as a student has them: by public names alone.

Only what stands in their `__all__` is imported here (a test says so), and each tool finds a planted mistake.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compress
import compress.testing
import nn
import nn.testing
from nn import functional as F
from nn.testing import (
    arrays,
    broadcastable,
    cases,
    check,
    conv_geometries,
    for_all,
    gamma,
    holds,
    implementations,
    laws_of,
    networks,
    quantized,
    same,
    shapes,
)

ROOMS = {"nn": nn, "compress": compress, "nn.testing": nn.testing, "compress.testing": compress.testing}


def test_nothing_private_is_imported_here():
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    asked = [(node.module, alias.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
             and node.module in ROOMS for alias in node.names]
    assert len(asked) > 15
    assert not [(module, name) for module, name in asked if name not in ROOMS[module].__all__]


def test_every_name_is_there_and_says_what_it_is():
    for room in (nn.testing, compress.testing):
        assert len(set(room.__all__)) == len(room.__all__)
        for name in room.__all__:
            assert name in ("Law", "PROFILES", "STYLES") or getattr(room, name).__doc__, name


def test_the_examples_of_the_readme(capsys, monkeypatch):
    """They run, in their order; what is planted there is found."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = text.split("## Tests of your own\n")[1].split("\n## ")[0]
    scope, asked = {}, []
    monkeypatch.setattr(nn.testing, "load_profile", asked.append)    # the others go on with theirs
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(compile(block, "README.md", "exec"), scope)
    assert {*asked} < {*nn.testing.PROFILES}
    tests = [test for name, test in scope.items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test()
    report = capsys.readouterr().out
    assert "my_gemm breaks doubles:\n    with 2a" in report
    names = re.findall(r"import (.*)", section.split("from nn.testing")[1].splitlines()[0])[0].split(", ")
    assert {*names} <= {*nn.testing.__all__}


# Strategies


@given(arrays(shapes(1, 3), low=-1, dtype=np.float32), st.data())
def test_arrays_have_the_dtype_range_and_any_layout(x, data):
    assert x.dtype == np.float32
    assert -1 <= x.min() <= x.max() <= 2
    y = data.draw(arrays(x.shape))
    assert (y.shape, y.dtype) == (x.shape, np.float64)


@given(broadcastable(3))
def test_shapes_broadcast(found):
    assert len(np.broadcast_shapes(*found)) <= 3


@given(arrays(shapes(2, 2)), st.sampled_from([F.gelu, F.tanh, F.sigmoid]))
def test_a_gradient(x, function):
    nn.gradcheck(function, x)


@given(quantized(bits=4), quantized((3, 2), signed=True), st.integers(2, 8))
def test_quantized_data_lies_on_its_grid(q, s, bits):
    """0 is exact, and the nearest code of what a code stands for is that code."""
    assert (q.codes.dtype, s.codes.dtype, s.codes.shape) == (np.uint8, np.int8, (3, 2))
    assert 0 <= q.codes.min() <= q.codes.max() <= 15
    assert -128 <= s.zero <= 127
    for one in (q, s):
        np.testing.assert_array_equal(np.rint(one.reals / one.scale) + one.zero, one.codes)
        assert not one.reals[one.codes == one.zero].any()


def test_all_codes_of_few_bits_are_drawn():
    seen = set()

    @given(quantized((40,), bits=2, signed=True))
    def note(q):
        seen.update(q.codes.tolist())

    note()
    assert seen == {-2, -1, 0, 1}
    with pytest.raises(ValueError, match="quantized: bits is 9, wanted 2…8"):
        quantized(bits=9)


@given(conv_geometries(), st.integers(0, 99))
def test_geometries_fit_and_a_convolution_is_an_adjoint(g, seed):
    """⟨conv x, v⟩ = ⟨x, convᵀ v⟩, exactly on small integers."""
    rng = np.random.default_rng(seed)
    x, w, v = (rng.integers(-3, 4, shape).astype(np.float32) for shape in (g.x, g.w, g.y))
    x = nn.Tensor(x, requires_grad=True)
    y = F.conv2d(x, nn.Tensor(w), **g.options)
    assert y.shape == g.y
    y.backward(v)
    assert np.vdot(y.data, v) == np.vdot(x.data, x.grad)


@given(networks(most=3, kinds=("vector",)))
def test_a_network_treats_rows_alone(network):
    (x,) = network.inputs(3)
    with nn.no_grad():
        np.testing.assert_allclose(network(nn.Tensor(x)).data[:1], network(nn.Tensor(x[:1])).data, rtol=1e-4,
                                   atol=1e-5)


@given(cases(nn.kernels.gemm))
def test_cases_are_calls(case):
    a, b = case.args
    assert nn.kernels.gemm(*case.args, **case.options).shape == (len(a), b.shape[1])
    assert case.on(a, b).args == case.args
    assert case.rng().random() == case.rng().random()


# Laws of one's own: each holds for what is right, and finds what is wrong


def doubles(f, case):
    """Twice the first factor is twice the product, to the bit: a power of two rounds nothing."""
    a, b = case.args
    same(f(case.on(a * np.float32(0.5), b)), f(case) * np.float32(0.5), "with half of a",
         bound=gamma(b.shape[0]) * (np.abs(a) @ np.abs(b)) + 1e-38)


def right(a, b):
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)


def adds_one(a, b):
    return right(a, b) + np.float32(1)


def test_a_law_of_ones_own_is_asked_beside_those_of_the_kernel():
    report = check(right, like=nn.kernels.gemm, examples=4, laws=[doubles])
    assert report, str(report)
    assert report.passed > check(right, like=nn.kernels.gemm, examples=4).passed
    report = check(adds_one, like=nn.kernels.gemm, examples=4, laws=[doubles])
    assert "doubles" in [failure.law for failure in report.failures]
    assert "adds_one breaks doubles:\n    with half of a" in str(report)


def test_one_law_alone_and_all_that_a_kernel_obeys():
    for f in implementations(nn.kernels.gemm):
        holds(doubles, f, examples=5)
    (mine,) = implementations(adds_one, like=nn.kernels.gemm)
    with pytest.raises(AssertionError, match="with half of a"):
        holds(doubles, mine, examples=5)
    assert "permutes" in [law.__name__ for law in laws_of(nn.kernels.gemm)]


def test_what_has_no_out_and_no_pack_is_not_asked_for_them():
    """A student's function takes arrays; of these kernels some laws are about `out` and packing."""
    for kernel in (nn.kernels.quantize, nn.kernels.qconv2d, nn.kernels.winograd_conv2d, nn.kernels.im2col):
        def mine(*args, kernel=kernel, **options):
            return kernel(*args, **options)

        report = check(mine, like=kernel, examples=2)
        assert report, str(report)
        assert report.passed < len(laws_of(kernel)) + 2    # two are of memory


OWN = """
import numpy as np, nn
from hypothesis import strategies as st
from nn.testing import Case, Domain, check, laws_of, obeys, same

@nn.kernels.kernel(x="f32[...]", out="f32[...]")
def halved(x):
    return x * np.float32(0.5)

report = check(halved, examples=4)    # cases and laws follow from its contract
print(bool(report), report.passed > 4, bool(check(lambda x: x / 3, like=halved, examples=4)))

@nn.kernels.kernel(x="f32[N]", out="f32[N]")
def shifted(x):
    return np.append(x[1:], x[:1])

class Shifted(Domain):    # and here are its own
    name, exact, takes_out = "shifted", True, False

    def cases(self):
        return st.builds(lambda n, seed: Case((np.arange(n, dtype=np.float32),), {}, seed), st.integers(1, 9),
                         st.integers(0, 9))

def comes_back(f, case):
    x = y = case.args[0]
    for _ in x:
        y = f(case.on(y))
    same(y, x, "shifted as often as it is long")

obeys("shifted", comes_back)
print(laws_of(shifted) == (comes_back,), bool(check(shifted, examples=9)))
wrong = check(lambda x: x[::-1].copy(), like=shifted, examples=20)
print([failure.law for failure in wrong.failures], "float32(3) = [0. 1. 2.]" in str(wrong))
"""


def test_a_kernel_of_ones_own_with_laws_and_a_domain():
    """In a process of its own, since a kernel is there from then on."""
    run = [sys.executable, "-W", "error", "-c", OWN]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True True False", "True True", "['comes_back'] True"]


# Techniques


def test_weights_and_a_law_of_a_technique():
    from compress.testing import Subject, inputs, product, seen, stored, weights

    def keeps_most(subject, case):
        parameter = subject.finished(*case.args)
        assert np.count_nonzero(seen(parameter)) <= (seen(parameter).size + 1) // 2, "more than half are left"
        packed = stored(subject, case)
        for x in inputs(case.rng(), packed.decode().reshape(len(packed.decode()), -1).shape[1]):
            assert product(packed, x).dtype == np.float32

    assert compress.testing.check(compress.Prune(0.5), examples=2, laws=[keeps_most])
    report = compress.testing.check(compress.Prune(0.1), examples=4, laws=[keeps_most])
    assert [failure.law for failure in report.failures] == ["keeps_most"]
    with pytest.raises(AssertionError, match="more than half"):
        compress.testing.holds(keeps_most, Subject.of(compress.Quantize()), examples=5)
    few = []
    for_all(weights(("ties",)), lambda case: few.append(np.unique(case.args[0]).size <= 5), examples=3)
    assert all(few)
