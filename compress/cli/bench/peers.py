"""The same work done by other libraries, each at its best: weights packed once, one thread, no copies.

They are optional (the extra `bench`) and imported only where a group asks for them."""

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from timeit import Timer
from typing import Any, NamedTuple

import numpy as np

from .timing import timer

TORCH_ENGINES = ("onednn", "x86", "fbgemm")  # the fourth, qnnpack, is for ARM


class Peer(NamedTuple):
    """What to time, and what it computed (call it after the timer has run at least once)."""

    timer: Timer
    result: Callable[[], np.ndarray]


def missing(*packages: str) -> str | None:
    """Why peers can't be measured against: None if all these packages are there."""
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"needs the extra bench ({', '.join(absent)} missing)" if absent else None


def import_torch() -> Any:
    """PyTorch, told to compute in one thread."""
    import torch

    torch.set_num_threads(1)
    return torch


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings: what a peer thinks of its own interface is not our reader's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def torch_qgemm(a: np.ndarray, b: np.ndarray, a_zero: int, scale: np.ndarray,
                out_zero: int) -> dict[str, Peer]:
    """PyTorch's quantized Linear with every engine it has for this machine. It can't be given its output."""
    torch = import_torch()
    no_zeros = torch.zeros(len(scale), dtype=torch.int64)
    scales = torch.from_numpy(scale.astype(np.float64))
    peers = {}
    for engine in set(TORCH_ENGINES) & set(torch.backends.quantized.supported_engines):
        torch.backends.quantized.engine = engine
        with warnings.catch_warnings(action="ignore"):  # they are deprecated, and the best kernels
            x = torch._make_per_tensor_quantized_tensor(torch.from_numpy(a), 1.0, a_zero)
            columns = torch.from_numpy(np.ascontiguousarray(b.T))
            w = torch._make_per_channel_quantized_tensor(columns, scales, no_zeros, 0)
            names = {"linear": torch.ops.quantized.linear, "x": x,
                     "w": torch.ops.quantized.linear_prepack(w, None), "zero": out_zero}
        result = lambda n=names: n["linear"](n["x"], n["w"], 1.0, n["zero"]).int_repr().numpy()  # noqa: E731
        peers[f"PyTorch {engine}"] = Peer(timer("linear(x, w, 1.0, zero)", **names), result)
    return peers


def onnx_sums(a: np.ndarray, b: np.ndarray) -> Peer:
    """onnxruntime's MatMulInteger u8 · s8 → s32 with a constant b, which it packs, and its output bound."""
    return _onnx("MatMulInteger", a, {"b": b}, np.zeros((len(a), b.shape[1]), np.int32))


def onnx_qgemm(a: np.ndarray, b: np.ndarray, a_zero: int, scale: np.ndarray, out_zero: int) -> Peer:
    """onnxruntime's QLinearMatMul u8 · s8 → u8 with a constant b, which it packs, and its output bound."""
    constants = {"a_scale": np.float32(1), "a_zero": np.uint8(a_zero), "b": b, "b_scale": scale,
                 "b_zero": np.zeros(len(scale), np.int8), "y_scale": np.float32(1),
                 "y_zero": np.uint8(out_zero)}
    return _onnx("QLinearMatMul", a, constants, np.zeros((len(a), len(scale)), np.uint8))


def onnx_nbit(a: np.ndarray, codes: np.ndarray, scales: np.ndarray, bits: int, block: int, level: int
              ) -> Peer:
    """onnxruntime's MatMulNBits of a (M, K) by codes (K, N) of 2 or 4 bits, signed, and their scales (blocks,
    N), which it packs, its output bound. level: its accuracy_level."""
    k, n = codes.shape
    whole = np.full((n, len(scales), block), 1 << bits - 1, np.uint8)
    whole.reshape(n, -1)[:, :k] += codes.T.view(np.uint8)  # its codes are not negative; K is padded
    parts = whole.reshape(n, len(scales), -1, 8 // bits).astype(np.uint8)
    packed = np.bitwise_or.reduce(parts << np.arange(0, 8, bits, dtype=np.uint8), axis=-1, dtype=np.uint8)
    constants = {"b": packed, "scales": np.ascontiguousarray(scales.T).ravel()}
    return _onnx("MatMulNBits", a, constants, np.zeros((len(a), n), np.float32), domain="com.microsoft", K=k,
                 N=n, bits=bits, block_size=block, accuracy_level=level)


def torch_qconv2d(x: np.ndarray, w: np.ndarray, x_zero: int, scale: np.ndarray,
                  out_zero: int) -> dict[str, Peer]:
    """PyTorch's quantized conv2d of x (N,H,W,C) by w (O,C/groups,3,3), padding 1, with every engine that it
    has for this machine, in its layout channels_last. It can't be given its output."""
    torch = import_torch()
    zeros, scales = torch.zeros(len(scale), dtype=torch.int64), torch.from_numpy(scale.astype(np.float64))
    image = torch.from_numpy(x).permute(0, 3, 1, 2)
    filters = torch.from_numpy(w).contiguous(memory_format=torch.channels_last)
    groups, peers = x.shape[3] // w.shape[1], {}
    for engine in set(TORCH_ENGINES) & set(torch.backends.quantized.supported_engines):
        torch.backends.quantized.engine = engine
        with quiet():
            a = torch._make_per_tensor_quantized_tensor(image, 1.0, x_zero)
            a = a.contiguous(memory_format=torch.channels_last)
            b = torch._make_per_channel_quantized_tensor(filters, scales, zeros, 0)
            packed = torch.ops.quantized.conv2d_prepack(b, None, [1, 1], [1, 1], [1, 1], groups)
            names = {"conv2d": torch.ops.quantized.conv2d, "x": a, "w": packed, "zero": out_zero}
        result = lambda n=names: n["conv2d"](  # noqa: E731
            n["x"], n["w"], 1.0, n["zero"]).int_repr().permute(0, 2, 3, 1).numpy()
        peers[f"PyTorch {engine}"] = Peer(timer("conv2d(x, w, 1.0, zero)", **names), result)
    return peers


def onnx_qconv2d(x: np.ndarray, w: np.ndarray, x_zero: int, scale: np.ndarray,
                 out_zero: int) -> dict[str, Peer]:
    """onnxruntime's QLinearConv u8 · s8 → u8 of x (N,H,W,C) by a constant w (O,C/groups,3,3), padding 1, in
    the layouts of `onnx_conv2d`."""
    one, zeros = np.float32(1), np.zeros(len(scale), np.int32)
    constants = {"x_scale": one, "x_zero": np.uint8(x_zero), "w": w, "w_scale": scale,
                 "w_zero": zeros.astype(np.int8), "y_scale": one, "y_zero": np.uint8(out_zero), "bias": zeros}
    return _onnx_layouts("QLinearConv", x, constants, np.zeros((*x.shape[:3], len(w)), np.uint8))


def wrong_results(theirs: dict[str, Peer], right: np.ndarray) -> dict[str, str]:
    """What share of a peer's numbers is not the right one, of each that has such."""
    found = {}
    for name, peer in theirs.items():
        peer.timer.timeit(1)
        share = float(np.mean(peer.result() != right))
        if share:
            found[name] = f"{share:.2%}"
    return found


def onnx_gemm(a: np.ndarray, b: np.ndarray) -> Peer:
    """onnxruntime's float MatMul with a constant b, which it packs, and its output bound."""
    return _onnx("MatMul", a, {"b": b}, np.zeros((a.shape[0], b.shape[1]), np.float32))


def onnx_pass(op: str, a: np.ndarray, constants: dict[str, Any], y: np.ndarray, **attributes: Any) -> Timer:
    """One operator of onnxruntime, its inputs `a` and then the constants, its output (like y) bound."""
    return _onnx(op, a, constants, y, **attributes).timer


def onnx_conv2d(x: np.ndarray, w: np.ndarray) -> dict[str, Peer]:
    """onnxruntime's Conv of x (N,H,W,C) by a constant w (O,C/groups,3,3), padding 1, its output bound: in its
    own layout N,C,H,W, and N,H,W,C in and out by a Transpose before and after, which it may move or fuse."""
    return _onnx_layouts("Conv", x, {"w": w}, np.zeros((*x.shape[:3], len(w)), np.float32))


def torch_conv2d(x: np.ndarray, w: np.ndarray) -> dict[str, Timer]:
    """PyTorch's conv2d of x (N,H,W,C) by w (O,C/groups,3,3), padding 1, in both of its layouts."""
    torch = import_torch()
    timers = {}
    for name, layout in (("channels_last", torch.channels_last), ("N,C,H,W", torch.contiguous_format)):
        image = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        filters = torch.from_numpy(w).contiguous(memory_format=layout)
        names = {"conv2d": torch.nn.functional.conv2d, "x": image, "w": filters}
        names["groups"] = x.shape[3] // w.shape[1]
        timers[f"PyTorch {name}"] = timer("conv2d(x, w, padding=1, groups=groups)", **names)
    return timers


def _onnx_layouts(op: str, x: np.ndarray, constants: dict[str, Any], y: np.ndarray) -> dict[str, Peer]:
    """A convolution 3×3, padding 1, of x (N,H,W,C) with the constant "w", in both layouts; results like y."""
    from onnx import helper

    how = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "group": x.shape[3] // constants["w"].shape[1]}
    nodes = [helper.make_node("Transpose", ["a"], ["a_first"], perm=[0, 3, 1, 2]),
             helper.make_node(op, ["a_first", *constants], ["y_first"], **how),
             helper.make_node("Transpose", ["y_first"], ["y"], perm=[0, 2, 3, 1])]
    first, y_first = (np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in (x, y))
    planes = _onnx(op, first, constants, y_first, **how)
    return {"onnxruntime N,C,H,W": planes._replace(result=lambda: planes.result().transpose(0, 2, 3, 1)),
            "onnxruntime N,H,W,C": onnx_network(nodes, x, constants, y)}


def _onnx(op: str, a: np.ndarray, constants: dict[str, Any], y: np.ndarray, **attributes: Any) -> Peer:
    """A network of one operator: inputs `a` and the constants in this order, output like `y`."""
    from onnx import helper

    return onnx_network([helper.make_node(op, ["a", *constants], ["y"], **attributes)], a, constants, y)


def onnx_network(nodes: list[Any], a: np.ndarray, constants: dict[str, Any], y: np.ndarray) -> Peer:
    """A network with the input `a`, these constants, and an output `y`, both bound."""
    import onnxruntime
    from onnx import helper, numpy_helper

    def described(name: str, x: np.ndarray) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)

    stored = [numpy_helper.from_array(np.asarray(x), name) for name, x in constants.items()]
    graph = helper.make_graph(nodes, nodes[0].op_type, [described("a", a)], [described("y", y)], stored)
    domains = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    out = onnxruntime.OrtValue.ortvalue_from_numpy(y)
    binding.bind_ortvalue_input("a", onnxruntime.OrtValue.ortvalue_from_numpy(a))
    binding.bind_ortvalue_output("y", out)
    return Peer(timer("run(binding)", run=session.run_with_iobinding, binding=binding), out.numpy)
