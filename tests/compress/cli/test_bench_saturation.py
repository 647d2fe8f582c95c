"""espalier bench saturation: it tells right from wrong, and wrong as emulated from wrong otherwise."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compress.cli.bench import peers, saturation, timing
from compress.saturation import saturating_qgemm

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def small(monkeypatch):
    for name in "MKN":
        monkeypatch.setattr(saturation, name, 64)


def with_peers(monkeypatch, sums):
    """The rows where onnxruntime makes `sums` of the right and the saturated ones, and PyTorch zeros."""
    def onnx_sums(a, b):
        result = sums(a.astype(np.int64) @ b, saturating_qgemm(a, b))
        return peers.Peer(timing.timer("pass"), lambda: result)

    zeros = peers.Peer(timing.timer("pass"), lambda: np.zeros((64, 64), np.uint8))
    monkeypatch.setattr(peers, "missing", lambda *packages: None)
    monkeypatch.setattr(peers, "onnx_sums", onnx_sums)
    monkeypatch.setattr(peers, "torch_qgemm", lambda *given: {"PyTorch": zeros})
    return list(saturation.rows(0))


@pytest.mark.parametrize(("sums", "said"), [
    (lambda right, made: right, "all right"),
    (lambda right, made: made, "[0-9.]+ % wrong, by up to [0-9,]+, to the bit as emulated"),
    (lambda right, made: right + 1, "100 % wrong, by up to 1"),
], ids=["right", "saturated", "otherwise"])
def test_what_peers_make_is_told(small, monkeypatch, sums, said):
    *emulated, uniform, normal = with_peers(monkeypatch, sums)
    assert [one.value > 0 for one in emulated] == [True, True, False, False, False]
    assert re.fullmatch(said, emulated[0].context["onnxruntime's sums"])
    assert re.fullmatch(r"[0-9.]+ % wrong, by up to \d+", emulated[0].context["PyTorch's outputs"])
    assert "fits, " in emulated[-1].context["in 16 bits"]
    assert (uniform.value, uniform.met, normal.value, normal.met) == (0, True, 0, True)


def test_without_peers_it_says_so(small, monkeypatch):
    monkeypatch.setattr(peers, "missing", lambda *packages: "not here")
    assert next(saturation.rows(0)).context["onnxruntime and PyTorch"] == "not here"


def test_peers_are_right_or_wrong_as_emulated():
    """onnxruntime's sums and PyTorch's outputs, whichever instructions this CPU has. In a process of its own:
    PyTorch brings its own OpenMP, and warns as it is imported."""
    if peers.missing("torch", "onnxruntime", "onnx"):
        pytest.skip("needs the extra bench")
    program = (
        "from compress.cli.bench import saturation\n"
        "saturation.K = 256\n"
        "row = saturation._row(saturation.EIGHT[0], 127, 1)\n"
        "theirs = {name: said for name, said in row.context.items() if name[-1] == 's' and \"'\" in name}\n"
        "assert len(theirs) > 1, row\n"
        "for said in theirs.values():\n"
        "    assert said == 'all right' or said.endswith('to the bit as emulated'), row\n")
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
