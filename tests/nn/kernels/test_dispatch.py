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
from nn import kernels
from nn.kernels import native

ROOT = Path(nn.__file__).parent.parent
NEEDS_C = pytest.mark.skipif(native.lib is None, reason="there are no C kernels to choose from")
CAPS = ("scalar", "avx2", "avxvnni", "avx512")
NEEDED = ("any", *CAPS, "avx512vnni", "avx512vpopcntdq")       # instruction sets of variants, poor to rich
BELOW = {cap: NEEDED[:NEEDED.index(cap) + 1] for cap in CAPS} | {"avx512": NEEDED}

# Runs every kernel once and an 8-bit convolutional network, and prints what it found as one line of JSON.
CHILD = """
import json, numpy as np, nn, compress
from nn import kernels
rng = np.random.default_rng(0)
a, b = rng.integers(0, 256, (9, 77), np.uint8), rng.integers(-128, 128, (77, 21), np.int8)
x, w = rng.integers(-9, 9, (9, 77)).astype("f4"), rng.integers(-9, 9, (21, 77)).astype("f4")
w[rng.random(w.shape) < 0.8] = 0
pixels, filters, g = x.reshape(3, 3, 11, 7), w[:, :63].reshape(21, 7, 3, 3), np.resize(x, (3, 3, 11, 21))
model = nn.models.digits_cnn(width=0.25, rng=np.random.default_rng(0)).eval()
images = nn.data.digits().x_train[:32]
compress.prepare(model, compress.Quantize(), images)
program = compress.convert(model)
print(json.dumps({
    "isa": kernels.isa(), "c": kernels.why_not_c() is None,
    "variants": {k.name: [(v.name, v.isa) for v in k.variants()] for k in kernels.all_kernels()},
    "qgemm": int(kernels.qgemm(a, b, a_zero=3, b_zero=-2).astype(np.int64) @ np.arange(21) @ np.arange(9)),
    "gemm": float(kernels.gemm(x, np.ascontiguousarray(w.T)).sum()),
    "spmm_csr": float(kernels.spmm_csr(x, kernels.spmm_csr.pack(w)).sum()),
    "conv2d": float(kernels.conv2d(pixels, filters, padding=1).sum()),
    "conv2d_input_grad": float(kernels.conv2d_input_grad(g, filters, (3, 11), padding=1).sum()),
    "conv2d_weight_grad": float(kernels.conv2d_weight_grad(pixels, g, (3, 3), padding=1).sum()),
    "depthwise_conv2d": float(kernels.depthwise_conv2d(pixels, filters[:7, :1], padding=1).sum()),
    "depthwise_conv2d_input_grad": float(kernels.depthwise_conv2d_input_grad(pixels, filters[:7, :1], (3, 11),
                                                                              padding=1).sum()),
    "depthwise_conv2d_weight_grad": float(kernels.depthwise_conv2d_weight_grad(pixels, pixels, (3, 3),
                                                                                padding=1).sum()),
    "tt_matmul": float(kernels.tt_matmul(x, [w[None, :7, :7, None], w[None, :11, :11, None]]).sum()),
    "winograd_conv2d": float(kernels.winograd_conv2d(x.reshape(1, 9, 7, 11), w[:, :55].reshape(-1, 11, 1, 1)
                                                     * np.ones((3, 3), "f4")).sum()),
    "codebook_gemm": float(kernels.codebook_gemm(x, b.T.astype("u1") & 7, x[0, :9].copy()).sum()),
    "half_gemm": float(kernels.half_gemm(x, w.T.astype("f2")).sum()),
    "nbit_gemm": [float(kernels.nbit_gemm(x, (b & 7) - 4, x[:1, :21], activations=a).sum())
                  for a in ("float32", "int8")],
    "bgemm": int(kernels.bgemm(*map(kernels.sign_bits, (x, w)), 77) @ np.arange(21) @ np.arange(9)),
    "bconv2d": int(kernels.bconv2d(kernels.sign_bits(x)[:, :2].reshape(1, 3, 3, 2),
                                   np.arange(98, dtype="u4").reshape(7, 7, 1, 2), 64, padding=(3, 1)).sum()),
    "pow2_gemm": int(kernels.pow2_gemm(a, b.view("u1") & 7, a_zero=3) @ np.arange(21) @ np.arange(9)),
    "kmeans1d": kernels.kmeans1d(rng.integers(-50, 50, 40).astype("f4"), 5).tolist(),
    "network": np.asarray(program(images)).argmax(1).tolist()}))
"""


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
    for result in ("qgemm", "gemm", "spmm_csr", "tt_matmul", "conv2d", "conv2d_input_grad",
                   "conv2d_weight_grad", "depthwise_conv2d", "depthwise_conv2d_input_grad",
                   "depthwise_conv2d_weight_grad", "winograd_conv2d", "codebook_gemm", "half_gemm", "bgemm",
                   "bconv2d", "pow2_gemm", "kmeans1d", "network"):
        assert here[result] == on_numpy[result], result


@NEEDS_C
def test_without_a_cap_the_best_runs():
    assert found()["isa"] == found(NN_ISA="avx512", NN_BACKEND="c")["isa"]


@pytest.mark.parametrize(("environment", "message"), [
    ({"NN_ISA": "sse9"}, "ValueError: NN_ISA must be one of scalar, avx2, avxvnni, avx512, got 'sse9'"),
    ({"NN_BACKEND": "fpga"}, "ValueError: NN_BACKEND must be one of numpy, c, got 'fpga'"),
    ({"NN_BACKEND": "cuda"}, "ValueError: NN_BACKEND=cuda: there are no CUDA kernels")])
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
    rng = np.random.default_rng(0)
    if kernel.name == "qgemm":
        x, w = rng.integers(0, 256, (50, 300), np.uint8), rng.integers(-128, 128, (300, 70), np.int8)
    else:
        x, w = rng.standard_normal((50, 300), np.float32), rng.standard_normal((300, 70), np.float32)
    w = np.ascontiguousarray(w.T) if kernel.name == "spmm_csr" else w
    if kernel.name == "tt_matmul":
        w = [w[None, :20, :7, None], w[None, :15, :10, None]]
    if kernel.name == "conv2d":
        x, w = x.reshape(5, 10, 15, 20), w.reshape(35, 20, 30)[..., :9].reshape(35, 20, 3, 3)
    if kernel.name == "depthwise_conv2d":
        x, w = x.reshape(2, 10, 15, 50), w.reshape(50, 1, 20, 21)[..., :9, :15]
    if kernel.name == "winograd_conv2d":
        x, w = x.reshape(5, 10, 10, 30), w.reshape(70, 300)[:, :270].reshape(70, 30, 3, 3)
    if kernel.name == "qconv2d":
        x = rng.integers(0, 256, (5, 10, 15, 20), np.uint8)
        w = rng.integers(-128, 128, (35, 20, 3, 3), np.int8)
    if kernel.name == "qdepthwise_conv2d":
        x = rng.integers(0, 256, (5, 10, 15, 70), np.uint8)
        w = rng.integers(-128, 128, (70, 1, 3, 3), np.int8)
    w = w.astype(np.float16) if kernel.name == "half_gemm" else w
    w = (rng.integers(0, 16, (70, 300), np.uint8), x[0, :16]) if kernel.name == "codebook_gemm" else (w,)
    if kernel.name == "nbit_gemm":
        w = rng.integers(-8, 8, (300, 70), np.int8), rng.standard_normal((10, 70), np.float32)
    more = ()
    if kernel.name == "bgemm":
        x, w, more = kernels.sign_bits(x), (kernels.sign_bits(w[0].T), 300), (300,)
    if kernel.name == "bconv2d":
        w, more = (np.resize(x.view("u4"), (35, 3, 3, 10)), 320), (320,)
        x = kernels.sign_bits(x).reshape(2, 5, 5, 10)
    if kernel.name == "pow2_gemm":
        x, w = rng.integers(0, 256, (50, 300), np.uint8), (rng.integers(0, 8, (300, 70), np.uint8),)
    packed, start, wrong = kernel.pack(*w), threading.Barrier(4), []

    def work(number):
        each = {"qgemm": {"a_zero": number, "bias": np.full(70, number, np.int32)},
                "conv2d": {"padding": number, "bias": np.full(35, number, np.float32)}}
        options = each.get(kernel.name, {})
        want = kernel(x, kernel.pack(*w), *more, **options)
        start.wait()
        for _ in range(50):
            if not np.array_equal(kernel(x, packed, *more, **options), want):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
