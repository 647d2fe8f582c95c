"""Records what PyTorch computes, outputs and gradients, of every function on random shapes, for the tests.

    python tests/golden/record_functions.py

The tests read the recorded file and need no PyTorch. Last run with PyTorch 2.13. To keep it small there are
four long arrays, to be read from their beginning case by case: inputs (rounded to float16, computed with in
float64), those that are integers or booleans, cotangents (quarters, as int8), what came out (float32).
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.normal(size=shape)


def some(low, high):
    return int(rng.integers(low, high + 1))


def ties(*shape):
    return rng.integers(-3, 4, shape).astype(float)


class Record:
    """The four arrays and the list of cases."""

    def __init__(self):
        self.cases, self.parts = [], {"half": [], "ints": [], "quarters": [], "single": []}

    def add(self, name, *inputs, named=None, fixed=None, **how):
        """name: a function of torch or torch.nn.functional, or a method (".gather"); inputs: arrays that get
        gradients if they are floats, or None; named: the same, by name; fixed: arrays that get none."""
        named, fixed = named or {}, fixed or {}
        learnt, names = len(inputs) + len(named), [*named, *fixed]
        arrays = [*inputs, *named.values(), *fixed.values()]
        rounded = [x.astype(np.float16).astype(np.float64) if x is not None and x.dtype.kind == "f" else x
                   for x in arrays]
        tensors = [x if x is None else torch.tensor(x, requires_grad=i < learnt and x.dtype.kind == "f")
                   for i, x in enumerate(rounded)]
        positional = tensors[:len(inputs)]
        keywords = dict(zip(names, tensors[len(inputs):], strict=True)) | how
        if name == "einsum":
            out = torch.einsum(how["equation"], *positional)
        elif name.startswith("."):
            out = getattr(positional[0], name[1:])(*positional[1:], **keywords)
        else:
            out = (getattr(F, name, None) or getattr(torch, name))(*positional, **keywords)
        outs = [o for o in (out if isinstance(out, tuple) else (out,)) if o.dtype.is_floating_point]
        quarters = [rng.integers(-8, 9, tuple(o.shape)).astype(np.int8) for o in outs]
        torch.autograd.backward(outs, [torch.tensor(v / 4) for v in quarters])
        for x in arrays:
            if x is not None:
                self.parts["half" if x.dtype.kind == "f" else "ints"].append(x.ravel())
        self.parts["quarters"] += [v.ravel() for v in quarters]
        self.parts["single"] += [o.detach().numpy().ravel() for o in outs]
        self.parts["single"] += [t.grad.numpy().ravel() for t in tensors[:learnt]
                                 if t is not None and t.requires_grad]
        self.cases.append({
            "function": name, "how": how, "names": names, "learnt": learnt,
            "outs": [list(o.shape) for o in outs],
            "inputs": [x if x is None else [x.dtype.kind, *x.shape] for x in arrays],
        })  # fmt: skip

    def save(self, path):
        dtypes = {"half": np.float16, "ints": np.int16, "quarters": np.int8, "single": np.float32}
        arrays = {name: np.concatenate([[], *parts]).astype(dtypes[name])
                  for name, parts in self.parts.items()}
        np.savez_compressed(path, cases=json.dumps(self.cases), **arrays)


def functions_of_one_number(record):
    x = np.array([-1000, -30, -3, -0.5, -0.01, 0, 0.01, 0.7, 2, 19.5, 21, 1000])
    for name in ("tanh", "sigmoid", "logsigmoid", "softplus", "silu", "gelu", "relu", "leaky_relu",
                 ".erf", ".sin", ".cos", ".abs", ".exp"):
        record.add(name, x / 100 if name == ".exp" else x)
        record.add(name, normal(some(1, 3), 4))
    record.add("gelu", x, approximate="tanh")
    record.add("leaky_relu", x, negative_slope=0.3)
    record.add("softplus", x, beta=2.0, threshold=3.0)


def choices(record):
    for _ in range(3):
        shape = (some(1, 3), some(2, 4))
        record.add("maximum", ties(*shape), ties(shape[1]))
        record.add("minimum", ties(*shape), ties(shape[0], 1))
        record.add("clamp", ties(*shape), ties(shape[1]), ties(shape[0], 1))
        record.add("where", rng.random(shape) < 0.5, normal(shape[1]), normal(*shape))
        record.add(".clamp", ties(*shape), min=-1.0, max=1.5)


def reductions(record):
    for dim in (0, 1, -1, (0, 2)):
        keepdim, x = bool(some(0, 1)), ties(some(2, 3), some(2, 3), 4)
        for name in ("sum", "mean", "amax", "amin", "std", "var", "logsumexp"):
            record.add(f".{name}", x, dim=dim, keepdim=keepdim)
        if not isinstance(dim, tuple):
            record.add(".prod", x, dim=dim, keepdim=keepdim)
            record.add(".cumsum", x, dim=dim)
            record.add("softmax", x * 3, dim=dim)
            record.add("log_softmax", x * 3, dim=dim)
    for name in (".prod", ".std", ".var"):
        record.add(name, np.array([2.0, 0.0, 3.0]))
    record.add(".std", np.ones(3))


def shapes(record):
    for dim in (0, 1, -1):
        index = rng.integers(0, 3, (some(1, 3), some(1, 3), some(1, 3)))
        record.add(".gather", normal(3, 3, 3), dim=dim, fixed={"index": index})
        record.add(".scatter_add", normal(3, 3, 3), dim=dim, named={"src": normal(*index.shape)},
                   fixed={"index": index})
        record.add(".index_select", normal(3, 3, 3), dim=dim, fixed={"index": np.array([2, 0, 2])})
        record.add("split", normal(3, 5, 3), split_size_or_sections=2, dim=dim)
        record.add(".chunk", normal(3, 5, 3), chunks=2, dim=dim)
    record.add("split", normal(5, 2), split_size_or_sections=[1, 0, 4])
    record.add(".tril", normal(2, 3, 4), diagonal=1)
    record.add(".triu", normal(4, 3), diagonal=-1)
    record.add(".masked_fill", normal(2, 3), fixed={"mask": rng.random((2, 3)) < 0.5}, value=-7.0)
    for _ in range(4):
        record.add("pad", normal(2, 3, 4), pad=[some(-1, 2) for _ in range(2 * some(1, 3))], value=0.5)
    for mode in ("reflect", "replicate", "circular"):
        record.add("pad", normal(1, 2, 3, 4), pad=[some(0, 2) for _ in range(4)], mode=mode)
    record.add("embedding", rng.integers(0, 5, (2, 4)), normal(5, 3), padding_idx=1)
    for equation, *given in (
        ("ij,jk->ik", (2, 3), (3, 4)), ("bij,bkj->bik", (2, 3, 2), (2, 4, 2)), ("ii", (3, 3)),
        ("iij->ji", (3, 3, 2)),
        ("...ij,...jk", (2, 2, 3), (3, 2)), ("Ba,aB,c", (2, 3), (3, 2), (2,)), ("i,j->", (3,), (2,)),
        ("bqhd,bkhd->bhqk", (2, 3, 2, 2), (2, 2, 2, 2)), ("ij,ij->ij", (1, 3), (2, 3)),
    ):  # fmt: skip
        record.add("einsum", *(normal(*shape) for shape in given), equation=equation)


def images(record):
    for _ in range(6):
        g = some(1, 2)
        record.add(
            "conv1d", normal(2, 2 * g, some(4, 7)), normal(2 * g, 2, some(1, 2)), normal(2 * g),
            stride=some(1, 3), padding=some(0, 2), dilation=some(1, 2), groups=g,
        )  # fmt: skip
        stride, dilation = [some(1, 3), some(1, 3)], [some(1, 2), some(1, 3)]
        more = [some(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
        record.add(
            "conv_transpose2d", normal(some(1, 2), 2 * g, some(2, 3), some(2, 4)),
            normal(2 * g, some(1, 2), some(2, 3), some(1, 3)), None,
            stride=stride, padding=[some(0, 1), 0], output_padding=more, groups=g, dilation=dilation,
        )  # fmt: skip
        kernel = [some(2, 3), some(2, 4)]
        x, how = ties(1, 2, some(4, 7), some(4, 7)), {
            "kernel_size": kernel, "stride": [some(1, 3), some(1, 4)], "padding": [some(0, 1), some(0, 1)],
            "ceil_mode": bool(some(0, 2)),
        }  # fmt: skip
        record.add("max_pool2d", x, **how)
        record.add("avg_pool2d", x, **how, count_include_pad=bool(some(0, 1)))
        holes = [2, some(1, 2)]
        record.add("max_pool2d", ties(1, 1, 7, 8), kernel_size=kernel, stride=2, padding=1, dilation=holes)
        for name in ("max_pool1d", "avg_pool1d"):
            record.add(name, ties(2, 2, some(4, 8)), kernel_size=some(2, 4), stride=some(1, 3),
                       padding=some(0, 1), ceil_mode=bool(some(0, 1)))
        for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            record.add(name, ties(1, 2, some(3, 7), some(3, 7)), output_size=[some(1, 4), some(1, 8)])
    record.add("avg_pool2d", normal(1, 1, 5, 5), kernel_size=2, divisor_override=3)
    record.add("conv_transpose2d", normal(1, 2, 2, 2), normal(2, 3, 2, 2), normal(3), stride=2)


def norms_and_attention(record):
    for shape, width in (((3, 4), (4,)), ((2, 3, 4), (3, 4)), ((5,), (5,))):
        how = {"normalized_shape": list(width), "eps": 0.01}
        affine = {"weight": normal(*width), "bias": normal(*width)}
        record.add("layer_norm", normal(*shape), named=affine, **how)
        record.add("layer_norm", normal(*shape), **how)
        record.add("group_norm", normal(2, 6, 3), named={"weight": normal(6), "bias": normal(6)},
                   num_groups=some(1, 3))
    for mask in (None, rng.random((3, 4)) < 0.5, np.zeros((3, 4), bool), normal(2, 1, 3, 4)):
        for scale in (None, 0.3):
            q, k, v = normal(2, 2, 3, 3), normal(2, 2, 4, 3), normal(2, 2, 4, 2)
            record.add("scaled_dot_product_attention", q, k, v, mask, scale=scale)
    q, k, v = normal(2, 3, 2), normal(2, 4, 2), normal(2, 4, 2)
    record.add("scaled_dot_product_attention", q, k, v, is_causal=True)


def losses(record):
    for reduction in ("mean", "sum", "none"):
        for space in ((), (2,), (2, 3)):
            classes = rng.integers(0, 4, (3, *space))
            classes[0] = 1
            weight = rng.uniform(0.1, 2, 4)
            x, spread = normal(3, 4, *space) * 3, rng.random((3, 4, *space))
            smooth, ignore = {"label_smoothing": 0.2}, {"ignore_index": 1}
            for how in ({}, smooth, ignore, smooth | ignore):
                fixed = {"target": classes, "weight": weight} if some(0, 1) else {"target": classes}
                record.add("cross_entropy", x, fixed=fixed, reduction=reduction, **how)
            record.add("cross_entropy", x, spread, reduction=reduction)
            record.add("cross_entropy", x, spread, fixed={"weight": weight}, reduction=reduction, **smooth)
            record.add("nll_loss", -rng.random((3, 4, *space)), fixed={"target": classes, "weight": weight},
                       reduction=reduction, ignore_index=1)
        record.add("cross_entropy", normal(4), fixed={"target": np.array(2)}, reduction=reduction)
        for name, how in (("l1_loss", {}), ("smooth_l1_loss", {"beta": 0.5}), ("huber_loss", {"delta": 0.5}),
                          ("mse_loss", {})):
            record.add(name, normal(2, 3), normal(2, 3), reduction=reduction, **how)
        for log_target in (False, True):
            record.add("kl_div", normal(2, 3), rng.random((2, 3)), reduction=reduction, log_target=log_target)
        for fixed in ({}, {"weight": rng.random((2, 3)), "pos_weight": rng.random(3)}):
            record.add("binary_cross_entropy_with_logits", normal(2, 3) * 5, rng.random((2, 3)), fixed=fixed,
                       reduction=reduction)
    record.add("kl_div", normal(2, 3), rng.random((2, 3)), reduction="batchmean")


def main():
    record = Record()
    parts = functions_of_one_number, choices, reductions, shapes, images, norms_and_attention, losses
    for part in parts * 2:
        part(record)
    path = Path(__file__).with_name("torch_functions.npz")
    record.save(path)
    print(f"{len(record.cases)} cases, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
