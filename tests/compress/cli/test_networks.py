"""The whole networks of the benchmark: they convert, their integers are those of the specification, and what
other libraries are told of them computes the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import compress
import nn
from compress.cli.bench import architectures, networks, peers, timing
from compress.cli.bench.integer_layers import integer_layers
from nn import kernels

ROOT = Path(__file__).resolve().parents[3]
NAMES = list(architectures.ARCHITECTURES)


@pytest.fixture(scope="module")
def cases():
    return {name: networks.case(name, 3) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_they_convert_and_compute_the_integers_of_the_specification(cases, name):
    one = cases[name]
    found = one.integer.every_value(one.x)
    with kernels.use("numpy"):
        right = one.integer.every_value(one.x)
    assert found.keys() == right.keys()
    for value, array in found.items():
        if array.dtype != np.float32 or value in one.integer.outputs.values():
            assert np.array_equal(array, right[value]), value
    integers = [array for array in found.values() if array.dtype == np.uint8]
    assert all(len(np.unique(array)) > 3 for array in integers)  # batch norms keep values on their grids
    assert np.array_equal(one.integer(one.x), found[next(iter(one.integer.outputs.values()))])


@pytest.mark.parametrize("name", NAMES)
def test_integers_stand_for_what_the_floats_are(cases, name):
    one = cases[name]
    with nn.no_grad():
        logits = one.model(nn.Tensor(one.x)).numpy()
    assert one.real(one.x) == pytest.approx(logits, abs=1e-4)
    off = np.abs(one.integer(one.x) - logits).max() / np.abs(logits).max()
    assert off < (0.3 if name == "inverted bottleneck" else 0.1)
    assert one.integer.nbytes < one.real.nbytes / 3


def test_digits_cnn_is_that_of_nn_models(cases):
    assert cases["digits_cnn"].real.macs == 463_360
    ours = nn.models.digits_cnn(rng=np.random.default_rng(0))
    assert [p.shape for p in ours.parameters()] == [p.shape for p in cases["digits_cnn"].model.parameters()]


def run(program, x):
    """What the layers that others are told of compute, by NumPy, images N,C,H,W."""
    values = {program.input: x}
    for layer in integer_layers(program):
        a, *rest = (values[name] for name in layer.inputs)
        values[layer.output] = _layer(layer, a, *rest)
    return values


def _layer(layer, a, *rest):
    def last(x):
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1))

    def first(x):
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    how, grid = layer.how, layer.grid
    if layer.op == "quantize":
        return kernels.quantize.reference(a, grid.scale, grid.zero)
    if layer.op == "flatten":
        return a.reshape(len(a), -1)
    if layer.op == "add":
        (x, y), (b,) = layer.of, rest
        return kernels.qadd.reference(a, b, x.scale, x.zero, y.scale, y.zero, grid.scale, grid.zero)
    if layer.op == "max_pool2d":
        return first(kernels.qmax_pool2d.reference(last(a), how["kernel"], how["stride"], how["padding"]))
    if layer.op == "avg_pool2d":
        kernel, zero = (how["kernel"], how["stride"], how["padding"]), layer.of[0].zero
        return first(kernels.qavg_pool2d.reference(last(a), *kernel, zero))
    (x,) = layer.of
    if layer.op == "linear":
        acc = (a.astype(np.int64) - x.zero) @ layer.weight.T.astype(np.int64) + layer.bias
        return acc.astype(np.float32) * (layer.scale * np.float32(x.scale))
    scale = (layer.scale.astype(np.float64) * x.scale / grid.scale).astype(np.float32)
    return first(kernels.qconv2d.reference(last(a), layer.weight, layer.bias, x_zero=x.zero, scale=scale,
                                           out_zero=grid.zero, **how))


@pytest.mark.parametrize("name", NAMES)
def test_what_others_are_told_computes_the_same(cases, name):
    one = cases[name]
    told, ours = run(one.integer, one.x), one.integer.every_value(one.x)
    for value in told.keys() & ours.keys() - {one.integer.input}:
        array = ours[value]
        assert np.array_equal(told[value], array.transpose(0, 3, 1, 2) if array.ndim == 4 else array), value
    assert one.integer.outputs["12" if name != "VGG-like" else "15"] in told


def test_what_can_not_be_told_is_refused(cases):
    with pytest.raises(RuntimeError, match="bench: no peer for 2 = conv2d"):
        integer_layers(cases["digits_cnn"].real)
    model = nn.Sequential(nn.Linear(4, 4, rng=np.random.default_rng(0)), nn.GELU())
    x = np.ones((2, 4), np.float32)
    with pytest.raises(RuntimeError, match="no peer for 0 = linear"):
        integer_layers(compress.convert(model, x))


def test_every_bar_has_its_rows(monkeypatch):
    """Without peers: what needs none is measured, the rest says why not."""
    monkeypatch.setattr(timing, "TURN", 0.0)
    monkeypatch.setattr(timing, "ROUNDS", 3)
    monkeypatch.setattr(peers, "missing", lambda *packages: f"needs {', '.join(packages)}")
    monkeypatch.setattr(networks, "BARS", {(name, 1): bar for (name, _), bar in networks.BARS.items()})
    rows = list(networks.rows(0))
    assert len(rows) == 3 * len(NAMES)
    for own, eager, int8 in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert own.value > 0
        assert own.measure.endswith(" int8, 1 image, beside its own floats")
        assert set(own.context["ms"]) == {"int8 Program", "float"}
        assert " = " in own.context["slowest steps"]
        assert (eager.value, eager.bar, eager.why) == (None, 2.0, "needs torch")
        assert (int8.value, int8.bar, int8.why) == (None, 0.98, "needs torch, onnxruntime, onnx")


def test_others_compute_with_the_same_integers():
    """In a process of its own: PyTorch brings its own OpenMP, and warns as it is imported. Where 16 bits
    saturate, theirs are others."""
    if peers.missing("torch", "onnxruntime", "onnx"):
        pytest.skip("needs the extra bench")
    program = (
        "import numpy as np\n"
        "from compress.cli.bench import networks\n"
        "from compress.cli.bench.torch_program import torch_float\n"
        "for name in networks.ARCHITECTURES:\n"
        "    one = networks.case(name, 2)\n"
        "    logits, exact = one.integer(one.x), one.real(one.x)\n"
        "    theirs = torch_float(networks.like(name, one.model), one.x)\n"
        "    assert len(theirs) == 2\n"
        "    for peer in theirs.values():\n"
        "        peer.timer.timeit(1)\n"
        "        assert np.allclose(peer.result(), exact, atol=1e-4)\n"
        "    found = networks._int8(one)\n"
        "    assert len(found) > 2\n"
        "    for peer in found.values():\n"
        "        peer.timer.timeit(1)\n"
        "        off = np.abs(peer.result() - logits).max() / np.abs(logits).max()\n"
        "        assert off < 0.15 or not VNNI, (name, off)\n"
    )
    vnni = kernels.isa() == "avx512"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", f"VNNI = {vnni}\n{program}"], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
