"""cuda: the kernels for a GPU beside PyTorch's there, every rung of their ladders, and small batches.

Times are the device's own, between two events. What is compared runs in turn, each round a graph of many
calls, so that the host's part does not count. Numbers are random: on zeros a GPU is faster."""

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import numpy as np

from nn import cuda
from nn.kernels import half_gemm, qgemm, qspmm_nm, use

from .row import AT_LEAST, Row

ROUNDS, CALLS = 15, 10
COLD = 1 << 30  # bytes of weights that are gone through before one is read again: no cache holds them


def rows(seconds: float) -> Iterator[Row]:
    """All of them; without a GPU each says why it was not measured."""
    why = cuda.why_not() or ("the emulation is no GPU" if cuda.library().emulated else None)
    if why is None and find_spec("torch") is None:
        why = "PyTorch is not installed (the extra bench)"
    plan = [("qgemm 4096³ against torch._int_mm", "×", 0.7, partial(_qgemm, 4096)),
            ("qgemm 8192³ against torch._int_mm", "×", 0.7, partial(_qgemm, 8192)),
            ("half_gemm 4096³, float16, against torch.matmul", "×", 0.6, _half),
            ("qgemm 1×4096×4096 of the memory bandwidth", "%", 75, partial(_small, 1)),
            ("qgemm 8×4096×4096 of the memory bandwidth", "%", 75, partial(_small, 8)),
            ("qspmm_nm 2:4, 8192³, against own qgemm", "×", 1.4, _sparse)]
    for measure, unit, bar, measured in plan:
        value, context = (None, {}) if why else measured()
        yield Row("cuda", measure, value, unit, bar, AT_LEAST, context, why)
    if why is None:
        yield from _ladder()


def milliseconds(**contestants: Callable[[], object]) -> dict[str, float]:
    """The median of each one's time for a call, in turn, from graphs of several calls."""
    graphs = {}
    for name, call in contestants.items():
        call()  # memory is asked for, and code loaded
        cuda.synchronize()
        with cuda.Graph() as graph:
            for _ in range(CALLS):
                call()
        graphs[name] = graph
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, graph in graphs.items():
            found[name].append(_timed(graph.stream, graph.launch) / CALLS)
    return {name: statistics.median(times[2:]) for name, times in found.items()}


def _timed(stream: cuda.Stream, run: Callable[[], object]) -> float:
    with stream:
        start, stop = cuda.Event(), cuda.Event()
        start.record()
        run()
        stop.record()
        return start.until(stop)


def _torch(call: Callable[[], object]) -> float:
    """Milliseconds of one call of PyTorch's, by its own events, its launches in a graph."""
    import torch

    for _ in range(3):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            call()
    found = []
    for _ in range(ROUNDS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        stop.record()
        stop.synchronize()
        found.append(start.elapsed_time(stop) / CALLS)
    return statistics.median(found[2:])


def _in_turn(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of ours and of PyTorch's: three times in turn, the medians."""
    found = [(milliseconds(ours=ours)["ours"], _torch(theirs)) for _ in range(3)]
    return tuple(map(statistics.median, zip(*found, strict=True)))


def _bytes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


def _operand(kernel, *arrays: np.ndarray) -> cuda.DeviceOperand:
    return cuda.DEVICE_KERNELS[kernel.name].pack(kernel.pack(*arrays))


def _qgemm(n: int) -> tuple[float, dict]:
    import torch

    a, b = _bytes(n, n), _bytes(n, n, seed=1)
    x, w, out = cuda.to_device(a), _operand(qgemm, b), cuda.empty((n, n), np.int32)
    ta, tb = torch.from_numpy(a).cuda(), torch.from_numpy(np.ascontiguousarray(b.T)).cuda().t()
    qgemm(x, w, out=out)
    if not (out.numpy() == torch._int_mm(ta, tb).cpu().numpy()).all():
        raise RuntimeError("bench: qgemm and torch._int_mm differ")
    ours, theirs = _in_turn(lambda: qgemm(x, w, out=out), lambda: torch._int_mm(ta, tb))
    return _beside(n, ours, theirs)


def _beside(n: int, ours: float, theirs: float) -> tuple[float, dict]:
    speeds = {name: f"{_tera(n**3, ms)} TOP/s" for name, ms in (("ours", ours), ("PyTorch", theirs))}
    return round(theirs / ours, 3), speeds


def _half() -> tuple[float, dict]:
    import torch

    n, rng = 4096, np.random.default_rng(0)
    a, b = (rng.standard_normal((n, n)).astype(np.float16) for _ in range(2))
    x, w, out = cuda.to_device(a), _operand(half_gemm, b), cuda.empty((n, n))
    ta, tb = torch.from_numpy(a).cuda(), torch.from_numpy(b).cuda()
    want = a[:64].astype(np.float64) @ b.astype(np.float64)
    half_gemm(x, w, out=out)
    if not np.allclose(out.numpy()[:64], want, rtol=1e-3, atol=1e-2):
        raise RuntimeError("bench: half_gemm is wrong")
    ours, theirs = _in_turn(lambda: half_gemm(x, w, out=out), lambda: torch.matmul(ta, tb))
    return _beside(n, ours, theirs)


def _small(m: int) -> tuple[float, dict]:
    """The bytes of the weight a second, beside those of a copy on the device (read and written)."""
    k = n = 4096
    x, out = cuda.to_device(_bytes(m, k)), cuda.empty((m, n), np.int32)
    weights = [_operand(qgemm, _bytes(k, n, seed=i)) for i in range(COLD // (k * n))]
    turn = iter(range(1 << 62))

    def call() -> None:
        qgemm(x, weights[next(turn) % len(weights)], out=out)

    whole = cuda.Graph()
    call()
    cuda.synchronize()
    with whole as graph:
        for _ in weights:
            call()
    source, target = (cuda.empty(COLD // 4).set(np.zeros(COLD // 4, np.float32)) for _ in range(2))
    found, copies = [], []
    for _ in range(ROUNDS):
        found.append(_timed(graph.stream, graph.launch) / len(weights))
        copies.append(_timed(graph.stream, lambda: target.copy_from(source)))
    ms, copy = statistics.median(found[2:]), statistics.median(copies[2:])
    ours, peak = k * n / ms / 1e6, 2 * COLD / copy / 1e6
    return round(100 * ours / peak, 1), {"ours": f"{ours:.0f} GB/s", "a copy": f"{peak:.0f} GB/s"}


def _sparse() -> tuple[float, dict]:
    n, rng = 8192, np.random.default_rng(0)
    values, first = _bytes(n, n // 4, 2), rng.integers(0, 3, (n, n // 4), np.uint8)
    indices = np.stack([first, first + rng.integers(1, 4 - first, dtype=np.uint8)], axis=-1)
    x, dense = cuda.to_device(_bytes(n, n, seed=1)), _operand(qgemm, _bytes(n, n, seed=2))
    sparse, out = _operand(qspmm_nm, values, indices, n), cuda.empty((n, n), np.int32)
    ms = milliseconds(dense=lambda: qgemm(x, dense, out=out), sparse=lambda: qspmm_nm(x, sparse, out=out))
    return round(ms["dense"] / ms["sparse"], 3), {
        name: f"{_tera(n**3, time)} TOP/s (dense count)" for name, time in ms.items()}


def _ladder() -> Iterator[Row]:
    """Each rung of qgemm, from a thread an element to tensor cores."""
    n = 4096
    x, w = cuda.to_device(_bytes(n, n)), _operand(qgemm, _bytes(n, n, seed=1))
    out = cuda.empty((n, n), np.int32)
    for variant in (v for v in qgemm.variants() if v.backend == "cuda"):
        with use(variant):
            ms = milliseconds(it=lambda: qgemm(x, w, out=out))["it"]
        yield Row("cuda", f"{variant.name}, {n}³", float(_tera(n**3, ms)), "TOP/s")


def _tera(macs: int, ms: float) -> str:
    return f"{2 * macs / ms / 1e9:.1f}"
