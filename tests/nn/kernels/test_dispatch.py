"""Which implementation runs: NN_ISA and NN_BACKEND in children, `use`, no library or an old one, threads."""

import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import nn
from compress.cli.ladder.sample import SIZE, packed
from compress.cli.ladder.samples import sample_of
from nn import kernels
from nn.kernels import native
from nn.testing.check import DOMAINS, LAWS_OF

ROOT = Path(nn.__file__).parent.parent
NEEDS_C = pytest.mark.skipif(native.lib is None, reason="there are no C kernels to choose from")
CAPS = ("scalar", "avx2", "avxvnni", "avx512")
NEEDED = ("any", *CAPS, "avx512vnni", "avx512vpopcntdq", "avx512vbmi")  # of variants, poor to rich
BELOW = {cap: NEEDED[:NEEDED.index(cap) + 1] for cap in CAPS} | {"avx512": NEEDED}

# Runs every kernel once, on integers, and an 8-bit convolutional network, and prints what it found, a line of
# JSON.
CHILD = """
import json, numpy as np, nn, compress
from compress.cli.ladder.samples import sample_of
from nn import kernels

def whole(x):
    if isinstance(x, list):
        return [whole(each) for each in x]
    return np.rint(3 * x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x

def result(kernel):
    args, options, *_ = sample_of(kernel)
    args = whole(list(args))
    outs = kernel(*args, **options)
    outs = args if outs is None else outs if isinstance(outs, tuple) else [outs]
    outs = [np.ravel(y).astype(float) for out in outs for y in (out if isinstance(out, list) else [out])]
    return [float(y @ (np.arange(y.size) % 97)) for y in outs]

model = nn.models.digits_cnn(width=0.25, rng=np.random.default_rng(0)).eval()
images = nn.data.digits().x_train[:32]
compress.prepare(model, compress.Quantize(), images)
program = compress.convert(model)
print(json.dumps({
    "isa": kernels.isa(), "c": kernels.why_not_c() is None,
    "variants": {k.name: [(v.name, v.isa) for v in k.variants()] for k in kernels.all_kernels()},
    "results": {k.name: result(k) for k in kernels.all_kernels()},
    "network": np.asarray(program(images)).argmax(1).tolist()}))
"""
EXACT = [name for name, domain in DOMAINS.items()
         if domain.exact or any(law.__name__.startswith("is_exact_on_") for law in LAWS_OF[name])]


def child(code: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name not in ("NN_ISA", "NN_BACKEND")}
    return subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, env={**clean, **environment},
                          capture_output=True, text=True, check=False, timeout=120)


def found(**environment: str) -> dict:
    run = child(CHILD, **environment)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def on_numpy():
    return found(NN_BACKEND="numpy")


def test_numpy_backend(on_numpy):
    assert not on_numpy["c"]
    assert {isa for rows in on_numpy["variants"].values() for _, isa in rows} == {"any"}


@NEEDS_C
@pytest.mark.parametrize("cap", CAPS)
def test_cap(cap, on_numpy):
    """No variant beyond the cap, and the same numbers: integers exactly, and what a network decides."""
    here = found(NN_ISA=cap)
    assert here["c"]
    assert CAPS.index(here["isa"]) <= CAPS.index(cap)
    assert {isa for rows in here["variants"].values() for _, isa in rows} <= set(BELOW[cap])
    assert all(len(here["variants"][k.name]) >= 2 for k in kernels.all_kernels() if isinstance(k.call, str))
    assert here["network"] == on_numpy["network"]
    for name in EXACT:
        assert here["results"][name] == on_numpy["results"][name], name


@NEEDS_C
def test_without_a_cap_the_best_runs():
    assert found()["isa"] == found(NN_ISA="avx512", NN_BACKEND="c")["isa"]


@pytest.mark.parametrize(("environment", "message"), [
    ({"NN_ISA": "sse9"}, "ValueError: NN_ISA must be one of scalar, avx2, avxvnni, avx512, got 'sse9'"),
    ({"NN_BACKEND": "fpga"}, "ValueError: NN_BACKEND must be one of numpy, c, cuda, got 'fpga'")])
def test_bad_environment(environment, message):
    run = child("import nn.kernels", **environment)
    assert run.returncode == 1
    assert message in run.stderr.splitlines()[-1]


def test_use_refuses_what_nobody_knows():
    with pytest.raises(ValueError, match=r"use: 'avx9' is none of .*scalar.*numpy.*gemm_numpy"):
        kernels.use("avx9")
    with pytest.raises(TypeError, match="use: "):
        kernels.use(3)


@pytest.mark.skipif(kernels.isa() == "scalar", reason="needs variants beyond scalar")
def test_use_refuses_what_can_not_run_here():
    run = child("from nn import kernels; kernels.use('avx2')", NN_ISA="scalar")
    assert "RuntimeError: use: this CPU (or NN_ISA) has no avx2" in run.stderr
    run = child("from nn import kernels; kernels.use('rows_f32_6x16_avx2')", NN_ISA="scalar")
    assert "RuntimeError: use: this CPU (or NN_ISA) has no avx2, which rows_f32_6x16_avx2 needs" in run.stderr
    run = child("from nn import kernels; kernels.use('c')", NN_BACKEND="numpy")
    assert "RuntimeError: use: 'c' needs the C kernels. NN_BACKEND=numpy is set." in run.stderr


@NEEDS_C
def test_use_nests_and_ends():
    best, choice = kernels.isa(), kernels.gemm.choice
    with kernels.use("scalar"):
        assert kernels.isa() == "scalar"
        with kernels.use("numpy"):
            assert kernels.gemm.choice == native.NUMPY
    with pytest.raises(ZeroDivisionError), kernels.use(kernels.gemm.variants()[-1]):
        raise ZeroDivisionError
    assert (kernels.isa(), kernels.gemm.choice) == (best, choice)


@pytest.mark.parametrize("what", ["numpy", "scalar"])
def test_one_use_may_be_entered_again_inside_itself(what):
    if what != "numpy" and native.lib is None:
        pytest.skip("needs the C kernels")
    before = kernels.isa(), kernels.gemm.choice
    forced = kernels.use(what)
    with forced:
        inside = kernels.isa(), kernels.gemm.choice
        with forced:
            assert (kernels.isa(), kernels.gemm.choice) == inside
        assert (kernels.isa(), kernels.gemm.choice) == inside
    assert (kernels.isa(), kernels.gemm.choice) == before


# ---- no library, an old one ----

def test_without_a_library_all_runs_on_numpy_and_says_why():
    code = """
import sys; sys.modules["nn._kernels"] = None                  # as if it had never been built
import numpy as np
from nn import kernels
assert [v.backend for v in kernels.qgemm.variants()] == ["numpy"]
packed = kernels.qgemm.pack(np.ones((3, 2), np.int8))
assert kernels.qgemm(np.ones((1, 3), np.uint8), packed).tolist() == [[3, 3]]
print(kernels.why_not_c())
"""
    run = child(code, CC="no-such-compiler", NN_KERNELS="")
    assert run.returncode == 0, run.stderr
    assert "could not be built" in run.stdout or "not installed" in run.stdout
    unbuilt = "import sys; sys.modules['nn._kernels'] = None; import nn.kernels"
    insists = child(unbuilt, NN_BACKEND="c", NN_KERNELS="")
    assert "RuntimeError: NN_BACKEND=c, but the C kernels are not built" in insists.stderr


@pytest.mark.skipif(native.lib is None or not native.csrc(), reason="needs a built library and its sources")
def test_kernels_older_than_their_sources_are_told(monkeypatch):
    monkeypatch.setattr(native, "build_id", lambda folder: "of edited sources")
    with pytest.warns(UserWarning, match=r"older than csrc/.*python csrc/build\.py"):
        native._load()
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        native._load()


# ---- threads ----

@pytest.mark.parametrize("kernel", [k for k in kernels.all_kernels() if k.pack], ids=lambda k: k.name)
def test_threads_share_a_packed_weight(kernel):
    """The GIL is free during a call, so several run at once: one packed weight, each with its own options."""
    one = sample_of(kernel)
    given, (x, *_) = packed(kernel, one), one.args
    start, wrong = threading.Barrier(4), []

    def work(number):
        own = {next(iter(given)): np.roll(x, number, axis=-1)}
        own |= {"a_zero": number, "bias": np.full(SIZE, number, np.int32)} if kernel.name == "qgemm" else {}
        own |= {"padding": number} if kernel.name == "conv2d" else {}
        want = kernel(**packed(kernel, one) | own)
        start.wait()
        for _ in range(50):
            if not np.array_equal(kernel(**given | own), want):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
