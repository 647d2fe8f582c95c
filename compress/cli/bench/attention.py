"""attention: softmax attention of many heads beside PyTorch's, forward, and forward and backward.

Multiply-accumulates are those of all queries and all keys, for a causal one of half of them."""

from collections.abc import Callable, Iterator
from timeit import Timer
from typing import NamedTuple

import numpy as np

from nn.kernels import Variant, attention, attention_grad, use

from ..ladder.sample import Sample, floats
from . import peers, variants
from .gemm import beyond_avx2
from .row import Row
from .small_call import Call
from .timing import context, interleaved, timer

TINY = np.ones((1, 1, 1, 4), np.float32)
CALLS = (Call("attention(a, b, b)", TINY, (np.ones((1, 1, 4, 4), np.float32),)),)


class Heads(NamedTuple):
    """Attention of `heads` heads of `batch` sequences."""

    batch: int
    heads: int
    queries: int
    keys: int
    width: int
    causal: bool = False

    def __str__(self) -> str:
        many = f"{self.batch} × " * (self.batch > 1)
        length = f"{self.queries}" if self.queries == self.keys else f"{self.queries} of {self.keys}"
        return f"{many}{self.heads} heads × {length} × {self.width}{', causal' * self.causal}"

    @property
    def macs(self) -> int:
        """Of the two products."""
        all_of_them = 2 * self.batch * self.heads * self.queries * self.keys * self.width
        return all_of_them // 2 if self.causal else all_of_them

    def arrays(self) -> dict[str, np.ndarray]:
        """g, q, k, v."""
        rng = np.random.default_rng(0)
        lengths = {"g": self.queries, "q": self.queries, "k": self.keys, "v": self.keys}
        return {name: floats(rng, self.batch, self.heads, n, self.width) for name, n in lengths.items()}


LONG, CAUSAL = Heads(1, 8, 2048, 2048, 64), Heads(1, 8, 2048, 2048, 64, causal=True)
MODEL = Heads(16, 4, 128, 128, 32, causal=True)  # of a small language model
STEP = Heads(16, 4, 1, 128, 32)                  # its next token, over a cache


def rows(seconds: float) -> Iterator[Row]:
    """Beside PyTorch, with AVX2 too where there is more; and the speed of every variant."""
    for isa in ("", *["avx2"] * beyond_avx2()):
        yield _forward(LONG, seconds, 1.2, isa)
        yield _both(LONG, seconds, 1.0, isa)
    for heads in (CAUSAL, MODEL):
        yield _forward(heads, seconds)
        yield _both(heads, seconds)
    yield _forward(STEP, seconds)
    yield from variant_rows(seconds / 2)


def variant_rows(seconds: float) -> Iterator[Row]:
    """The speed of every variant."""
    heads = Heads(1, 2, 512, 512, 64)

    def work(variant: Variant) -> variants.Work:
        with use(variant):
            return variants.Work(f"{heads}", heads.macs, _ours(heads))

    return variants.rows(attention, work, seconds)


def sample(rng: np.random.Generator) -> Sample:
    """The call that the ladder times."""
    heads = Heads(1, 2, 256, 256, 32)
    return Sample(tuple(floats(rng, 1, 2, 256, 32) for _ in range(3)), {"scale": 0.2}, heads.macs, f"{heads}")


def _ours(heads: Heads, isa: str = "") -> Timer:
    """The timer of our attention, once its result is known to be right."""
    arrays, how = heads.arrays(), {"scale": heads.width ** -0.5, "causal": heads.causal}
    q, k, v = (arrays[name][:, :1] for name in "qkv")
    with use(isa or "c"):
        got = attention(q, k, v, **how)[0]
    if not np.allclose(got, attention.reference(q, k, v, **how)[0], atol=1e-4):
        raise RuntimeError("bench: attention differs from its specification")
    return timer("attention(q, k, v, **how)", attention=_under(attention, isa), how=how, **arrays)


def _both_of_ours(heads: Heads, isa: str = "") -> Timer:
    arrays, how = heads.arrays(), {"scale": heads.width ** -0.5, "causal": heads.causal}
    names = {"attention": _under(attention, isa), "attention_grad": _under(attention_grad, isa)}
    return timer("attention_grad(g, q, k, v, *attention(q, k, v, **how), **how)", how=how, **names, **arrays)


def _under(kernel: Callable, isa: str) -> Callable:
    """The kernel, forced to an instruction set."""
    def forced(*arrays, **how):
        with use(isa):
            return kernel(*arrays, **how)
    return forced if isa else kernel


def _forward(heads: Heads, seconds: float, bar: float | None = None, isa: str = "") -> Row:
    measure = f"{heads}, forward{f', {isa}' * bool(isa)}, beside PyTorch"
    return _beside(measure, {"ours": _ours(heads, isa)}, heads, heads.macs, seconds, bar)


def _both(heads: Heads, seconds: float, bar: float | None = None, isa: str = "") -> Row:
    measure = f"{heads}, forward and backward{f', {isa}' * bool(isa)}, beside PyTorch"
    ours, macs = {"ours": _both_of_ours(heads, isa)}, heads.macs * 7 // 2
    return _beside(measure, ours, heads, macs, seconds, bar, backward=True)


def _beside(measure: str, contestants: dict[str, Timer], heads: Heads, macs: int, seconds: float,
            bar: float | None, backward: bool = False) -> Row:
    if not peers.missing("torch"):
        contestants["PyTorch"] = _torch(heads, backward)
    times = interleaved(contestants, seconds)
    beside = context(times, "GMAC/s", lambda seconds: macs / seconds / 1e9)
    if "PyTorch" not in times:
        return Row("attention", measure, None, "× PyTorch", bar, context=beside, why=peers.missing("torch"))
    ratio = round(times["PyTorch"].median / times["ours"].median, 3)
    return Row("attention", measure, ratio, "× PyTorch", bar, context=beside)


def _torch(heads: Heads, backward: bool) -> Timer:
    """PyTorch's own, of tensors without gradients, or with what they take."""
    torch = peers.import_torch()
    given = {name: torch.from_numpy(x) for name, x in heads.arrays().items()}
    run = torch.nn.functional.scaled_dot_product_attention
    if not backward:
        return timer("run(q, k, v, is_causal=causal)", run=torch.no_grad()(run), causal=heads.causal, **given)
    inputs = [given[name].requires_grad_() for name in "qkv"]
    return timer("grad(run(q, k, v, is_causal=causal), inputs, g)", run=run, grad=torch.autograd.grad,
                 inputs=inputs, causal=heads.causal, **given)
