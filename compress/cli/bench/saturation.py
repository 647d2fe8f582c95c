"""Sums that vpmaddubsw makes wrong: emulated, and of onnxruntime and PyTorch as they run on this CPU.

Without VNNI both multiply 8-bit integers by an instruction whose 16-bit sums saturate; with it they are right
(compress/saturation.py). The rows say which of the two this machine shows, and whether what is measured is to
the bit what is emulated. Ours is exact on every instruction set."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nn.kernels import qgemm, use
from nn.kernels.requantization import requantised

from ...certificate import certify_weights, fits
from ...saturation import saturating_qgemm, wrong
from . import peers
from .row import AT_MOST, Row

M, K, N = 64, 1024, 1024
EIGHT = "uniform in ±127", "normal, a column's largest ±127"

# The largest weight, and how many sums are added in 16 bits before they are widened.
WEIGHTS = {EIGHT[0]: (127, 1), EIGHT[1]: (127, 1), "uniform in ±64": (64, 1), "uniform in ±32": (32, 2),
           "uniform in ±7": (7, 9)}


def rows(seconds: float) -> Iterator[Row]:
    """For each kind of weights what is wrong, and that nothing of ours is. No times are taken."""
    yield from (_row(kind, *of) for kind, of in WEIGHTS.items())
    yield from map(_ours, EIGHT)


def operands(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """a, uint8, uniform in 0…255, and b, int8, of this kind."""
    rng, (largest, _) = np.random.default_rng(0), WEIGHTS[kind]
    a = rng.integers(0, 256, (M, K)).astype(np.uint8)
    if kind.startswith("uniform"):
        return a, rng.integers(-largest, largest + 1, (K, N)).astype(np.int8)
    w = rng.standard_normal((K, N))
    return a, np.rint(largest * w / np.abs(w).max(axis=0)).astype(np.int8)


def _row(kind: str, largest: int, fold: int) -> Row:
    a, b = operands(kind)
    right, emulated = a.astype(np.int64) @ b, saturating_qgemm(a, b, fold)
    found = wrong(emulated, right)
    beside = {"largest error": f"{found.largest:,}", "in 16 bits": fits(certify_weights(b))}
    if fold == 1:
        beside |= _theirs(a, b, right, emulated)
    added = f", {fold} of its sums added in 16 bits" if fold > 1 else ""
    measure = f"{M}×{K}×{N} by vpmaddubsw{added}, weights {kind}"
    return Row("saturation", measure, round(found.share, 2), "% of the sums wrong, emulated", context=beside)


def _theirs(a: np.ndarray, b: np.ndarray, right: np.ndarray, emulated: np.ndarray) -> dict[str, Any]:
    """What is wrong in onnxruntime's sums, and in PyTorch's sums once they are requantised to uint8."""
    why = peers.missing("torch", "onnxruntime", "onnx")
    if why:
        return {"onnxruntime and PyTorch": why}
    sums = peers.onnx_sums(a, b)
    found = {"onnxruntime's sums": _measured(sums, right, emulated)}
    scale = np.exp2(np.round(np.log2(50 / right.std(axis=0)))).astype(np.float32)
    zero = 120 * b.sum(axis=0, dtype=np.int32)
    wanted, made = (requantised((acc - zero).astype(np.int32), scale, 128, np.dtype(np.uint8))
                    for acc in (right, emulated))
    theirs = peers.torch_qgemm(a, b, 120, scale, 128)
    return found | {f"{name}'s outputs": _measured(theirs[name], wanted, made) for name in sorted(theirs)}


def _measured(peer: peers.Peer, right: np.ndarray, emulated: np.ndarray) -> str:
    peer.timer.timeit(1)
    result = peer.result()
    said = str(wrong(result, right))
    return f"{said}, to the bit as emulated" if said != "all right" and (result == emulated).all() else said


def _ours(kind: str) -> Row:
    """The worst of all variants of qgemm that can run here."""
    a, b = operands(kind)
    right, variants = a.astype(np.int64) @ b, qgemm.variants()
    found = {}
    for variant in variants:
        with use(variant):
            found[variant.name] = wrong(qgemm(a, b), right)
    measure = f"{M}×{K}×{N} by qgemm, weights {kind}: the worst of {len(variants)} variants"
    return Row("saturation", measure, max(one.share for one in found.values()), "% of the sums wrong", 0,
               AT_MOST)
