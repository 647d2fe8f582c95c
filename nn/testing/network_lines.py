"""The lines that random networks are made of: for an example of each number of axes, what may come next.

A line is a strategy, given the shape of an example without its batch: the layers it needs, and the statement
that says what becomes of x, in which {0} stands for the first of its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Line(NamedTuple):
    """A statement of forward and the layers it uses."""

    code: str
    layers: tuple[str, ...] = ()


def _composite(function: Callable) -> Callable:
    """From function(pick, shape), which returns the parts of a Line; pick(*options) draws one of them."""
    @st.composite
    def drawn(draw, shape):
        code, *needed = function(lambda *options: draw(st.sampled_from(options)), shape)
        return Line(code, tuple(needed))
    return drawn


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]


def _one_of(*codes: str) -> Callable:
    """A line that needs no layers and no sizes."""
    return _composite(lambda pick, shape: (pick(*codes),))


# Of any shape


@_composite
def activation(pick, shape):
    layer = pick("ReLU()", "LeakyReLU(0.1)", "Tanh()", "Sigmoid()", "LogSigmoid()", "Softplus(2.0)", "SiLU()",
                 "GELU()", "GELU('tanh')", "Softmax(-1)", "LogSoftmax(1)", "Dropout(0.5)", "Identity()")
    return "x = {0}(x)", f"nn.{layer}"


entrywise = _one_of(
    "x = x.clamp(0, 6)", "x = F.clamp(x, max=1.5)", "x = x * x.sigmoid()", "x = x * 0.5 + 1",
    "x = x / (x.abs() + 1)", "x = F.where(x > 0, x, 0.1 * x)", "x = x.masked_fill(x < -1, 0)",
    "x = F.maximum(x, -x) ** 2", "x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, 0, keepdim=True) + 1)",
    "x = x + x.tanh()", "x = x.cumsum(1) - x", "x = x[..., ::-1] + x", "x = x - x.amax(-1, keepdim=True)",
    "x = x.softmax(1) + x.exp().clamp(max=9)", "x = x * (x > 0.3).float()", "x = x.sort(-1).values",
    "x = x.norm(dim=-1, keepdim=True) + x", "x = (x * x + 1).sqrt().log()")
shaped = _one_of(
    "x = F.flatten(x, 1)", "x = x.reshape(len(x), -1)", "x = x.flatten(1).unsqueeze(1)", "x = x[..., ::2]",
    "x = x.mean(-1, keepdim=True)", "x = x[:, :1] + x", "x = F.stack([x, -x], 1).sum(1)",
    "x = F.pad(x, (1, 0))", "x = F.cat([x, x.relu()], 1)", "x = F.pad(x, (2, 1), value=0.5)",
    "x = x.gather(-1, x.argsort(-1))",
    "x = x.topk(1, 1).values + x", "a, b = F.cat([x, x * 2], 1).chunk(2, 1)\n        x = a * b.sigmoid()")


@_composite
def weight(pick, shape):
    return "x = x * {0}", f"nn.Parameter(rng.normal(size=({shape[-1]},)).astype(np.float32))"


# Images: (C, H, W)


def _window(pick, h, w):
    """A kernel with which a window fits."""
    return pick(*range(1, min(h, w, 3) + 1))


@_composite
def convolution(pick, shape):
    c, h, w = shape
    k, groups = _window(pick, h, w), pick(*_divisors(c))
    padding = pick(0, k // 2, "'same'", "'valid'")
    stride = 1 if padding == "'same'" else pick(1, 2)
    dilation = pick(1, 2) if 2 * (k - 1) < min(h, w) else 1
    mode = pick("zeros", "reflect", "replicate", "circular") if min(h, w) > 2 * k else "zeros"
    return "x = {0}(x)", (f"nn.Conv2d({c}, {groups * pick(1, 2, 3)}, {k}, {stride}, {padding}, {dilation}, "
                          f"{groups}, bias={pick(True, False)}, padding_mode={mode!r}, rng=rng)")


@_composite
def transposed(pick, shape):
    c, groups, stride = shape[0], pick(*_divisors(shape[0])), pick(1, 2)
    return "x = {0}(x)", (f"nn.ConvTranspose2d({c}, {groups * pick(1, 2)}, {pick(1, 2, 3)}, stride={stride}, "
                          f"output_padding={pick(*range(stride))}, groups={groups}, rng=rng)")


@_composite
def image_norm(pick, shape):
    c = shape[0]
    return "x = {0}(x)", "nn." + pick(f"BatchNorm2d({c})", f"GroupNorm({pick(*_divisors(c))}, {c})",
                                      f"LayerNorm({shape[1:]})")


@_composite
def image_pool(pick, shape):
    k = _window(pick, *shape[1:])
    kind, ceil = pick("MaxPool2d", "AvgPool2d"), pick("", ", ceil_mode=True")
    out = pick(1, 2, (1, None), (2, 3))
    pool = f"nn.{kind}({k}, stride={pick(1, 2)}, padding={pick(0, k // 2)}{ceil})"
    return "x = {0}(x)", pick(pool, f"nn.Adaptive{kind[:3]}Pool2d({out})")


@_composite
def upsampled(pick, shape):
    how = pick("scale_factor=2", "size=(3, 4)", "scale_factor=1.5, mode='bilinear'",
               "size=(4, 3), mode='bilinear', align_corners=True")
    return "x = {0}(x)", f"nn.Upsample({how})"


@_composite
def image_residual(pick, shape):
    c, k = shape[0], pick(1, 3)
    inner = f"nn.Conv2d({c}, {c}, {k}, padding={k // 2}, groups={pick(1, c)}, rng=rng)"
    code = pick("x = F.relu(x + {1}({0}(x)))", "x = F.cat([x, {1}({0}(x))], 1)", "x = x - {1}({0}(x.relu()))")
    return code, inner, f"nn.BatchNorm2d({c})"


@_composite
def excited(pick, shape):
    c = shape[0]
    return "x = x * {0}(x.mean((2, 3))).sigmoid()[:, :, None, None]", f"nn.Linear({c}, {c}, rng=rng)"


from_image = _one_of(
    "x = x.mean((2, 3))", "x = x.flatten(2).transpose(1, 2)", "x = x.amax((-2, -1))",
    "x = x.permute(0, 3, 1, 2)", "x = x.mT", "x = x[:, :, 0]", "x = x.mean(1, keepdim=True)",
    "x = F.einsum('nchw,nchw->nhc', x, x)",
    "x = x.reshape(-1, *x.shape[2:]).relu().reshape(x.shape)", "x = F.adaptive_avg_pool2d(x, 1).flatten(1)",
    "x = F.avg_pool2d(x, x.shape[2:]).squeeze(3).squeeze(2)",
    "x = x.unsqueeze(2).expand(-1, -1, 2, -1, -1).sum(2)")


# Sequences: (S, D), which are also signals: (C, L)


@_composite
def along_tokens(pick, shape):
    d = shape[-1]
    linear = f"nn.Linear({d}, {pick(2, 4, 6)}, bias={pick(True, False)}, rng=rng)"
    return "x = {0}(x)", pick(linear, f"nn.LayerNorm({d})")


@_composite
def attention(pick, shape):
    d = shape[-1]
    heads = pick(*_divisors(d))
    layer = f"nn.MultiheadAttention({d}, {heads}, batch_first=True, rng=rng)"
    code = pick("x = x + {0}(x, x, x)[0]", "x = {0}(x, x, x, need_weights=False)[0]",
                "x = {0}(x, x, x, is_causal=True)[0]", "x = {0}(x.mean(1, keepdim=True), x, x)[0]")
    return code, layer


@_composite
def encoder(pick, shape):
    d = shape[-1]
    layer = (f"nn.TransformerEncoderLayer({d}, {pick(*_divisors(d))}, 8, 0.1, {pick('relu', 'gelu')!r}, "
             f"batch_first=True, norm_first={pick(True, False)}, rng=rng)")
    return pick("x = {0}(x)", "x = {0}(x, is_causal=True)"), layer


@_composite
def bare_attention(pick, shape):
    s, d = shape
    h = pick(*_divisors(d))
    q = f"x.reshape(len(x), {s}, {h}, {d // h}).permute(0, 2, 1, 3)"
    found = f"F.scaled_dot_product_attention(q, q * 0.5, q, is_causal={pick(True, False)})"
    return (f"q = {q}\n        x = {found}.permute(0, 2, 1, 3).reshape(len(x), {s}, {d})",)


@_composite
def positions(pick, shape):
    s, d = shape
    table = f"nn.Parameter(rng.normal(size=(1, {s}, {d})).astype(np.float32))"
    token = f"nn.Parameter(rng.normal(size=(1, 1, {d})).astype(np.float32))"
    return pick(("x = x + {0}", table), ("x = F.cat([{0}.expand(len(x), -1, -1), x], 1)", token),
                ("x = x + {0}[:, :x.shape[1]]", table))


@_composite
def signal_convolution(pick, shape):
    c, length = shape
    k, groups = pick(*range(1, min(length, 3) + 1)), pick(*_divisors(c))
    padding = pick(0, k // 2, "'same'")
    return "x = {0}(x)", (f"nn.Conv1d({c}, {groups * pick(1, 2)}, {k}, padding={padding}, groups={groups}, "
                          "rng=rng)")


@_composite
def signal_layer(pick, shape):
    c, length = shape
    k = pick(*range(1, min(length, 3) + 1))
    return "x = {0}(x)", "nn." + pick(f"BatchNorm1d({c})", f"MaxPool1d({k})", f"AvgPool1d({k}, stride=1)",
                                      f"GroupNorm({pick(*_divisors(c))}, {c})", "Upsample(scale_factor=2)",
                                      "Upsample(size=5, mode='linear')")


from_sequence = _one_of(
    "x = x[:, 0]", "x = x[:, -1]", "x = x.mean(1)", "x = x.transpose(1, 2)", "x = x.amax(1)",
    "x = x.max(1).values", "x = x @ x.mT", "x = F.einsum('nsd,ntd->nst', x, x)", "x = x.unsqueeze(1)",
    "x = x.logsumexp(1)",
    "x = x.reshape(-1, x.shape[2]).tanh().reshape(x.shape)", "x = x.transpose(0, 1).relu().transpose(0, 1)",
    "x = x.sum(1) / x.shape[1]", "x = F.matmul(x.softmax(-1), x.mT)", "x = x.tril()", "x = x[:, None] * 2")


# Vectors: (D,)


@_composite
def dense(pick, shape):
    (d,) = shape
    out = pick(2, 4, 6, 8)
    return pick(("x = {0}(x)", f"nn.Linear({d}, {out}, bias={pick(True, False)}, rng=rng)"),
                ("x = x + {0}(F.relu(x))", f"nn.Linear({d}, {d}, rng=rng)"),
                ("x = {0}(x)", f"nn.BatchNorm1d({d})"), ("x = {0}(x)", f"nn.LayerNorm({d})"),
                ("x = {0}(x) * {0}(-x)", f"nn.Linear({d}, {out}, rng=rng)"))


@_composite
def unfolded(pick, shape):
    (d,) = shape
    k = pick(*_divisors(d))
    return (pick(f"x = x.reshape(len(x), {k}, {d // k})", f"x = x.view(-1, 1, {k}, {d // k})",
                 f"x = x.reshape(-1, {k}).relu().reshape(len(x), {d})", "x = x[:, :, None] * x[:, None, :]",
                 "x = F.einsum('ni,nj->nij', x, x)"),)


common = [activation, entrywise, shaped, weight]
LINES: dict[int, list[Callable]] = {
    1: [dense, dense, unfolded, *common],
    2: [along_tokens, attention, encoder, bare_attention, positions, signal_convolution, signal_layer,
        from_sequence, *common],
    3: [convolution, convolution, transposed, image_norm, image_pool, upsampled, image_residual, excited,
        from_image, *common],
    4: [shaped, _one_of("x = x.flatten(2)", "x = x.sum(2)")],
    5: [_one_of("x = x.flatten(3)")],
}


# What networks begin with: their inputs, as in networks.Input, and their first lines


def _sizes(*ranges: tuple[int, int]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(*one) for one in ranges))


def _embedded(size):
    s, d = size
    return ([("x", "tokens", (s,))], [Line("x = {0}(x)", (f"nn.Embedding(7, {2 * d}, rng=rng)",))])


def _masked(size):
    s, d = size
    layer = f"nn.TransformerEncoderLayer({2 * d}, {d}, 8, batch_first=True, rng=rng)"
    return ([("x", "floats", (s, 2 * d)), ("mask", "mask", (s,))],
            [Line("x = {0}(x, src_key_padding_mask=mask)", (layer,))])


STARTS: dict[str, st.SearchStrategy[Any]] = {
    "vector": _sizes((1, 8)).map(lambda size: ([("x", "floats", size)], [])),
    "image": _sizes((1, 4), (2, 6), (2, 6)).map(lambda size: ([("x", "floats", size)], [])),
    "signal": _sizes((1, 6), (1, 6)).map(lambda size: ([("x", "floats", size)], [])),
    "tokens": _sizes((1, 5), (1, 3)).map(_embedded),
    "masked": _sizes((1, 4), (1, 3)).map(_masked),
}
