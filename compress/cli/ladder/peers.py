"""Other libraries' kernels for the call of a ladder, those that are installed."""

from __future__ import annotations

from timeit import Timer
from typing import Any

import numpy as np

from ..bench import peers
from ..bench.timing import timer
from .sample import Sample

POINTWISE = ("relu", "erf", "gelu")  # which PyTorch has by these names
CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "winograd_conv2d")


def peers_of(name: str, one: Sample) -> dict[str, Timer]:
    """What NumPy, PyTorch and onnxruntime have that computes the same, each at its best."""
    found: dict[str, Any] = {}
    torch, onnx = not peers.missing("torch"), not peers.missing("onnxruntime", "onnx")
    around = {key: one.options[key] for key in ("scale", "out_zero") if key in one.options}
    if name == "gemm":
        a, b = one.args
        out = np.empty((len(a), b.shape[1]), np.float32)
        found["NumPy"] = timer("matmul(a, b, out=out)", matmul=np.matmul, a=a, b=b, out=out)
        found |= {"onnxruntime": peers.onnx_gemm(a, b)} if onnx else {}
        found |= {"PyTorch": _torch("mm", a, b)} if torch else {}
    if name == "qgemm":
        around |= {"a_zero": one.options["a_zero"]}
        found |= peers.torch_qgemm(*one.args, **around) if torch else {}
        found |= {"onnxruntime": peers.onnx_qgemm(*one.args, **around)} if onnx else {}
    if name in CONVOLUTIONS:
        found |= peers.torch_conv2d(*one.args) if torch else {}
        found |= peers.onnx_conv2d(*one.args) if onnx else {}
    if name in ("qconv2d", "qdepthwise_conv2d"):
        around |= {"x_zero": one.options["x_zero"]}
        found |= peers.torch_qconv2d(*one.args, **around) if torch else {}
        found |= peers.onnx_qconv2d(*one.args, **around) if onnx else {}
    if name in POINTWISE and torch:
        found["PyTorch"] = _torch(name, *one.args)
    return {who: peer.timer if isinstance(peer, peers.Peer) else peer for who, peer in found.items()}


def _torch(name: str, *arrays: np.ndarray) -> Timer:
    torch = peers.import_torch()
    function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    return timer("function(*tensors)", function=function, tensors=[torch.from_numpy(a) for a in arrays])
